import { afterEach, describe, expect, it, vi } from "vitest";
import { tellStory } from "../../src/api/client";
import { ApiError } from "../../src/api/errors";
import { keys } from "../../src/api/keys";
import { story } from "../support/api";
import { type FakeUpload, stubUploads } from "../support/upload";

const clip = new File(["mp4"], "clip.mp4", { type: "video/mp4" });
const ignore = () => {};

/** The upload of that number, as soon as it has begun. */
async function begun(uploads: FakeUpload[], place = 0): Promise<FakeUpload> {
  await vi.waitFor(() => expect(uploads.length).toBeGreaterThan(place));
  return uploads[place] as FakeUpload;
}

afterEach(() => {
  vi.useRealTimers();
});

describe("tellStory", () => {
  it("sends the clip in base64 and tells how far it is", async () => {
    const uploads = stubUploads();
    const shares: number[] = [];
    const call = tellStory('EV2-"1"', clip, (share) => shares.push(share));
    const upload = await begun(uploads);
    upload.progress(25, 100);
    upload.progress(100, 100);
    upload.answer(story());
    expect((await call).frames_analyzed).toBe(16);
    expect(shares).toEqual([0.25, 1, 1]);
    expect(upload.path).toBe("/iot/emotions");
    expect((upload.body as Blob).type).toBe("application/json");
    const body: unknown = JSON.parse(await (upload.body as Blob).text());
    expect(body).toEqual({ event_id: 'EV2-"1"', video_clip: btoa("mp4") });
  });

  it("carries the server's detail and how long to wait", async () => {
    const uploads = stubUploads();
    const call = tellStory("e", clip, ignore);
    (await begun(uploads)).answer({ detail: "Server busy" }, 503, { "retry-after": "4" });
    const error = await call.catch((caught: unknown) => caught);
    expect(error).toMatchObject({ status: 503, message: "Server busy", retryAfter: 4 });
  });

  it("asks for a key and sends the clip again with it", async () => {
    const uploads = stubUploads();
    const call = tellStory("e", clip, ignore);
    (await begun(uploads)).answer({ detail: "No key" }, 401);
    await vi.waitFor(() => expect(keys.snapshot().open).toBe(true));
    keys.submit("right");
    const second = await begun(uploads, 1);
    expect(second.headers["x-api-key"]).toBe("right");
    second.answer(story());
    expect((await call).engine).toBe("expression-timeline");
  });

  it("says that the server cannot be reached", async () => {
    const uploads = stubUploads();
    const call = tellStory("e", clip, ignore);
    (await begun(uploads)).fail();
    await expect(call).rejects.toThrow(new ApiError(0, "The server cannot be reached."));
  });

  it("aborts the upload when the caller has gone", async () => {
    const uploads = stubUploads();
    const gone = new AbortController();
    const call = tellStory("e", clip, ignore, gone.signal).catch((error: unknown) => error);
    const upload = await begun(uploads);
    gone.abort();
    expect(upload.aborted).toBe(true);
    expect(await call).toMatchObject({ name: "AbortError" });
  });

  it("gives up only when nothing happens any more", async () => {
    const uploads = stubUploads();
    const call = tellStory("e", clip, ignore).catch((error: unknown) => error);
    await begun(uploads);
    vi.useFakeTimers();
    const upload = uploads[0] as FakeUpload;
    upload.progress(1, 3);
    vi.advanceTimersByTime(100_000);
    upload.progress(2, 3);
    vi.advanceTimersByTime(100_000);
    expect(upload.aborted).toBe(false);
    vi.advanceTimersByTime(60_000);
    expect(upload.aborted).toBe(true);
    expect(await call).toMatchObject({ message: "The server took too long to answer." });
  });
});
