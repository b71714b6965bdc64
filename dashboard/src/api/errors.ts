import type { ErrorDetail, ValidationIssue } from "./types";

/** What to say where a server sent no text of its own. */
const STATUS_TEXT: Readonly<Record<number, string>> = {
  400: "The request was refused.",
  401: "A valid API key is needed.",
  403: "This key may not use that service.",
  404: "The server does not know this address.",
  413: "The upload is too large.",
  429: "Too many requests.",
  502: "The model failed on this input.",
  503: "The service is not available.",
  504: "The service took too long.",
};

/** A call that did not succeed; `message` is fit to be shown. */
export class ApiError extends Error {
  override readonly name = "ApiError";

  /**
   * @param status HTTP status; 0 where no answer came.
   * @param message Text for a person.
   * @param retryAfter Seconds the server asks to wait, or null.
   */
  constructor(
    readonly status: number,
    message: string,
    readonly retryAfter: number | null = null,
  ) {
    super(message);
  }
}

function isIssue(value: unknown): value is ValidationIssue {
  return (
    typeof value === "object" && value !== null && "msg" in value && typeof value.msg === "string"
  );
}

/** `["body", "texts", 0]` as `texts[0]`; the part of the request it came from is left out. */
function location(loc: unknown): string {
  if (!Array.isArray(loc)) return "";
  const parts: unknown[] = ["body", "query", "header", "path"].includes(loc[0])
    ? loc.slice(1)
    : loc;
  return parts.reduce<string>((path, part) => {
    if (typeof part === "number") return `${path}[${part}]`;
    return path ? `${path}.${String(part)}` : String(part);
  }, "");
}

/** Return `detail` as text: a string as it is, validation issues one a line. */
export function detailText(detail: ErrorDetail | unknown, status: number): string {
  if (typeof detail === "string" && detail.trim()) return detail;
  if (Array.isArray(detail)) {
    const lines = detail.filter(isIssue).map((issue) => {
      const where = location(issue.loc);
      return where ? `${where}: ${issue.msg}` : issue.msg;
    });
    if (lines.length) return lines.join("\n");
  }
  return STATUS_TEXT[status] ?? `The server answered with status ${status}.`;
}

/** Return the seconds of a `Retry-After` header (a number or an HTTP date), or null. */
export function retryAfterSeconds(header: string | null, now = Date.now()): number | null {
  if (!header) return null;
  const seconds = Number(header);
  if (Number.isFinite(seconds)) return Math.max(0, Math.ceil(seconds));
  const date = Date.parse(header);
  return Number.isNaN(date) ? null : Math.max(0, Math.ceil((date - now) / 1000));
}

/** Return the error as text for a person, with how long to wait where the server said so. */
export function errorText(error: unknown): string {
  if (!(error instanceof ApiError)) return "Something went wrong in this page. Reload it.";
  const { message, retryAfter } = error;
  return retryAfter ? `${message} Try again in ${retryAfter} s.` : message;
}

/** Whether the error says that the time allowed was over. */
export function isTimeout(error: unknown): boolean {
  return error instanceof DOMException && error.name === "TimeoutError";
}

/** Whether the error only says that the caller no longer wants the answer. */
export function isAbort(error: unknown): boolean {
  return error instanceof DOMException && error.name === "AbortError";
}
