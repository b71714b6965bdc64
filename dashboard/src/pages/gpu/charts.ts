import type { GpuSample } from "../../api/types";
import { gibibytes } from "../../format";

/** A line of a chart: its name and how it reads a sample. */
export interface Line {
  name: string;
  read: (sample: GpuSample) => number | null;
}

/** What one chart shows. The first line is the one whose value stands at the top. */
export interface ChartSpec {
  title: string;
  unit: string;
  digits: number;
  lines: readonly [Line, ...Line[]];
  /** A level drawn across the chart, for example the power limit; null where unknown. */
  limit?: { name: string; read: (sample: GpuSample) => number | null };
  /** End of the vertical axis where there is no limit. */
  top: number;
  note: string;
}

/** The four charts of the page. */
export const CHARTS: readonly ChartSpec[] = [
  {
    title: "Utilisation",
    unit: "%",
    digits: 0,
    lines: [
      { name: "Compute", read: (sample) => sample.gpu_util },
      { name: "Memory bus", read: (sample) => sample.mem_util },
    ],
    top: 100,
    note: "Share of time a kernel ran, and memory was accessed.",
  },
  {
    title: "Memory",
    unit: "GiB",
    digits: 1,
    lines: [{ name: "Used", read: (sample) => gibibytes(sample.memory_used_mb) }],
    limit: { name: "Total", read: (sample) => gibibytes(sample.memory_total_mb) },
    top: 1,
    note: "Memory in use, of all processes on the card.",
  },
  {
    title: "Power",
    unit: "W",
    digits: 0,
    lines: [{ name: "Draw", read: (sample) => sample.power_w }],
    limit: { name: "Limit", read: (sample) => sample.power_limit_w },
    top: 100,
    note: "Power drawn by the board against its limit.",
  },
  {
    title: "Temperature",
    unit: "°C",
    digits: 0,
    lines: [{ name: "Core", read: (sample) => sample.temperature_c }],
    top: 100,
    note: "Temperature of the chip.",
  },
];
