import { useCallback, useEffect, useRef, useState, useSyncExternalStore } from "react";
import { keys } from "../api/keys";
import { type Polled, Poller } from "./poller";

/**
 * Poll while the component is mounted and the tab is visible; a new key is tried at once.
 *
 * @param fetcher Gets the newest state, given what is known so far; it must not change.
 */
export function usePolling<T>(
  fetcher: (previous: T | null, signal: AbortSignal) => Promise<T>,
): Polled<T> & { refresh: () => void } {
  const [state, setState] = useState<Polled<T>>({ data: null, error: null, stale: false });
  const poller = useRef<Poller<T> | null>(null);
  const key = useSyncExternalStore(keys.subscribe, () => keys.snapshot().key);
  // biome-ignore lint/correctness/useExhaustiveDependencies: another key means another try
  useEffect(() => {
    const current = new Poller(fetcher, setState);
    poller.current = current;
    current.start();
    return () => current.stop();
  }, [fetcher, key]);
  const refresh = useCallback(() => poller.current?.refresh(), []);
  return { ...state, refresh };
}
