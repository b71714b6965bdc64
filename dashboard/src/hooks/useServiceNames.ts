import { useEffect, useState, useSyncExternalStore } from "react";
import { serviceNames } from "../api/client";
import { keys } from "../api/keys";

/**
 * Return the names of the services that are switched on; null while they are not known.
 *
 * @param route Asks again whenever it changes: the server may have been started anew.
 */
export function useServiceNames(route: string): ReadonlySet<string> | null {
  const [names, setNames] = useState<ReadonlySet<string> | null>(null);
  const key = useSyncExternalStore(keys.subscribe, () => keys.snapshot().key);
  // biome-ignore lint/correctness/useExhaustiveDependencies: another page or key, another answer
  useEffect(() => {
    const request = new AbortController();
    serviceNames(request.signal).then(
      (found) => setNames(new Set(found)),
      () => {}, // not allowed or not reached: what was known stays
    );
    return () => request.abort();
  }, [key, route]);
  return names;
}
