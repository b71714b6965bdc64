import { ApiError } from "../api/errors";

/** Pause between two polls, and the longest one after repeated failures, in milliseconds. */
export const POLL_INTERVAL_MS = 2_000;
export const LONGEST_PAUSE_MS = 30_000;

/** What a poller last saw. `stale`: `data` is there but the newest attempt failed. */
export interface Polled<T> {
  data: T | null;
  error: unknown;
  stale: boolean;
}

/** Return the pause in milliseconds after `failures` failures in a row, the last being `error`. */
export function pauseAfter(failures: number, error: unknown): number {
  const backoff = Math.min(POLL_INTERVAL_MS * 2 ** failures, LONGEST_PAUSE_MS);
  const wanted = error instanceof ApiError ? (error.retryAfter ?? 0) * 1000 : 0;
  return Math.max(backoff, wanted);
}

/**
 * Asks again and again while the page is visible.
 *
 * The next request starts only after the answer to the last one, so they never overlap. A hidden
 * tab aborts the request under way and asks at once when it is shown again.
 */
export class Poller<T> {
  #timer: ReturnType<typeof setTimeout> | undefined;
  #request: AbortController | null = null;
  #failures = 0;
  #state: Polled<T> = { data: null, error: null, stale: false };

  /**
   * @param fetcher Gets the newest state, given what is known so far.
   * @param onChange Called with every new state.
   */
  constructor(
    private readonly fetcher: (previous: T | null, signal: AbortSignal) => Promise<T>,
    private readonly onChange: (state: Polled<T>) => void,
  ) {}

  start(): void {
    document.addEventListener("visibilitychange", this.#visibilityChanged);
    if (!document.hidden) void this.#poll();
  }

  stop(): void {
    document.removeEventListener("visibilitychange", this.#visibilityChanged);
    this.#pause();
  }

  /** Ask now instead of at the next interval. */
  refresh(): void {
    this.#pause();
    void this.#poll();
  }

  readonly #visibilityChanged = (): void => {
    if (document.hidden) this.#pause();
    else if (!this.#request) this.refresh();
  };

  #pause(): void {
    clearTimeout(this.#timer);
    this.#request?.abort();
    this.#request = null;
  }

  async #poll(): Promise<void> {
    const controller = new AbortController();
    this.#request = controller;
    try {
      const data = await this.fetcher(this.#state.data, controller.signal);
      if (controller.signal.aborted) return;
      this.#failures = 0;
      this.#set({ data, error: null, stale: false });
    } catch (error) {
      if (controller.signal.aborted) return;
      this.#failures += 1;
      this.#set({ data: this.#state.data, error, stale: this.#state.data !== null });
    }
    this.#request = null;
    const { error } = this.#state;
    const pause = error === null ? POLL_INTERVAL_MS : pauseAfter(this.#failures, error);
    this.#timer = setTimeout(() => void this.#poll(), pause);
  }

  #set(state: Polled<T>): void {
    this.#state = state;
    this.onChange(state);
  }
}
