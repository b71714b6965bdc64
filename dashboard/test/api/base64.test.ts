import { describe, expect, it, vi } from "vitest";
import { decodeFloats, encodeBase64 } from "../../src/api/base64";
import { faceVector } from "../support/api";

describe("base64", () => {
  it("encodes bytes without the prefix of a data URL", async () => {
    expect(await encodeBase64(new Blob([new Uint8Array([0, 255, 16])]))).toBe("AP8Q");
    expect(await encodeBase64(new Blob([]))).toBe("");
  });

  it("says that a file is gone", async () => {
    vi.spyOn(FileReader.prototype, "readAsDataURL").mockImplementation(function (this: FileReader) {
      queueMicrotask(() => this.onerror?.(new ProgressEvent("error") as ProgressEvent<FileReader>));
    });
    await expect(encodeBase64(new Blob(["x"]))).rejects.toThrow("cannot be read any more");
  });

  it("decodes little-endian floats", () => {
    // 1.0 is 00 00 80 3f, -2.0 is 00 00 00 c0.
    expect([...decodeFloats("AACAPwAAAMA=")]).toEqual([1, -2]);
    const { enrollmentProcessedFile } = faceVector([0.5, -0.25], []);
    expect(decodeFloats(enrollmentProcessedFile)).toHaveLength(512);
  });
});
