import { number } from "../../format";
import { PAGE_SIZE } from "./useTenants";

interface PagerProps {
  total: number;
  /** Place of the first one shown. */
  offset: number;
  onTurn: (offset: number) => void;
}

/** Where in the list one is, and the pages beside it. */
export function Pager({ total, offset, onTurn }: PagerProps) {
  const last = Math.min(offset + PAGE_SIZE, total);
  return (
    <nav className="pager" aria-label="Pages of tenants">
      <span className="quiet" role="status">
        {total && last > offset
          ? `${number(offset + 1)}–${number(last)} of ${number(total)}`
          : `0 of ${number(total)}`}
      </span>
      <button
        type="button"
        className="button button-small"
        disabled={offset === 0}
        onClick={() => onTurn(Math.max(0, offset - PAGE_SIZE))}
      >
        Previous
      </button>
      <button
        type="button"
        className="button button-small"
        disabled={last >= total}
        onClick={() => onTurn(offset + PAGE_SIZE)}
      >
        Next
      </button>
    </nav>
  );
}
