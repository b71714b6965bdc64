import { ApiError, detailText, isAbort, retryAfterSeconds } from "./errors";
import { keys } from "./keys";
import type {
  BatchResult,
  BertScore,
  Classification,
  Embeddings,
  GpuReport,
  ServicesReport,
} from "./types";

/** How long a request of a person may take; the gateway's own deadlines are shorter. */
const ACTION_TIMEOUT_MS = 90_000;
/** How long one poll may take before it counts as failed. */
const POLL_TIMEOUT_MS = 10_000;

interface Call {
  path: string;
  body?: FormData | string;
  /** Whether a person is waiting: decides the time allowed and whether to ask for a key again. */
  person: boolean;
  signal?: AbortSignal | undefined;
}

async function exchange(call: Call, key: string | null): Promise<Response> {
  const headers = new Headers({ Accept: "application/json" });
  if (key) headers.set("X-API-Key", key);
  if (typeof call.body === "string") headers.set("Content-Type", "application/json");
  const timeout = AbortSignal.timeout(call.person ? ACTION_TIMEOUT_MS : POLL_TIMEOUT_MS);
  const signal = call.signal ? AbortSignal.any([call.signal, timeout]) : timeout;
  try {
    return await fetch(call.path, {
      method: call.body === undefined ? "GET" : "POST",
      headers,
      body: call.body ?? null,
      signal,
      cache: "no-store",
      credentials: "omit",
    });
  } catch (error) {
    if (call.signal?.aborted || isAbort(error)) throw error;
    throw new ApiError(
      0,
      timeout.aborted ? "The server took too long to answer." : "The server cannot be reached.",
    );
  }
}

async function failure(response: Response): Promise<ApiError> {
  const retryAfter = retryAfterSeconds(response.headers.get("Retry-After"));
  let detail: unknown = null;
  try {
    const body: unknown = await response.json();
    if (typeof body === "object" && body !== null && "detail" in body) detail = body.detail;
  } catch {
    // A proxy's HTML page: the status has to say it.
  }
  return new ApiError(response.status, detailText(detail, response.status), retryAfter);
}

async function request<T>(call: Call): Promise<T> {
  let key = keys.snapshot().key;
  let response = await exchange(call, key);
  while (response.status === 401) {
    const next = await keys.ask(key, call.person);
    if (next === null || call.signal?.aborted) throw await failure(response);
    key = next;
    response = await exchange(call, key);
  }
  if (!response.ok) throw await failure(response);
  try {
    return (await response.json()) as T;
  } catch (error) {
    if (call.signal?.aborted || isAbort(error)) throw error;
    throw new ApiError(response.status, "The server's answer could not be read.");
  }
}

/**
 * Classify one picture.
 *
 * @throws {ApiError} 400 not a picture, 413 too large, 429 and 503 with `retryAfter`.
 */
export function classify(file: File, signal?: AbortSignal): Promise<Classification> {
  const body = new FormData();
  body.append("file", file);
  return request({ path: "/vision/infer", body, person: true, signal });
}

/** Classify several pictures in one request; one bad picture does not fail the others. */
export function classifyBatch(files: readonly File[], signal?: AbortSignal): Promise<BatchResult> {
  const body = new FormData();
  for (const file of files) body.append("files", file);
  return request({ path: "/vision/infer/batch", body, person: true, signal });
}

/** Return the last `samples` readings (1 to 120) of every GPU. */
export function gpuReport(samples: number, signal?: AbortSignal): Promise<GpuReport> {
  return request({ path: `/vision/metrics/gpus?samples=${samples}`, person: false, signal });
}

/** Return the state of every service. */
export function services(signal?: AbortSignal): Promise<ServicesReport> {
  return request({ path: "/services", person: false, signal });
}

/** Score one candidate against its reference. */
export function bertScore(
  candidate: string,
  reference: string,
  signal?: AbortSignal,
): Promise<BertScore> {
  const body = JSON.stringify({ candidates: [candidate], references: [reference] });
  return request({ path: "/text/bertscore", body, person: true, signal });
}

/** Return one vector per text. */
export function embed(texts: readonly string[], signal?: AbortSignal): Promise<Embeddings> {
  return request({ path: "/text/embed", body: JSON.stringify({ texts }), person: true, signal });
}
