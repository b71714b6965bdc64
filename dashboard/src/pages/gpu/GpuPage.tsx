import { useState } from "react";
import type { GpuSeries, GpuSource } from "../../api/types";
import { Badge } from "../../components/Badge";
import { Freshness } from "../../components/Freshness";
import { EmptyState, Failure, Skeleton } from "../../components/Notice";
import { usePolling } from "../../hooks/usePolling";
import { CHARTS } from "./charts";
import { MetricChart } from "./MetricChart";
import { ReadingsTable } from "./ReadingsTable";
import { pollGpus } from "./series";

const SOURCES: Readonly<Record<GpuSource, string>> = {
  dcgm: "Source: DCGM",
  nvml: "Source: NVML",
  triton: "Source: Triton",
  stub: "Simulated: no GPU driver found",
};

/** Live telemetry of the GPUs. */
export default function GpuPage() {
  const polled = usePolling(pollGpus);
  const [chosen, setChosen] = useState(0);
  const { data, error, refresh } = polled;
  const series = data?.gpus.find((candidate) => candidate.gpu === chosen) ?? data?.gpus[0];
  return (
    <>
      <div className="toolbar">
        <Freshness polled={polled} />
        {series && <Origin series={series} interval={data?.interval_s ?? 0} />}
        {data && data.gpus.length > 1 && (
          <label className="chooser">
            <span>GPU</span>
            <select value={series?.gpu} onChange={(event) => setChosen(Number(event.target.value))}>
              {data.gpus.map(({ gpu, device }) => (
                <option key={gpu} value={gpu}>
                  {gpu}: {device ?? "unknown device"}
                </option>
              ))}
            </select>
          </label>
        )}
      </div>
      {data && series ? (
        <Telemetry series={series} interval={data.interval_s} />
      ) : data ? (
        <EmptyState icon="gpu">The server reports no GPU.</EmptyState>
      ) : error ? (
        <Failure error={error} onRetry={refresh} />
      ) : (
        <div className="metrics">
          {CHARTS.map(({ title }) => (
            <Skeleton key={title} height={340} label={`Loading ${title}`} />
          ))}
        </div>
      )}
    </>
  );
}

interface SeriesProps {
  series: GpuSeries;
  interval: number;
}

function Origin({ series, interval }: SeriesProps) {
  return (
    <p className="origin">
      <Badge tone={series.source === "stub" ? "warn" : "quiet"}>{SOURCES[series.source]}</Badge>
      {series.state === "lost" && <Badge tone="bad">No new readings</Badge>}
      <span className="quiet">
        {series.device ?? "unknown device"} · every {interval} s
      </span>
    </p>
  );
}

function Telemetry({ series, interval }: SeriesProps) {
  const [open, setOpen] = useState(false);
  return (
    <>
      <div className="metrics">
        {CHARTS.map((spec) => (
          <MetricChart key={spec.title} spec={spec} series={series} interval={interval} />
        ))}
      </div>
      <details className="card disclosure" onToggle={(event) => setOpen(event.currentTarget.open)}>
        <summary>Readings as a table</summary>
        {open && <ReadingsTable samples={series.samples} />}
      </details>
    </>
  );
}
