import { useCallback, useState } from "react";
import { tryonJobs } from "../../api/tryon";
import type { JobState, TryonJobPage } from "../../api/types";
import { usePolling } from "../../hooks/usePolling";

/** Jobs on one page of the list. */
export const PAGE_SIZE = 10;

/** Poll one page of the jobs; another filter begins at the newest ones. */
export function useJobs() {
  const [state, setState] = useState<JobState | null>(null);
  // Where the pages before this one begin: a cursor only leads on.
  const [path, setPath] = useState<readonly string[]>([]);
  const cursor = path.at(-1) ?? null;
  const poll = useCallback(
    (_: TryonJobPage | null, signal: AbortSignal) =>
      tryonJobs({ state, cursor, limit: PAGE_SIZE }, signal),
    [state, cursor],
  );
  const polled = usePolling(poll);
  const filter = useCallback((next: JobState | null) => {
    setState(next);
    setPath([]);
  }, []);
  const older = useCallback((next: string) => setPath((pages) => [...pages, next]), []);
  const newer = useCallback(() => setPath((pages) => pages.slice(0, -1)), []);
  return { polled, state, filter, older, newer, isNewest: cursor === null };
}
