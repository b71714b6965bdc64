/** Segments of emotion as they are drawn and read. */

import type { EmotionSegment } from "../../api/types";
import { number, percent } from "../../format";

const KNOWN = [
  "neutral",
  "happiness",
  "sadness",
  "anger",
  "fear",
  "surprise",
  "disgust",
  "contempt",
];

/** The colour of an emotion; one that this page does not know yet gets a quiet one. */
export function colourOf(emotion: string): string {
  return KNOWN.includes(emotion) ? `var(--emotion-${emotion})` : "var(--line-strong)";
}

/** The emotions that occur, in the order of their first time. */
export function emotionsIn(segments: readonly EmotionSegment[]): string[] {
  return [...new Set(segments.map(({ emotion }) => emotion))];
}

/** Segments of each person, from left to right. */
export function lanes(segments: readonly EmotionSegment[]): EmotionSegment[][] {
  const people = [...new Set(segments.map(({ person }) => person ?? 0))].sort((a, b) => a - b);
  return people.map((one) => segments.filter(({ person }) => (person ?? 0) === one));
}

/** Seconds as `4.2 s`. */
export function seconds(value: number): string {
  return `${number(value, 1)} s`;
}

/** A segment in words. */
export function segmentText(segment: EmotionSegment): string {
  const { emotion, start_s, end_s, confidence, uncertain } = segment;
  const doubt = uncertain ? ", uncertain" : "";
  return `${emotion}, ${seconds(start_s)} to ${seconds(end_s)}, ${percent(confidence)}${doubt}`;
}

/** Times below the chart: both ends and what lies evenly between, in seconds. */
export function ticks(duration: number): number[] {
  return [0, 0.25, 0.5, 0.75, 1].map((share) => share * duration);
}
