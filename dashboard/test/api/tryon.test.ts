import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { ApiError } from "../../src/api/errors";
import { followJob, submitTryon, tryonJobs } from "../../src/api/tryon";
import type { TryonJob } from "../../src/api/types";
import { FakeEvents, json, stubApi, tryonJob } from "../support/api";
import { stubUploads } from "../support/upload";

beforeEach(() => {
  vi.useFakeTimers();
});

afterEach(() => {
  vi.useRealTimers();
});

/** Follow the job `x`; the answers to the connections are made by `answers`, in order. */
function following(...answers: (() => Response)[]) {
  const received = stubApi(() => (answers.shift() ?? (() => json({}, 503)))());
  const controller = new AbortController();
  const jobs: TryonJob[] = [];
  const lost = vi.fn();
  const ended = followJob("x", (job) => jobs.push(job), lost, controller.signal);
  const outcome = ended.then(
    () => "ended",
    (error: unknown) => error,
  );
  return { received, controller, jobs, lost, outcome };
}

describe("followJob", () => {
  it("tells every state up to the end", async () => {
    const stream = new FakeEvents();
    const { jobs, lost, outcome, received } = following(() => stream.response);
    stream.send("progress", tryonJob("x"));
    stream.raw(": alive\n\n");
    stream.send("end", tryonJob("x", { state: "delivered" }));
    expect(await outcome).toBe("ended");
    expect(jobs.map(({ state }) => state)).toEqual(["queued", "delivered"]);
    expect(lost).not.toHaveBeenCalled();
    expect(received.map(({ path }) => path)).toEqual(["/vton/jobs/x/events"]);
  });

  it("ends where the job is gone, and tells why one cannot be followed", async () => {
    const stream = new FakeEvents();
    const gone = following(() => stream.response);
    stream.send("end", null);
    expect(await gone.outcome).toBe("ended");
    expect(gone.jobs).toEqual([]);
    const unknown = following(() => json({ detail: "There is no such job" }, 404));
    const error = await unknown.outcome;
    expect(error).toBeInstanceOf(ApiError);
    expect(error).toMatchObject({ status: 404, message: "There is no such job" });
  });

  it("tries again, at longer intervals, while the server is away", async () => {
    const stream = new FakeEvents();
    const away = () => json({ detail: "The gateway is starting" }, 503);
    const { received, lost, outcome } = following(away, away, away, () => stream.response);
    await vi.advanceTimersByTimeAsync(0);
    const seen: number[] = [received.length];
    for (const pause of [999, 1, 1_999, 1, 3_999, 1]) {
      await vi.advanceTimersByTimeAsync(pause);
      seen.push(received.length);
    }
    expect(seen).toEqual([1, 1, 2, 2, 3, 3, 4]);
    expect(lost).toHaveBeenCalledTimes(3);
    stream.send("end", tryonJob("x"));
    expect(await outcome).toBe("ended");
  });

  it("gives up a connection on which nothing is heard, not even a heartbeat", async () => {
    const [silent, next] = [new FakeEvents(), new FakeEvents()];
    const answers = [() => silent.response, () => next.response];
    const { received, lost, outcome } = following(...answers);
    await vi.advanceTimersByTimeAsync(40_000);
    silent.raw(": alive\n\n");
    await vi.advanceTimersByTimeAsync(44_000);
    expect(lost).not.toHaveBeenCalled();
    await vi.advanceTimersByTimeAsync(2_500);
    expect(lost).toHaveBeenCalledOnce();
    expect(received).toHaveLength(2);
    next.send("end", tryonJob("x"));
    expect(await outcome).toBe("ended");
  });

  it("stops when it is told to", async () => {
    const { received, controller, outcome } = following(() => json({}, 503));
    await vi.advanceTimersByTimeAsync(500);
    controller.abort();
    expect(await outcome).toMatchObject({ name: "AbortError" });
    await vi.advanceTimersByTimeAsync(60_000);
    expect(received).toHaveLength(1);
  });
});

describe("submitTryon", () => {
  const submission = { jobId: "x", person: new Blob(["p"]), garment: new Blob(["g"]), config: {} };
  const submitted = () =>
    submitTryon(submission, () => {}, new AbortController().signal).then(
      () => "accepted",
      (error: unknown) => error,
    );
  const pause = () => vi.advanceTimersByTimeAsync(1_000);

  it("hands the same job in again where no answer came", async () => {
    const uploads = stubUploads();
    const outcome = submitted();
    uploads[0]?.fail();
    await pause();
    uploads[1]?.fail();
    await pause();
    uploads[2]?.answer({ status: "accepted" }, 202);
    expect(await outcome).toBe("accepted");
    const ids = uploads.map(({ body }) => (body as FormData).get("job_id"));
    expect(ids).toEqual(["x", "x", "x"]);
  });

  it("gives up in the end, and at once where the server refuses", async () => {
    const uploads = stubUploads();
    const unreached = submitted();
    for (let n = 0; n < 3; n += 1) {
      uploads[n]?.fail();
      await pause();
    }
    expect(await unreached).toMatchObject({ status: 0 });
    expect(uploads).toHaveLength(3);
    const refused = submitted();
    uploads[3]?.answer({ detail: "no" }, 400);
    expect(await refused).toMatchObject({ status: 400, message: "no" });
    await pause();
    expect(uploads).toHaveLength(4);
  });
});

describe("tryonJobs", () => {
  it("asks for a state and a page", async () => {
    const received = stubApi(() => json({ jobs: [], next: null, counts: {} }));
    await tryonJobs({ state: null, cursor: null, limit: 10 });
    await tryonJobs({ state: "failed", cursor: "a=b&c", limit: 10 });
    expect(received.map(({ path }) => path)).toEqual([
      "/vton/jobs?limit=10",
      "/vton/jobs?limit=10&state=failed&cursor=a%3Db%26c",
    ]);
  });
});
