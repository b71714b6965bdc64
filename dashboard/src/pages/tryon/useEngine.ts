import { useEffect, useState } from "react";
import { tryonVersion } from "../../api/tryon";

/** Return the name of the engine that runs; null while it is not known. */
export function useEngine(): string | null {
  const [engine, setEngine] = useState<string | null>(null);
  useEffect(() => {
    const request = new AbortController();
    tryonVersion(request.signal).then(
      ({ backend }) => setEngine(backend),
      () => {}, // the page works without; every job names its engine
    );
    return () => request.abort();
  }, []);
  return engine;
}
