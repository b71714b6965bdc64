import { useCallback, useEffect, useRef, useState } from "react";
import { errorText } from "../api/errors";
import { showToast } from "../components/toasts";

/**
 * Run a request that a person sets off; a new run replaces the one under way.
 *
 * @param title Heading of the message that tells of a failure.
 */
export function useAction<T>(title: string) {
  const [result, setResult] = useState<T | null>(null);
  const [busy, setBusy] = useState(false);
  const request = useRef<AbortController | null>(null);
  useEffect(() => () => request.current?.abort(), []);

  const run = useCallback(
    async (action: (signal: AbortSignal) => Promise<T>) => {
      request.current?.abort();
      const controller = new AbortController();
      request.current = controller;
      setBusy(true);
      try {
        const value = await action(controller.signal);
        if (!controller.signal.aborted) setResult(value);
      } catch (error) {
        if (!controller.signal.aborted) showToast("error", title, errorText(error));
      } finally {
        if (request.current === controller) setBusy(false);
      }
    },
    [title],
  );
  return { result, busy, run };
}
