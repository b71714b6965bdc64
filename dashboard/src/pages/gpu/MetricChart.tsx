import { memo } from "react";
import {
  CartesianGrid,
  LineChart,
  Line as Plot,
  ReferenceLine,
  ResponsiveContainer,
  Tooltip,
  XAxis,
  YAxis,
} from "recharts";
import type { GpuSeries } from "../../api/types";
import { Card } from "../../components/Card";
import { NO_VALUE, number, quantity, timeOfDay } from "../../format";
import type { ChartSpec } from "./charts";
import { summarise, WINDOW_SAMPLES, withGaps } from "./series";

const HEIGHT = 190;
const QUARTERS = [0, 0.25, 0.5, 0.75, 1];
const TOOLTIP = {
  border: "1px solid var(--line)",
  borderRadius: 8,
  background: "var(--panel)",
  boxShadow: "var(--shadow-raised)",
};

/** Full minutes between two times in seconds. */
function minuteTicks(from: number, to: number): number[] {
  const ticks = [];
  for (let tick = Math.ceil(from / 60) * 60; tick <= to; tick += 60) ticks.push(tick);
  return ticks;
}

interface MetricChartProps {
  spec: ChartSpec;
  series: GpuSeries;
  /** Seconds between two samples. */
  interval: number;
}

/** One chart of the last samples with the newest value at its top. */
export const MetricChart = memo(function MetricChart({ spec, series, interval }: MetricChartProps) {
  const { samples } = series;
  const [main] = spec.lines;
  const { latest, least, most } = summarise(samples.map(main.read));
  const newest = samples.at(-1);
  const limit = newest && spec.limit ? spec.limit.read(newest) : null;
  const end = newest?.timestamp ?? 0;
  const start = end - (WINDOW_SAMPLES - 1) * interval;
  const top = limit ?? Math.max(spec.top, most ?? 0);
  const format = (value: number | null) => quantity(value, spec.unit, spec.digits);
  const data = withGaps(samples, interval).map(({ timestamp, sample }) => ({
    timestamp,
    ...Object.fromEntries(spec.lines.map((line) => [line.name, sample && line.read(sample)])),
  }));
  const spoken = `${spec.title}: now ${format(latest)}, lowest ${format(least)}, highest ${format(most)}.`;

  return (
    <Card
      title={spec.title}
      className="metric"
      aside={
        <p className="metric-now">
          <strong>{number(latest, spec.digits)}</strong> {latest === null ? "" : spec.unit}
          {spec.limit && <span className="quiet"> of {format(limit)}</span>}
        </p>
      }
    >
      <div className="metric-plot" style={{ height: HEIGHT }}>
        {most === null && (
          <p className="metric-missing">
            {newest ? "Not reported by this device" : "Waiting for the first reading"}
          </p>
        )}
        <ResponsiveContainer
          width="100%"
          height={HEIGHT}
          initialDimension={{ width: 480, height: HEIGHT }}
        >
          <LineChart data={data} margin={{ top: 8, right: 12, bottom: 0, left: 0 }} title={spoken}>
            <CartesianGrid vertical={false} stroke="var(--line)" />
            <XAxis
              dataKey="timestamp"
              type="number"
              domain={[start, end]}
              ticks={minuteTicks(start, end)}
              tickFormatter={(time: number) => timeOfDay(time).slice(0, 5)}
              allowDataOverflow
              tickLine={false}
              axisLine={{ stroke: "var(--line-strong)" }}
            />
            <YAxis
              domain={[0, top]}
              width={44}
              ticks={QUARTERS.map((share) => share * top)}
              tickFormatter={(value: number) => number(value, top < 10 ? 1 : 0)}
              tickLine={false}
              axisLine={false}
            />
            <Tooltip
              isAnimationActive={false}
              labelFormatter={(time) => timeOfDay(Number(time))}
              formatter={(value) => format(typeof value === "number" ? value : null)}
              contentStyle={TOOLTIP}
            />
            {limit !== null && (
              <ReferenceLine y={limit} stroke="var(--bad)" strokeDasharray="4 4" />
            )}
            {spec.lines.map((line, index) => (
              <Plot
                key={line.name}
                dataKey={line.name}
                type="linear"
                stroke={`var(--series-${index + 1})`}
                strokeDasharray={index ? "5 3" : "0"}
                strokeWidth={2}
                dot={false}
                isAnimationActive={false}
                connectNulls={false}
              />
            ))}
          </LineChart>
        </ResponsiveContainer>
      </div>
      <div className="metric-foot">
        <Legend spec={spec} limit={limit} />
        <span className="quiet">
          {least === null ? NO_VALUE : `${number(least, spec.digits)} to ${format(most)}`}
        </span>
      </div>
      <p className="metric-note quiet">{spec.note}</p>
    </Card>
  );
});

function Legend({ spec, limit }: { spec: ChartSpec; limit: number | null }) {
  const entries = spec.lines.map((line, index) => ({
    name: line.name,
    stroke: `var(--series-${index + 1})`,
    dashes: index ? "5 3" : "0",
  }));
  if (spec.limit && limit !== null)
    entries.push({ name: spec.limit.name, stroke: "var(--bad)", dashes: "4 4" });
  return (
    <ul className="legend" aria-label={`Lines of ${spec.title}`}>
      {entries.map((entry) => (
        <li key={entry.name}>
          <svg viewBox="0 0 24 4" aria-hidden="true">
            <line
              x2="24"
              y1="2"
              y2="2"
              stroke={entry.stroke}
              strokeWidth="3"
              strokeDasharray={entry.dashes}
            />
          </svg>
          {entry.name}
        </li>
      ))}
    </ul>
  );
}
