/** The try-on API under `/vton`. */

import { answered, type Call, request } from "./client";
import { ApiError } from "./errors";
import { serverEvents } from "./events";
import type { JobState, TryonJob, TryonJobPage, TryonVersion } from "./types";

/** The server sends at least a comment every 15 s; after so long a connection counts as dead. */
const SILENCE_MS = 45_000;
const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 15_000;
/** How often a job is handed in where no answer comes. */
const SUBMISSIONS = 3;

/** What a new job is made of. */
export interface Submission {
  jobId: string;
  person: Blob;
  garment: Blob;
  /** The documented `config`: seed, steps, cfg, prompt and more. */
  config: Readonly<Record<string, unknown>>;
}

/** Which jobs to list. */
export interface JobQuery {
  state: JobState | null;
  cursor: string | null;
  limit: number;
}

export type JobPicture = "person" | "garment" | "result";

function call(path: string, more: Omit<Call, "path">): Call {
  return { path: `/vton${path}`, keyHeader: "X-Internal-Auth", ...more };
}

function jobPath(id: string): string {
  return `/jobs/${encodeURIComponent(id)}`;
}

/** Return what runs there; `backend` is the engine. */
export function tryonVersion(signal?: AbortSignal): Promise<TryonVersion> {
  return request(call("/version", { person: false, signal }));
}

/**
 * Hand in a job; it is kept by the server once this has resolved.
 *
 * Where no answer comes it is handed in again: the same id with the same content is the same job.
 *
 * @param onUpload Called with the share of the body that has gone out, 0 to 1.
 * @throws {ApiError} 400 and 413 for pictures and options, 409 for a job id that another body
 *   has, 429 while the server is busy, 503 while the model is loading.
 */
export async function submitTryon(
  submission: Submission,
  onUpload: (share: number) => void,
  signal: AbortSignal,
): Promise<void> {
  const body = new FormData();
  body.append("job_id", submission.jobId);
  body.append("user_id", "dashboard");
  body.append("session_id", submission.jobId);
  body.append("provider", "qwen");
  body.append("masked_user_image", submission.person);
  body.append("garment_image", submission.garment);
  body.append("config", JSON.stringify(submission.config));
  for (let left = SUBMISSIONS - 1; ; left -= 1) {
    try {
      await answered(call("/tryon", { body, person: true, onUpload, signal }));
      return;
    } catch (error) {
      const silent = error instanceof ApiError && error.status === 0;
      if (!silent || left === 0) throw error;
    }
    await wait(FIRST_PAUSE_MS, signal);
  }
}

/** Return one page of jobs, newest first. */
export function tryonJobs(query: JobQuery, signal?: AbortSignal): Promise<TryonJobPage> {
  const parameters = new URLSearchParams({ limit: `${query.limit}` });
  if (query.state) parameters.set("state", query.state);
  if (query.cursor) parameters.set("cursor", query.cursor);
  return request(call(`/jobs?${parameters}`, { person: false, signal }));
}

/**
 * Return a picture of a job.
 *
 * @param sample Which of several results; 1 is the first.
 * @throws {ApiError} 404 unknown, 409 not there yet, 410 expired.
 */
export async function jobPicture(
  id: string,
  which: JobPicture,
  signal?: AbortSignal,
  sample = 1,
): Promise<Blob> {
  const path = `${jobPath(id)}/${which}${sample > 1 ? `?sample=${sample}` : ""}`;
  return (await answered(call(path, { accept: "image/*", person: true, signal }))).blob();
}

/**
 * Cancel a job, also one that is running.
 *
 * @throws {ApiError} 409 it has ended already.
 */
export async function cancelJob(id: string, signal?: AbortSignal): Promise<void> {
  await answered(call(jobPath(id), { method: "DELETE", person: true, signal }));
}

/** Deliver the outcome of a job once more. */
export async function redeliverJob(id: string, signal?: AbortSignal): Promise<void> {
  const path = `${jobPath(id)}/redeliver`;
  await answered(call(path, { method: "POST", person: true, signal }));
}

/**
 * Call `onJob` with every change of a job until it has ended; a lost connection is made again.
 *
 * @param onLost Called when the connection is lost.
 * @throws {ApiError} The job is unknown or may not be seen.
 */
export async function followJob(
  id: string,
  onJob: (job: TryonJob) => void,
  onLost: () => void,
  signal: AbortSignal,
): Promise<void> {
  let pause = FIRST_PAUSE_MS;
  const told = (job: TryonJob) => {
    pause = FIRST_PAUSE_MS;
    onJob(job);
  };
  while (!(await watch(id, told, signal))) {
    onLost();
    await wait(pause, signal);
    pause = Math.min(2 * pause, LONGEST_PAUSE_MS);
  }
}

/** Follow a job on one connection; returns whether the job has ended. */
async function watch(
  id: string,
  onJob: (job: TryonJob) => void,
  signal: AbortSignal,
): Promise<boolean> {
  const silence = new AbortController();
  let timer = setTimeout(() => silence.abort(), SILENCE_MS);
  const heard = () => {
    clearTimeout(timer);
    timer = setTimeout(() => silence.abort(), SILENCE_MS);
  };
  try {
    const { body } = await answered(
      call(`${jobPath(id)}/events`, {
        accept: "text/event-stream",
        person: true,
        endless: true,
        signal: AbortSignal.any([signal, silence.signal]),
      }),
    );
    if (!body) return false;
    for await (const { event, data } of serverEvents(body, heard)) {
      const job = JSON.parse(data) as TryonJob | null;
      if (job) onJob(job);
      if (event === "end") return true;
    }
  } catch (error) {
    if (signal.aborted) throw error;
    const { status } = error instanceof ApiError ? error : { status: 0 };
    if (status >= 400 && status < 500 && status !== 429) throw error;
  } finally {
    clearTimeout(timer);
  }
  return false;
}

function wait(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason);
    const abort = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener("abort", abort);
      resolve();
    }, milliseconds);
    signal.addEventListener("abort", abort, { once: true });
  });
}
