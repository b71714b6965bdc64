import { describe, expect, it, vi } from "vitest";
import {
  bertScore,
  classify,
  classifyBatch,
  embed,
  gpuReport,
  services,
} from "../../src/api/client";
import { ApiError } from "../../src/api/errors";
import { keys } from "../../src/api/keys";
import { classification, json, type Received, stubApi } from "../support/api";

const picture = new File(["bytes"], "dog.jpg", { type: "image/jpeg" });

function formOf(received: readonly Received[]): FormData {
  const body = received[0]?.body;
  if (!(body instanceof FormData)) throw new Error("no form was sent");
  return body;
}

async function failureOf(call: Promise<unknown>): Promise<ApiError> {
  const error = await call.catch((caught: unknown) => caught);
  expect(error).toBeInstanceOf(ApiError);
  return error as ApiError;
}

describe("requests", () => {
  it("sends one picture in the field `file`", async () => {
    const received = stubApi(() => json(classification()));
    const answer = await classify(picture);
    expect(answer.top1.label).toBe("golden retriever");
    expect(received[0]).toMatchObject({ path: "/vision/infer", method: "POST", key: null });
    expect([...formOf(received).keys()]).toEqual(["file"]);
  });

  it("sends several pictures in the field `files`, in order", async () => {
    const received = stubApi(() => json({ results: [] }));
    await classifyBatch([picture, new File([], "empty.png")]);
    const files = formOf(received).getAll("files") as File[];
    expect(received[0]?.path).toBe("/vision/infer/batch");
    expect(files.map((file) => file.name)).toEqual(["dog.jpg", "empty.png"]);
  });

  it("sends texts as JSON", async () => {
    const received = stubApi(() => json({}));
    await embed(["ä", "b"]);
    await bertScore("c", "r");
    expect(received.map(({ path, body }) => [path, body])).toEqual([
      ["/text/embed", '{"texts":["ä","b"]}'],
      ["/text/bertscore", '{"candidates":["c"],"references":["r"]}'],
    ]);
  });

  it("asks for telemetry and states", async () => {
    const received = stubApi(() => json({}));
    await gpuReport(120);
    await services();
    expect(received.map(({ method, path }) => `${method} ${path}`)).toEqual([
      "GET /vision/metrics/gpus?samples=120",
      "GET /services",
    ]);
  });
});

describe("failures", () => {
  it("carries the server's detail and how long to wait", async () => {
    stubApi(() => json({ detail: "GPU busy - retry later" }, 503, { "Retry-After": "7" }));
    const error = await failureOf(classify(picture));
    expect([error.status, error.message, error.retryAfter]).toEqual([
      503,
      "GPU busy - retry later",
      7,
    ]);
  });

  it("speaks for itself where a proxy answers with a page", async () => {
    stubApi(() => new Response("<html>Bad gateway</html>", { status: 502 }));
    expect((await failureOf(services())).message).toBe("The model failed on this input.");
  });

  it("does not trust an answer that is no JSON", async () => {
    stubApi(() => new Response("<html>", { status: 200 }));
    expect((await failureOf(services())).message).toBe("The server's answer could not be read.");
  });

  it("says that the server cannot be reached", async () => {
    stubApi(() => Promise.reject(new TypeError("Failed to fetch")));
    const error = await failureOf(services());
    expect([error.status, error.message]).toEqual([0, "The server cannot be reached."]);
  });

  it("says that the server took too long", async () => {
    const timeout = new AbortController();
    vi.spyOn(AbortSignal, "timeout").mockReturnValue(timeout.signal);
    stubApi(() => new Promise(() => {}));
    const call = failureOf(services());
    timeout.abort(new DOMException("", "TimeoutError"));
    expect((await call).message).toBe("The server took too long to answer.");
  });

  it("passes on that the caller has gone", async () => {
    const gone = new AbortController();
    stubApi(() => new Promise(() => {}));
    const call = services(gone.signal).catch((error: unknown) => error);
    gone.abort();
    expect(await call).toMatchObject({ name: "AbortError" });
  });
});

describe("keys", () => {
  const guarded = () =>
    stubApi(({ key }) =>
      key === "right"
        ? json({ services: [] })
        : json({ detail: "Invalid or missing API key" }, 401),
    );

  it("asks once, repeats the request with the key, and keeps it", async () => {
    const received = guarded();
    const call = services();
    await vi.waitFor(() => expect(keys.snapshot().open).toBe(true));
    keys.submit("right");
    expect(await call).toEqual({ services: [] });
    await services();
    expect(received.map(({ key }) => key)).toEqual([null, "right", "right"]);
  });

  it("asks again after a wrong key and says so", async () => {
    guarded();
    const call = services();
    await vi.waitFor(() => expect(keys.snapshot().open).toBe(true));
    keys.submit("wrong");
    await vi.waitFor(() => expect(keys.snapshot().rejected).toBe(true));
    keys.submit("right");
    expect(await call).toEqual({ services: [] });
  });

  it("fails with the server's words when the person closes the dialog", async () => {
    guarded();
    const call = failureOf(services());
    await vi.waitFor(() => expect(keys.snapshot().open).toBe(true));
    keys.dismiss();
    const error = await call;
    expect([error.status, error.message]).toEqual([401, "Invalid or missing API key"]);
    expect((await failureOf(services())).status).toBe(401);
    expect(keys.snapshot().open).toBe(false);
  });
});
