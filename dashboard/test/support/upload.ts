import { vi } from "vitest";

/** Stands in for XMLHttpRequest; the test decides what happens. */
export class FakeUpload {
  upload: { onprogress?: (event: unknown) => void; onload?: () => void } = {};
  onload?: () => void;
  onerror?: () => void;
  onabort?: () => void;
  onloadend?: () => void;
  status = 0;
  responseText = "";
  path = "";
  body: unknown;
  aborted = false;
  headers: Record<string, string> = {};
  #answerHeaders = "";

  open(_method: string, path: string) {
    this.path = path;
  }

  setRequestHeader(name: string, value: string) {
    this.headers[name] = value;
  }

  send(body: unknown) {
    this.body = body;
  }

  getAllResponseHeaders() {
    return this.#answerHeaders;
  }

  abort() {
    this.aborted = true;
    this.onabort?.();
    this.onloadend?.();
  }

  /** Let a part of the body have gone out. */
  progress(loaded: number, total: number) {
    this.upload.onprogress?.({ loaded, total });
    if (loaded === total) this.upload.onload?.();
  }

  answer(body: unknown, status = 200, headers: Record<string, string> = {}) {
    this.status = status;
    this.responseText = typeof body === "string" ? body : JSON.stringify(body);
    this.#answerHeaders = Object.entries(headers)
      .map(([name, value]) => `${name}: ${value}\r\n`)
      .join("");
    this.onload?.();
    this.onloadend?.();
  }

  fail() {
    this.onerror?.();
    this.onloadend?.();
  }
}

/** Put the stand-in in place; returns the uploads begun so far. */
export function stubUploads(): FakeUpload[] {
  const begun: FakeUpload[] = [];
  vi.stubGlobal(
    "XMLHttpRequest",
    class extends FakeUpload {
      constructor() {
        super();
        begun.push(this);
      }
    },
  );
  return begun;
}
