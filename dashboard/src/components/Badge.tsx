import type { ReactNode } from "react";

export type Tone = "good" | "warn" | "bad" | "quiet" | "accent";

/** A word with a coloured dot; the word alone carries the meaning. */
export function Badge({ tone, children }: { tone: Tone; children: ReactNode }) {
  return <span className={`badge badge-${tone}`}>{children}</span>;
}
