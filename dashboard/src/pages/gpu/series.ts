import { gpuReport } from "../../api/client";
import type { GpuReport, GpuSample, GpuSeries } from "../../api/types";

/** Samples kept per GPU: what the server keeps and the charts show. */
export const WINDOW_SAMPLES = 120;

/** A report whose series have grown with every poll. `received` is in local milliseconds. */
export interface GpuHistory extends GpuReport {
  received: number;
}

/** Return both lists as one, oldest first, one sample per timestamp, at most the window. */
export function mergeSamples(
  known: readonly GpuSample[],
  fresh: readonly GpuSample[],
): GpuSample[] {
  const byTime = new Map([...known, ...fresh].map((sample) => [sample.timestamp, sample]));
  const merged = [...byTime.values()].sort((a, b) => a.timestamp - b.timestamp);
  return merged.slice(-WINDOW_SAMPLES);
}

/**
 * Return how many samples close the gap since the last answer; all of them at first.
 *
 * Measured with this machine's clock on both ends: the server's may be set differently.
 */
export function samplesToAsk(history: GpuHistory | null, now: number): number {
  if (!history) return WINDOW_SAMPLES;
  const elapsed = (now - history.received) / 1000;
  const missed = Math.ceil(elapsed / Math.max(history.interval_s, 0.1)) + 1;
  return Math.min(WINDOW_SAMPLES, Math.max(2, missed));
}

/** Return the newest report with the samples that were known before. */
export function extend(history: GpuHistory | null, report: GpuReport, now: number): GpuHistory {
  const gpus = report.gpus.map((series): GpuSeries => {
    const known = history?.gpus.find((old) => old.gpu === series.gpu && sameOrigin(old, series));
    return { ...series, samples: mergeSamples(known?.samples ?? [], series.samples) };
  });
  return { ...report, gpus, received: now };
}

// Simulated readings must not run on into real ones when a driver appears.
function sameOrigin(a: GpuSeries, b: GpuSeries): boolean {
  return a.source === b.source && a.device === b.device;
}

/** Poll: ask for what is missing and append it. */
export async function pollGpus(
  history: GpuHistory | null,
  signal: AbortSignal,
): Promise<GpuHistory> {
  const report = await gpuReport(samplesToAsk(history, Date.now()), signal);
  return extend(history, report, Date.now());
}

/** A place on the time axis; no sample where the line has to break. */
export interface Point {
  timestamp: number;
  sample: GpuSample | null;
}

/** Return the samples with an empty point wherever readings are missing. */
export function withGaps(samples: readonly GpuSample[], interval: number): Point[] {
  return samples.flatMap((sample, index): Point[] => {
    const point = { timestamp: sample.timestamp, sample };
    const before = samples[index - 1]?.timestamp;
    const gap = before !== undefined && sample.timestamp - before > 2.5 * interval;
    return gap ? [{ timestamp: before + interval, sample: null }, point] : [point];
  });
}

/** Smallest, largest and newest of the values that are there. */
export interface Summary {
  latest: number | null;
  least: number | null;
  most: number | null;
}

/** Summarise values, oldest first; `latest` is null when the newest reading lacks the value. */
export function summarise(values: readonly (number | null)[]): Summary {
  const present = values.filter((value) => value !== null);
  if (!present.length) return { latest: null, least: null, most: null };
  return {
    latest: values.at(-1) ?? null,
    least: Math.min(...present),
    most: Math.max(...present),
  };
}
