import { useCallback, useEffect, useRef, useState } from "react";
import { errorText, isAbort } from "../../api/errors";
import { cancelJob, followJob, jobPicture, type Submission, submitTryon } from "../../api/tryon";
import type { TryonJob } from "../../api/types";
import { showToast } from "../../components/toasts";

/** One job on the page: the one just handed in, or one chosen from the list. */
export interface Run {
  id: string;
  phase: "uploading" | "following" | "ended";
  /** How much of the upload has gone out, 0 to 1. */
  share: number;
  job: TryonJob | null;
  /** Object URLs. */
  before: string | null;
  after: string | null;
  /** Object URLs of all pictures of the job; the first is `after` until another one is chosen. */
  samples: readonly string[];
  /** Ending of the file's name, such as `png`. */
  kind: string;
  /** Whether the connection for progress was lost and is being made again. */
  lost: boolean;
  /** Why there is nothing to be seen of it. */
  problem: string | null;
}

export interface RunState {
  run: Run | null;
  start: (submission: Submission) => Promise<void>;
  show: (id: string) => Promise<void>;
  cancel: () => void;
  /** Show another one of several pictures. */
  choose: (sample: string) => void;
}

type Update = (change: Partial<Run>) => void;

/** Hands jobs in and follows them, one at a time. */
export function useRun(): RunState {
  const [run, setRun] = useState<Run | null>(null);
  const request = useRef<AbortController | null>(null);
  const urls = useRef<string[]>([]);

  const forget = useCallback(() => {
    request.current?.abort();
    for (const url of urls.current.splice(0)) URL.revokeObjectURL(url);
  }, []);
  useEffect(() => forget, [forget]);

  /** Put another job in the place of the one shown; returns what belongs to it. */
  const begin = useCallback(
    (id: string, phase: Run["phase"]) => {
      forget();
      const controller = new AbortController();
      const { signal } = controller;
      request.current = controller;
      const nothing = {
        job: null,
        before: null,
        after: null,
        samples: [],
        kind: "",
        problem: null,
      };
      setRun({ id, phase, share: 0, lost: false, ...nothing });
      const update: Update = (change) => {
        if (!signal.aborted) setRun((current) => current && { ...current, ...change });
      };
      const keep = (picture: Blob): string | null => {
        if (signal.aborted) return null;
        const url = URL.createObjectURL(picture);
        urls.current.push(url);
        return url;
      };
      return { signal, update, keep };
    },
    [forget],
  );

  const start = useCallback(
    async (submission: Submission) => {
      const { jobId: id, person } = submission;
      const { signal, update, keep } = begin(id, "uploading");
      update({ before: keep(person) });
      try {
        await submitTryon(submission, (share) => update({ share }), signal);
        update({ phase: "following" });
        await follow(id, update, keep, signal);
      } catch (error) {
        fail(error, update, signal);
      }
    },
    [begin],
  );

  const show = useCallback(
    async (id: string) => {
      const { signal, update, keep } = begin(id, "following");
      jobPicture(id, "person", signal).then(
        (picture) => update({ before: keep(picture) }),
        () => {}, // expired: the result may still be there, and the job says what became of it
      );
      try {
        await follow(id, update, keep, signal);
      } catch (error) {
        fail(error, update, signal);
      }
    },
    [begin],
  );

  const cancel = useCallback(() => {
    if (!run) return;
    const uploading = run.phase === "uploading";
    if (uploading) {
      forget();
      setRun(null);
    }
    cancelJob(run.id).catch((error: unknown) => {
      // What had not arrived yet is unknown to the server.
      if (!uploading && !isAbort(error)) showToast("error", "Cancel failed", errorText(error));
    });
  }, [run, forget]);

  const choose = useCallback(
    (after: string) => setRun((current) => current && { ...current, after }),
    [],
  );

  return { run, start, show, cancel, choose };
}

/** Follow a job to its end, and fetch its picture as soon as there is one. */
async function follow(
  id: string,
  update: Update,
  keep: (picture: Blob) => string | null,
  signal: AbortSignal,
): Promise<void> {
  let picture: Promise<void> | null = null;
  const told = (job: TryonJob) => {
    update({ job, lost: false });
    if (!job.result || picture) return;
    const numbers = job.results.map((_, index) => index + 1);
    picture = Promise.all(numbers.map((number) => jobPicture(id, "result", signal, number))).then(
      (results) => {
        const samples = results.map(keep).filter((url) => url !== null);
        const kind = results[0] ? kindOf(results[0]) : "";
        update({ after: samples[0] ?? null, samples, kind });
      },
      (error: unknown) => fail(error, update, signal),
    );
  };
  await followJob(id, told, () => update({ lost: true }), signal);
  await picture;
  update({ phase: "ended" });
}

function fail(error: unknown, update: Update, signal: AbortSignal): void {
  if (!signal.aborted) update({ phase: "ended", problem: errorText(error) });
}

function kindOf({ type }: Blob): string {
  return { "image/jpeg": "jpg", "image/webp": "webp" }[type] ?? "png";
}
