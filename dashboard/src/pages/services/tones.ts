import type { Tone } from "../../components/Badge";

const TONES: Readonly<Record<string, Tone>> = {
  ready: "good",
  loading: "accent",
  starting: "accent",
  degraded: "warn",
  draining: "warn",
  missing: "quiet",
  down: "bad",
};

/** The colour of a state; one that this page does not know yet stays quiet. */
export function toneOf(state: string): Tone {
  return TONES[state] ?? "quiet";
}
