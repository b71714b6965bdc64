/** Base64 as the IoT API speaks it. */

import { ApiError } from "./errors";

/**
 * Return the bytes in base64.
 *
 * @throws {ApiError} The file was changed or removed since it was chosen.
 */
export function encodeBase64(blob: Blob): Promise<string> {
  return new Promise((resolve, reject) => {
    const reader = new FileReader(); // encodes natively and away from the page's thread
    reader.onload = () => resolve(String(reader.result).replace(/^[^,]*,?/, ""));
    reader.onerror = () =>
      reject(new ApiError(0, "A file cannot be read any more; choose it again."));
    reader.readAsDataURL(blob);
  });
}

/** Return little-endian float32 values. */
export function decodeFloats(base64: string): Float32Array {
  const bytes = Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));
  const view = new DataView(bytes.buffer);
  return Float32Array.from({ length: bytes.length >> 2 }, (_, i) => view.getFloat32(4 * i, true));
}
