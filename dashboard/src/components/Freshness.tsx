import { errorText } from "../api/errors";
import type { Polled } from "../hooks/poller";
import { Badge } from "./Badge";

/** Says whether what is shown is current; always takes the same room. */
export function Freshness({ polled }: { polled: Polled<unknown> }) {
  return (
    <p className="freshness" role="status">
      {polled.stale ? (
        <>
          <Badge tone="warn">Stale</Badge>
          <span>{errorText(polled.error)}</span>
        </>
      ) : (
        polled.data !== null && <Badge tone="good">Live</Badge>
      )}
    </p>
  );
}
