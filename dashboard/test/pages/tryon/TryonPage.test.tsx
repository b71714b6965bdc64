import { act, fireEvent, render, screen, waitFor, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { App } from "../../../src/App";
import { keys } from "../../../src/api/keys";
import type { TryonJob } from "../../../src/api/types";
import { FakeEvents, json, type Received, stubApi, tryonJob } from "../../support/api";
import { type FakeUpload, stubUploads } from "../../support/upload";

const PERSON = new File(["person"], "me.jpg", { type: "image/jpeg" });
const GARMENT = new File(["garment"], "shirt.png", { type: "image/png" });
const DONE: Partial<TryonJob> = {
  state: "delivering",
  progress: 1,
  position: null,
  inference_time_ms: 912,
  engine: "warp",
  model: "pose-tps",
  width: 720,
  height: 960,
  ignored: ["steps"],
  photorealistic: false,
  result: "/jobs/x/result",
  results: ["/jobs/x/result"],
};

interface Server {
  received: Received[];
  uploads: FakeUpload[];
  /** The event streams opened so far. */
  streams: FakeEvents[];
}

/** A gateway with these jobs; `special` answers first. */
function serve(
  jobs: TryonJob[] = [],
  special: (call: Received) => Response | null = () => null,
): Server {
  const streams: FakeEvents[] = [];
  const received = stubApi((call) => {
    const answer = special(call);
    if (answer) return answer;
    const { pathname, searchParams } = new URL(call.path, "http://gateway");
    if (pathname === "/vton/version") return json({ backend: "warp" });
    if (pathname === "/vton/jobs") {
      const wanted = searchParams.get("state");
      const found = jobs.filter(({ state }) => !wanted || state === wanted);
      const begin = Number(searchParams.get("cursor"));
      const end = begin + Number(searchParams.get("limit"));
      const counts: Record<string, number> = {};
      for (const { state } of jobs) counts[state] = (counts[state] ?? 0) + 1;
      const next = end < found.length ? String(end) : null;
      return json({ jobs: found.slice(begin, end), next, counts });
    }
    if (pathname.endsWith("/events")) {
      streams.push(new FakeEvents());
      return streams.at(-1)?.response as Response;
    }
    if (/\/(result|person|garment)$/.test(pathname)) return new Response(new Blob(["png"]));
    if (call.method === "DELETE" || pathname.endsWith("/redeliver")) return json({}, 202);
    return json({ detail: "Not Found" }, 404);
  });
  return { received, uploads: stubUploads(), streams };
}

async function choose(role: "person" | "garment", file: File): Promise<void> {
  const input = await screen.findByLabelText(new RegExp(`^(Choose|Replace) the ${role}`));
  // Whether the file is one of those wanted is for the page to say.
  fireEvent.change(input, { target: { files: [file] } });
}

async function submit({ uploads }: Server): Promise<FakeUpload> {
  const before = uploads.length;
  await userEvent.click(screen.getByRole("button", { name: "Try it on" }));
  await waitFor(() => expect(uploads).toHaveLength(before + 1));
  return uploads.at(-1) as FakeUpload;
}

/** Hand a job in and have it accepted; returns its id and the stream of its events. */
async function accepted(server: Server): Promise<[string, FakeEvents]> {
  await choose("person", PERSON);
  await choose("garment", GARMENT);
  const upload = await submit(server);
  const id = String((upload.body as FormData).get("job_id"));
  const before = server.streams.length;
  upload.answer({ status: "accepted", job_id: id }, 202);
  await waitFor(() => expect(server.streams).toHaveLength(before + 1));
  return [id, server.streams.at(-1) as FakeEvents];
}

async function tell(stream: FakeEvents, event: string, job: TryonJob): Promise<void> {
  await act(async () => stream.send(event, job));
}

const result = () => screen.getByRole("region", { name: "Result" });
const messages = () => screen.getByRole("region", { name: "Notifications" });
const jobRow = (id: string) =>
  screen.getByRole("rowheader", { name: new RegExp(`^${id}`) }).closest("tr") as HTMLElement;
const calls = (received: Received[], method: string, end: string) =>
  received.filter((call) => call.method === method && call.path.endsWith(end));

beforeEach(() => {
  window.location.hash = "#/tryon";
});

afterEach(() => {
  vi.useRealTimers();
});

describe("a new try-on", () => {
  it("is handed in, followed, and compared", async () => {
    const server = serve();
    render(<App />);
    await screen.findByText("not photorealistic");
    expect(screen.getByRole("button", { name: "Try it on" })).toBeDisabled();
    await choose("person", PERSON);
    await choose("garment", GARMENT);
    expect(screen.getByRole("img", { name: "Preview of the person" })).toBeVisible();
    await userEvent.clear(screen.getByLabelText("Seed"));
    await userEvent.type(screen.getByLabelText("Seed"), "7");
    await userEvent.selectOptions(screen.getByLabelText("Resolution"), "480p");
    const upload = await submit(server);
    expect(upload.path).toBe("/vton/tryon");
    const body = upload.body as FormData;
    const id = String(body.get("job_id"));
    expect(id).toMatch(/^[0-9a-f-]{36}$/);
    expect(body.get("provider")).toBe("qwen");
    expect(body.get("user_id")).toBeTruthy();
    expect(body.get("session_id")).toBeTruthy();
    expect((body.get("masked_user_image") as File).name).toBe("me.jpg");
    expect((body.get("garment_image") as File).name).toBe("shirt.png");
    expect(JSON.parse(String(body.get("config")))).toEqual({ seed: 7, resolution: "480p" });
    act(() => upload.progress(40, 100));
    expect(screen.getByRole("progressbar", { name: "Uploading, 40 %" })).toBeVisible();
    upload.answer({ status: "accepted", job_id: id }, 202);
    await waitFor(() => expect(server.streams).toHaveLength(1));
    const stream = server.streams[0] as FakeEvents;
    await tell(stream, "progress", tryonJob(id, { position: 2 }));
    expect(await screen.findByRole("progressbar", { name: /In the queue, 2/ })).toBeVisible();
    const running = { state: "running", progress: 0.5, step: "Inference" } as const;
    await tell(stream, "progress", tryonJob(id, running));
    const bar = await screen.findByRole("progressbar", { name: "Dressing, 50 %" });
    expect(bar).toHaveAttribute("value", "0.5");
    expect(screen.getByRole("button", { name: "Try it on" })).toBeDisabled();
    await tell(stream, "progress", tryonJob(id, { ...DONE, seed: 7 }));
    const slider = await screen.findByRole("slider");
    expect(screen.queryByRole("progressbar")).toBeNull();
    expect(slider).toHaveAttribute("aria-valuetext", "50 % before, 50 % after");
    fireEvent.change(slider, { target: { value: "80" } });
    expect(slider).toHaveAttribute("aria-valuetext", "80 % before, 20 % after");
    expect(result()).toHaveTextContent("Warpnot photorealistic");
    expect(result()).toHaveTextContent("Statedelivering");
    expect(result()).toHaveTextContent("Seed7");
    expect(result()).toHaveTextContent("Size720 × 960");
    expect(result()).toHaveTextContent("Inference912 ms");
    expect(result()).toHaveTextContent("Without effect here: steps.");
    expect(screen.getByRole("button", { name: "Try it on" })).toBeEnabled();
    await tell(stream, "end", tryonJob(id, { ...DONE, state: "delivered" }));
    await waitFor(() => expect(result()).toHaveTextContent("Statedelivered"));
    const link = screen.getByRole("link", { name: "Download" });
    expect(link).toHaveAttribute("download", `${id}.png`);
    expect(link).toHaveAttribute("href", expect.stringMatching(/^blob:/));
    expect(calls(server.received, "GET", "/result")).toHaveLength(1);
  });

  it("says which options the engine has no use for", async () => {
    serve();
    render(<App />);
    expect(await screen.findByLabelText("Steps not used by Warp")).toBeVisible();
    expect(screen.getByLabelText("CFG not used by Warp")).toBeVisible();
    expect(screen.getByLabelText("Prompt not used by Warp")).toBeVisible();
    expect(screen.getByLabelText("Garment photo")).toBeVisible();
    expect(screen.queryByLabelText("Kind of garment")).toBeNull();
    expect(screen.queryByLabelText("Pictures")).toBeNull();
  });

  it("asks for several pictures of a dress, and shows the one that is chosen", async () => {
    const server = serve([], ({ path }) =>
      path === "/vton/version" ? json({ backend: "remote" }) : null,
    );
    render(<App />);
    await userEvent.selectOptions(await screen.findByLabelText("Kind of garment"), "dresses");
    await userEvent.selectOptions(screen.getByLabelText("Pictures"), "2");
    const [id, stream] = await accepted(server);
    const body = server.uploads.at(-1)?.body as FormData;
    expect(JSON.parse(String(body.get("config")))).toEqual({
      seed: 42,
      category: "dresses",
      num_samples: 2,
    });
    const results = ["/jobs/x/result", "/jobs/x/result?sample=2"];
    await tell(stream, "progress", tryonJob(id, { ...DONE, results, num_samples: 2 }));
    const first = await screen.findByRole("button", { name: "Picture 1" });
    const second = screen.getByRole("button", { name: "Picture 2" });
    expect(first).toHaveAttribute("aria-pressed", "true");
    const link = screen.getByRole("link", { name: "Download" });
    const before = link.getAttribute("href");
    await userEvent.click(second);
    expect(second).toHaveAttribute("aria-pressed", "true");
    expect(first).toHaveAttribute("aria-pressed", "false");
    expect(link.getAttribute("href")).not.toBe(before);
    expect(calls(server.received, "GET", "/result?sample=2")).toHaveLength(1);
    await tell(stream, "end", tryonJob(id, { ...DONE, state: "delivered", results }));
  });

  it("takes another seed by chance", async () => {
    serve();
    render(<App />);
    vi.spyOn(crypto, "getRandomValues").mockReturnValueOnce(Uint32Array.of(1234));
    await userEvent.click(await screen.findByRole("button", { name: "Random" }));
    expect(screen.getByLabelText("Seed")).toHaveValue(1234);
  });

  it("takes dropped files, also beside the two places", async () => {
    serve();
    render(<App />);
    await screen.findByLabelText(/^Choose the person/);
    const drop = (target: EventTarget, file: File) => {
      const event = new Event("drop", { bubbles: true, cancelable: true });
      Object.assign(event, { dataTransfer: { files: [file], types: ["Files"] } });
      act(() => {
        target.dispatchEvent(event);
      });
    };
    drop(window, PERSON);
    expect(await screen.findByText("me.jpg, 6 B")).toBeVisible();
    drop(screen.getByLabelText(/^Choose the garment/), GARMENT);
    expect(await screen.findByText("shirt.png, 7 B")).toBeVisible();
    await userEvent.click(screen.getByRole("button", { name: "Remove the person" }));
    expect(screen.queryByText("me.jpg, 6 B")).toBeNull();
    expect(URL.revokeObjectURL).toHaveBeenCalledOnce();
  });

  it("does not take what the server would refuse", async () => {
    serve();
    render(<App />);
    await choose("person", new File(["x"], "note.txt", { type: "text/plain" }));
    expect(messages()).toHaveTextContent("note.txt is not a JPEG, PNG, WebP or AVIF picture.");
    expect(screen.queryByRole("img", { name: "Preview of the person" })).toBeNull();
  });

  it("says what to do about a pose or a garment", async () => {
    const server = serve();
    render(<App />);
    for (const [code, advice] of [
      ["pose", /from the front that shows one person/],
      ["garment", /one top on a plain background/],
      ["something new", /tell the operator/],
    ] as const) {
      const [id, stream] = await accepted(server);
      const error = { code, step: "Inference", detail: null };
      await tell(stream, "end", tryonJob(id, { state: "failed", error }));
      const alert = await within(result()).findByRole("alert");
      expect(alert).toHaveTextContent(advice);
    }
    const [id, stream] = await accepted(server);
    const error = { code: "pose", step: "Inference", detail: "No hips were found." };
    await tell(stream, "end", tryonJob(id, { state: "failed", error }));
    expect(await within(result()).findByText("No hips were found.")).toBeVisible();
  });

  it("says what the server says where it is not accepted", async () => {
    const server = serve();
    render(<App />);
    await choose("person", PERSON);
    await choose("garment", GARMENT);
    const busy = { status: "busy", message: "GPU server is currently busy", retry_after: 5 };
    (await submit(server)).answer(busy, 429, { "Retry-After": "5" });
    const alert = await within(result()).findByRole("alert");
    expect(alert).toHaveTextContent("GPU server is currently busy Try again in 5 s.");
    expect(screen.getByRole("button", { name: "Try it on" })).toBeEnabled();
    (await submit(server)).answer({ detail: "masked_user_image is not a picture" }, 400);
    await waitFor(() => expect(result()).toHaveTextContent("masked_user_image is not a picture"));
  });

  it("is cancelled while it is uploaded, and the server is told", async () => {
    const server = serve();
    render(<App />);
    await choose("person", PERSON);
    await choose("garment", GARMENT);
    const upload = await submit(server);
    await userEvent.click(screen.getByRole("button", { name: "Cancel" }));
    expect(upload.aborted).toBe(true);
    const id = String((upload.body as FormData).get("job_id"));
    await waitFor(() => expect(calls(server.received, "DELETE", id)).toHaveLength(1));
    expect(screen.queryByRole("progressbar")).toBeNull();
    expect(messages()).toBeEmptyDOMElement();
  });

  it("is cancelled while it runs", async () => {
    const server = serve();
    render(<App />);
    const [id, stream] = await accepted(server);
    await tell(stream, "progress", tryonJob(id, { state: "running" }));
    await userEvent.click(await screen.findByRole("button", { name: "Cancel" }));
    expect(calls(server.received, "DELETE", `/vton/jobs/${id}`)).toHaveLength(1);
    await tell(stream, "progress", tryonJob(id, { state: "running", cancelling: true }));
    expect(await screen.findByRole("progressbar", { name: "Cancelling, 0 %" })).toBeVisible();
    const error = { code: "cancelled", step: null, detail: null };
    await tell(stream, "end", tryonJob(id, { state: "cancelled", error }));
    expect(await within(result()).findByText("Cancelled.")).toBeVisible();
  });

  it("is followed on a new connection when one is lost", async () => {
    vi.useFakeTimers({ shouldAdvanceTime: true });
    const server = serve();
    render(<App />);
    const [id, stream] = await accepted(server);
    await tell(stream, "progress", tryonJob(id, { state: "running", progress: 0.2 }));
    await act(async () => stream.cut());
    expect(await screen.findByText("connecting again")).toBeVisible();
    await vi.advanceTimersByTimeAsync(1_100);
    await waitFor(() => expect(server.streams).toHaveLength(2));
    const next = server.streams[1] as FakeEvents;
    await tell(next, "end", tryonJob(id, { ...DONE, state: "delivered" }));
    expect(await screen.findByRole("slider")).toBeVisible();
    expect(screen.queryByText("connecting again")).toBeNull();
  });

  it("sends the key in the service's own header too", async () => {
    keys.submit("secret");
    const server = serve();
    render(<App />);
    await choose("person", PERSON);
    await choose("garment", GARMENT);
    const { headers } = await submit(server);
    expect(headers).toMatchObject({ "x-api-key": "secret", "x-internal-auth": "secret" });
  });
});

describe("the list of jobs", () => {
  const failed = tryonJob("bad", {
    state: "failed",
    error: { code: "pose", step: "Inference", detail: null },
    callbacks: [
      {
        destination: "asset_service",
        event_id: "bad-result",
        state: "pending",
        attempts: 3,
        next_attempt: 1_800_000_100,
        last_status: 503,
      },
      {
        destination: "load_balancer",
        event_id: "bad-complete",
        state: "skipped",
        attempts: 0,
        next_attempt: null,
        last_status: null,
      },
    ],
  });

  it("shows states, errors and deliveries", async () => {
    serve([tryonJob("one", { ...DONE, state: "delivered" }), failed]);
    render(<App />);
    await screen.findByRole("table");
    expect(jobRow("one")).toHaveTextContent("deliveredWarp912 ms");
    expect(jobRow("bad")).toHaveTextContent(
      /failedShoulders and hips of the person were not found. \(Inference\)/,
    );
    expect(jobRow("bad")).toHaveTextContent(
      /Asset servicepending, 3 attempts, last answer 503, next at .*\d\d:\d\d:\d\dLoad balancerskipped/,
    );
    expect(screen.getByRole("option", { name: "failed (1)" })).toBeInTheDocument();
  });

  it("filters and turns pages", async () => {
    const many = Array.from({ length: 23 }, (_, n) =>
      tryonJob(`job-${n}-x`, { state: n % 2 ? "delivered" : "cancelled" }),
    );
    serve(many);
    render(<App />);
    await screen.findByRole("rowheader", { name: /^job-0/ });
    expect(screen.getByRole("button", { name: "Newer" })).toBeDisabled();
    await userEvent.click(screen.getByRole("button", { name: "Older" }));
    await screen.findByRole("rowheader", { name: /^job-10/ });
    await userEvent.click(screen.getByRole("button", { name: "Older" }));
    await screen.findByRole("rowheader", { name: /^job-20/ });
    expect(screen.getByRole("button", { name: "Older" })).toBeDisabled();
    await userEvent.click(screen.getByRole("button", { name: "Newer" }));
    await screen.findByRole("rowheader", { name: /^job-10/ });
    await userEvent.selectOptions(screen.getByLabelText("State"), "delivered");
    await screen.findByRole("rowheader", { name: /^job-1-x/ });
    expect(screen.getByRole("button", { name: "Newer" })).toBeDisabled();
    await userEvent.selectOptions(screen.getByLabelText("State"), "failed");
    expect(await screen.findByText("No job is failed.")).toBeVisible();
  });

  it("cancels, delivers again and shows a job", async () => {
    const callbacks = [{ ...(failed.callbacks[0] as (typeof failed.callbacks)[0]) }];
    const server = serve([
      tryonJob("waiting"),
      tryonJob("lost", { ...DONE, state: "dead_letter", callbacks }),
      tryonJob("quiet", { ...DONE, state: "delivered" }),
    ]);
    render(<App />);
    await userEvent.click(await screen.findByRole("button", { name: "Cancel waiting" }));
    await waitFor(() => expect(calls(server.received, "DELETE", "/jobs/waiting")).toHaveLength(1));
    expect(screen.queryByRole("button", { name: "Redeliver quiet" })).toBeNull();
    await waitFor(() =>
      expect(screen.getByRole("button", { name: "Redeliver lost" })).toBeEnabled(),
    );
    await userEvent.click(screen.getByRole("button", { name: "Redeliver lost" }));
    await waitFor(() =>
      expect(calls(server.received, "POST", "/jobs/lost/redeliver")).toHaveLength(1),
    );
    await userEvent.click(screen.getByRole("button", { name: "Show lost" }));
    await waitFor(() => expect(server.streams).toHaveLength(1));
    await tell(
      server.streams[0] as FakeEvents,
      "end",
      tryonJob("lost", { ...DONE, state: "dead_letter" }),
    );
    expect(await screen.findByRole("slider")).toBeVisible();
    expect(calls(server.received, "GET", "/jobs/lost/person")).toHaveLength(1);
    expect(result()).toHaveTextContent("Statenot delivered");
  });

  it("tells of an expired job", async () => {
    const gone = ({ path }: Received) =>
      path.endsWith("/person") ? json({ detail: "Gone" }, 410) : null;
    const server = serve([tryonJob("old", { state: "expired" })], gone);
    render(<App />);
    await userEvent.click(await screen.findByRole("button", { name: "Show old" }));
    await waitFor(() => expect(server.streams).toHaveLength(1));
    await tell(server.streams[0] as FakeEvents, "end", tryonJob("old", { state: "expired" }));
    expect(await within(result()).findByText(/have expired/)).toBeVisible();
    expect(messages()).toBeEmptyDOMElement();
  });

  it("tells that there is none, and of a failure", async () => {
    serve();
    const { unmount } = render(<App />);
    expect(await screen.findByText("No job has been handed in yet.")).toBeVisible();
    unmount();
    serve([], ({ path }) =>
      path.startsWith("/vton/jobs") ? json({ detail: "The gateway is starting" }, 503) : null,
    );
    render(<App />);
    expect(await screen.findByText("The gateway is starting")).toBeVisible();
  });
});
