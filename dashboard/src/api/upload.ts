/** Uploads that tell how far they are. */

function headersOf(raw: string): Headers {
  const headers = new Headers();
  for (const line of raw.split("\r\n")) {
    const colon = line.indexOf(":");
    if (colon > 0) headers.append(line.slice(0, colon), line.slice(colon + 1).trim());
  }
  return headers;
}

/**
 * Send a body with XMLHttpRequest: unlike fetch it tells how much has gone out.
 *
 * @param patienceMs How long nothing may happen, in milliseconds.
 * @param onProgress Called with the share of the body that has gone out, 0 to 1.
 * @throws {TypeError} No connection, as fetch.
 * @throws {DOMException} `TimeoutError`, or the reason of `signal`.
 */
export function upload(
  path: string,
  headers: Headers,
  body: XMLHttpRequestBodyInit,
  patienceMs: number,
  onProgress: (share: number) => void,
  signal?: AbortSignal,
): Promise<Response> {
  return new Promise<Response>((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const request = new XMLHttpRequest();
    let timer: ReturnType<typeof setTimeout>;
    const abort = () => request.abort();
    const wait = () => {
      clearTimeout(timer);
      timer = setTimeout(abort, patienceMs);
    };
    request.upload.onprogress = ({ loaded, total }) => {
      wait();
      onProgress(total ? loaded / total : 0);
    };
    request.upload.onload = () => {
      wait();
      onProgress(1);
    };
    request.onload = () => {
      const { status, responseText } = request;
      const headers = headersOf(request.getAllResponseHeaders());
      resolve(new Response(responseText || null, { status, headers }));
    };
    request.onerror = () => reject(new TypeError("The connection failed"));
    request.onabort = () =>
      reject(signal?.aborted ? signal.reason : new DOMException("", "TimeoutError"));
    request.onloadend = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", abort);
    };
    signal?.addEventListener("abort", abort);
    request.open("POST", path);
    headers.forEach((value, name) => {
      request.setRequestHeader(name, value);
    });
    request.send(body);
    wait();
  });
}
