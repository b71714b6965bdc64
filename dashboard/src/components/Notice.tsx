import type { ReactNode } from "react";
import { ApiError, errorText } from "../api/errors";
import { keys } from "../api/keys";
import { Icon, type IconName } from "./Icon";

/** What a panel says while it has nothing to show. */
export function EmptyState({ icon, children }: { icon: IconName; children: ReactNode }) {
  return (
    <div className="empty">
      <Icon name={icon} />
      <p>{children}</p>
    </div>
  );
}

/** Grey blocks in the size of what is being fetched. */
export function Skeleton({ height, label }: { height: number; label: string }) {
  return (
    <div className="skeleton" style={{ height }} role="status">
      <span className="visually-hidden">{label}</span>
    </div>
  );
}

/** Why a panel has nothing to show, and a way out: a key where one is missing, else to ask again. */
export function Failure({ error, onRetry }: { error: unknown; onRetry: () => void }) {
  const locked = error instanceof ApiError && error.status === 401;
  return (
    <div className="failure" role="alert">
      <Icon name="warning" />
      <p>{errorText(error)}</p>
      <button type="button" className="button" onClick={locked ? () => keys.open() : onRetry}>
        {locked ? "Use a key" : "Try again"}
      </button>
    </div>
  );
}
