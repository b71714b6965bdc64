import { encodeBase64 } from "./base64";
import { ApiError, detailText, isAbort, isTimeout, retryAfterSeconds } from "./errors";
import { keys } from "./keys";
import type {
  BatchResult,
  BertScore,
  Classification,
  Embeddings,
  FaceVector,
  GpuReport,
  LipsyncDevices,
  ServicesReport,
  Story,
  Tenant,
  TenantPage,
} from "./types";
import { upload } from "./upload";

/** How long a request of a person may take; the gateway's own deadlines are shorter. */
const ACTION_TIMEOUT_MS = 90_000;
/** How long one poll may take before it counts as failed. */
const POLL_TIMEOUT_MS = 10_000;
/** How long an upload may stand still, or its answer take; a story's deadline is 120 s. */
const UPLOAD_PATIENCE_MS = 150_000;

/** One request of the console. */
export interface Call {
  path: string;
  /** By default GET without a body, POST with one. */
  method?: "POST" | "DELETE";
  body?: FormData | Blob | string;
  /** What kind of answer is wanted; JSON by default. */
  accept?: string;
  /** The service's own header for the key, beside the gateway's. */
  keyHeader?: string;
  /** The answer goes on for as long as `signal` lets it. */
  endless?: boolean;
  /** Whether a person is waiting: decides the time allowed and whether to ask for a key again. */
  person: boolean;
  /** Never asks for a key: without one the answer is not needed. */
  quiet?: boolean;
  /** Called with the share of the body that has gone out, 0 to 1. */
  onUpload?: (share: number) => void;
  signal?: AbortSignal | undefined;
}

async function exchange(call: Call, key: string | null): Promise<Response> {
  const headers = new Headers({ Accept: call.accept ?? "application/json" });
  if (key) headers.set("X-API-Key", key);
  if (key && call.keyHeader) headers.set(call.keyHeader, key);
  if (typeof call.body === "string") headers.set("Content-Type", "application/json");
  try {
    if (call.onUpload && call.body !== undefined) {
      const { path, body, signal, onUpload } = call;
      return await upload(path, headers, body, UPLOAD_PATIENCE_MS, onUpload, signal);
    }
    return await fetch(call.path, {
      method: call.method ?? (call.body === undefined ? "GET" : "POST"),
      headers,
      body: call.body ?? null,
      signal: limits(call),
      cache: "no-store",
      credentials: "omit",
    });
  } catch (error) {
    if (call.signal?.aborted || isAbort(error)) throw error;
    throw new ApiError(
      0,
      isTimeout(error) ? "The server took too long to answer." : "The server cannot be reached.",
    );
  }
}

/** What ends the request: its caller, or the time it may take. */
function limits({ endless, person, signal }: Call): AbortSignal {
  const timeouts = endless
    ? []
    : [AbortSignal.timeout(person ? ACTION_TIMEOUT_MS : POLL_TIMEOUT_MS)];
  return AbortSignal.any(signal ? [signal, ...timeouts] : timeouts);
}

async function failure(response: Response): Promise<ApiError> {
  const retryAfter = retryAfterSeconds(response.headers.get("Retry-After"));
  let detail: unknown = null;
  try {
    const body: unknown = await response.json();
    if (typeof body === "object" && body !== null) {
      // Try-on says `message` where it is busy, as the old server did.
      if ("detail" in body) detail = body.detail;
      else if ("message" in body) detail = body.message;
      else if ("error" in body) detail = (body.error as { message?: unknown } | null)?.message; // OpenAI's
    }
  } catch {
    // A proxy's HTML page: the status has to say it.
  }
  return new ApiError(response.status, detailText(detail, response.status), retryAfter);
}

/**
 * Return an answer that is no error, asking for a key where one is wanted.
 *
 * @throws {ApiError} The server cannot be reached, or refuses.
 */
export async function answered(call: Call): Promise<Response> {
  let key = keys.snapshot().key;
  let response = await exchange(call, key);
  while (response.status === 401 && !call.quiet) {
    const next = await keys.ask(key, call.person);
    if (next === null || call.signal?.aborted) throw await failure(response);
    key = next;
    response = await exchange(call, key);
  }
  if (!response.ok) throw await failure(response);
  return response;
}

/**
 * Return the JSON of an answer that is no error.
 *
 * @throws {ApiError} As `answered`, or the answer is no JSON.
 */
export async function request<T>(call: Call): Promise<T> {
  const response = await answered(call);
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

/** Return the names of the services that are switched on; never asks for a key. */
export async function serviceNames(signal?: AbortSignal): Promise<string[]> {
  const call: Call = { path: "/services", person: false, quiet: true, signal };
  return (await request<ServicesReport>(call)).services.map(({ name }) => name);
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

/** A picture of an enrollment. */
export interface PosePicture {
  pose: string;
  file: Blob;
}

/**
 * Make one face vector of pictures of one person.
 *
 * @throws {ApiError} 422 no face or no picture, naming it; 413, 429 and 503 as `classify`.
 */
export async function vectorize(
  employeeId: string,
  pictures: readonly PosePicture[],
  signal?: AbortSignal,
): Promise<FaceVector> {
  const images = await Promise.all(
    pictures.map(async ({ pose, file }) => ({ pose, data: await encodeBase64(file) })),
  );
  const body = JSON.stringify({ employee_id: employeeId, images });
  return request({ path: "/iot/vectorizer", body, person: true, signal });
}

/**
 * Have the emotions in an MP4 told.
 *
 * @param onUpload Called with the share of the clip that has gone out, 0 to 1.
 * @throws {ApiError} 422 not an MP4, 413 too large or too long, 429 and 503 with `retryAfter`.
 */
export async function tellStory(
  eventId: string,
  clip: Blob,
  onUpload: (share: number) => void,
  signal?: AbortSignal,
): Promise<Story> {
  const head = `{"event_id":${JSON.stringify(eventId)},"video_clip":"`;
  // A blob: the browser need not copy a clip of many megabytes into one string.
  const body = new Blob([head, await encodeBase64(clip), '"}'], { type: "application/json" });
  signal?.throwIfAborted();
  return request({ path: "/iot/emotions", body, person: true, onUpload, signal });
}

/** Which tenants of the lip-sync service to list. */
export interface TenantQuery {
  search: string;
  offset: number;
  limit: number;
}

/** Return one page of the tenants whose id holds the search, by id. */
export function tenants(query: TenantQuery, signal?: AbortSignal): Promise<TenantPage> {
  const { search, offset, limit } = query;
  const parameters = new URLSearchParams({ search, offset: `${offset}`, limit: `${limit}` });
  return request({ path: `/lipsync/tenants?${parameters}`, person: false, signal });
}

/** Return the devices that tenants are on. */
export function lipsyncDevices(signal?: AbortSignal): Promise<LipsyncDevices> {
  return request({ path: "/lipsync/devices", person: false, signal });
}

/** Make a tenant resident; `reload` reads its file again. */
export function loadTenant(id: string, reload: boolean, signal?: AbortSignal): Promise<Tenant> {
  const body = JSON.stringify({ force_reload: reload });
  return request({ path: `${tenantPath(id)}/load`, body, person: true, signal });
}

/** Take a tenant out of all devices. */
export function unloadTenant(id: string, signal?: AbortSignal): Promise<Tenant> {
  return request({ path: `${tenantPath(id)}/unload`, body: "{}", person: true, signal });
}

/** Return a PNG of one frame that the tenant makes now; loads it if need be. */
export async function previewTenant(id: string, signal?: AbortSignal): Promise<Blob> {
  const response = await answered({ path: `${tenantPath(id)}/preview`, person: true, signal });
  return response.blob();
}

/** Return a PNG of the frames in which a drawn face says a sound, one below the other. */
export async function clipOfTenant(id: string, sound: Blob, signal?: AbortSignal): Promise<Blob> {
  const body = JSON.stringify({ sound: await encodeBase64(sound) });
  const response = await answered({ path: `${tenantPath(id)}/clip`, body, person: true, signal });
  return response.blob();
}

/** Return a file that comes with the dashboard (`public/samples`), as if it had been chosen. */
export async function fetchSample(name: string, signal?: AbortSignal): Promise<File> {
  const response = await answered({ path: `/samples/${name}`, person: true, signal });
  const type = TYPES[name.slice(name.lastIndexOf("."))] ?? "image/jpeg";
  return new File([await response.blob()], name, { type });
}

const TYPES: Readonly<Record<string, string>> = { ".mp4": "video/mp4", ".wav": "audio/wav" };

function tenantPath(id: string): string {
  return `/lipsync/tenants/${encodeURIComponent(id)}`;
}
