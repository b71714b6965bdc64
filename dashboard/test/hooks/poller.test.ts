import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { ApiError } from "../../src/api/errors";
import {
  LONGEST_PAUSE_MS,
  POLL_INTERVAL_MS,
  type Polled,
  Poller,
  pauseAfter,
} from "../../src/hooks/poller";

let hidden = false;

function setHidden(value: boolean): void {
  hidden = value;
  document.dispatchEvent(new Event("visibilitychange"));
}

interface Attempt {
  previous: number | null;
  signal: AbortSignal;
  resolve: (value: number) => void;
  reject: (error: unknown) => void;
}

/** A poller whose requests are answered by the test. */
function manual() {
  const attempts: Attempt[] = [];
  const states: Polled<number>[] = [];
  const poller = new Poller<number>(
    (previous, signal) =>
      new Promise((resolve, reject) => attempts.push({ previous, signal, resolve, reject })),
    (state) => states.push(state),
  );
  const answer = async (value: number) => {
    attempts.at(-1)?.resolve(value);
    await vi.advanceTimersByTimeAsync(0);
  };
  const fail = async (error: unknown) => {
    attempts.at(-1)?.reject(error);
    await vi.advanceTimersByTimeAsync(0);
  };
  return { attempts, states, poller, answer, fail };
}

beforeEach(() => {
  vi.useFakeTimers();
  hidden = false;
  vi.spyOn(document, "hidden", "get").mockImplementation(() => hidden);
});
afterEach(() => {
  vi.useRealTimers();
});

describe("Poller", () => {
  it("asks at once, then in intervals counted from the answer", async () => {
    const { attempts, states, poller, answer } = manual();
    poller.start();
    expect(attempts).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(10 * POLL_INTERVAL_MS);
    expect(attempts).toHaveLength(1); // a slow answer is waited for
    await answer(1);
    await vi.advanceTimersByTimeAsync(POLL_INTERVAL_MS - 1);
    expect(attempts).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(1);
    expect(attempts.map(({ previous }) => previous)).toEqual([null, 1]);
    expect(states).toEqual([{ data: 1, error: null, stale: false }]);
    poller.stop();
  });

  it("stops in a hidden tab and asks at once when it is shown", async () => {
    const { attempts, poller, answer } = manual();
    poller.start();
    await answer(1);
    setHidden(true);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(attempts).toHaveLength(1);
    setHidden(false);
    expect(attempts).toHaveLength(2);
    poller.stop();
  });

  it("aborts the request under way when the tab is hidden", async () => {
    const { attempts, states, poller } = manual();
    poller.start();
    setHidden(true);
    expect(attempts[0]?.signal.aborted).toBe(true);
    attempts[0]?.resolve(1);
    await vi.advanceTimersByTimeAsync(60_000);
    expect([attempts.length, states.length]).toEqual([1, 0]);
    poller.stop();
  });

  it("does not start in a hidden tab", async () => {
    const { attempts, poller } = manual();
    hidden = true;
    poller.start();
    expect(attempts).toHaveLength(0);
    setHidden(false);
    expect(attempts).toHaveLength(1);
    poller.stop();
  });

  it("keeps what it has, marks it stale and asks less often after errors", async () => {
    const { attempts, states, poller, answer, fail } = manual();
    const error = new ApiError(0, "The server cannot be reached.");
    poller.start();
    await answer(1);
    await vi.advanceTimersByTimeAsync(POLL_INTERVAL_MS);
    await fail(error);
    expect(states.at(-1)).toEqual({ data: 1, error, stale: true });
    await vi.advanceTimersByTimeAsync(2 * POLL_INTERVAL_MS - 1);
    expect(attempts).toHaveLength(2);
    await vi.advanceTimersByTimeAsync(1);
    expect(attempts).toHaveLength(3);
    await answer(2);
    expect(states.at(-1)).toEqual({ data: 2, error: null, stale: false });
    await vi.advanceTimersByTimeAsync(POLL_INTERVAL_MS);
    expect(attempts).toHaveLength(4);
    poller.stop();
  });

  it("is not stale while it never had anything", async () => {
    const { states, poller, fail } = manual();
    const error = new ApiError(503, "down");
    poller.start();
    await fail(error);
    expect(states).toEqual([{ data: null, error, stale: false }]);
    poller.stop();
  });

  it("goes on after an abort that it did not ask for", async () => {
    const { attempts, poller, fail } = manual();
    poller.start();
    await fail(new DOMException("", "AbortError"));
    await vi.advanceTimersByTimeAsync(2 * POLL_INTERVAL_MS);
    expect(attempts).toHaveLength(2);
    poller.stop();
  });

  it("ends for good", async () => {
    const { attempts, states, poller, answer } = manual();
    poller.start();
    poller.stop();
    await answer(1);
    setHidden(true);
    setHidden(false);
    await vi.advanceTimersByTimeAsync(60_000);
    expect([attempts.length, states.length]).toEqual([1, 0]);
  });

  it("asks again on demand without a second loop", async () => {
    const { attempts, poller, answer } = manual();
    poller.start();
    poller.refresh();
    expect(attempts[0]?.signal.aborted).toBe(true);
    await answer(1);
    await vi.advanceTimersByTimeAsync(POLL_INTERVAL_MS);
    expect(attempts).toHaveLength(3);
    poller.stop();
  });
});

describe("pauseAfter", () => {
  it("doubles up to the longest pause", () => {
    const pauses = [1, 2, 3, 4, 50].map((failures) => pauseAfter(failures, null));
    expect(pauses).toEqual([4_000, 8_000, 16_000, LONGEST_PAUSE_MS, LONGEST_PAUSE_MS]);
  });

  it("waits as long as the server asks", () => {
    expect(pauseAfter(1, new ApiError(503, "", 60))).toBe(60_000);
    expect(pauseAfter(2, new ApiError(503, "", 1))).toBe(8_000);
  });
});
