import { cancelJob, redeliverJob } from "../../api/tryon";
import type { JobState } from "../../api/types";
import { Card } from "../../components/Card";
import { Freshness } from "../../components/Freshness";
import { EmptyState, Failure, Skeleton } from "../../components/Notice";
import { number } from "../../format";
import { useAction } from "../../hooks/useAction";
import { JobTable } from "./JobTable";
import { useJobs } from "./useJobs";
import { STATES } from "./words";

/** All jobs of the server, newest first. */
export function JobsCard({ onShow }: { onShow: (id: string) => void }) {
  const { polled, state, filter, older, newer, isNewest } = useJobs();
  const { data, error, refresh } = polled;
  const { busy, run } = useAction<void>("Try-on");
  const change = (action: (signal: AbortSignal) => Promise<void>) => void run(action).then(refresh);
  const next = data?.next;
  return (
    <Card title="Jobs" className="jobs" aside={<Freshness polled={polled} />}>
      <div className="toolbar">
        <label className="chooser jobs-filter">
          <span>State</span>
          <select
            value={state ?? ""}
            onChange={(event) => filter((event.target.value || null) as JobState | null)}
          >
            <option value="">All</option>
            {Object.entries(STATES).map(([name, { title }]) => {
              const count = data?.counts[name as JobState];
              return (
                <option key={name} value={name}>
                  {count ? `${title} (${number(count)})` : title}
                </option>
              );
            })}
          </select>
        </label>
        <nav className="pager" aria-label="Pages of jobs">
          <button type="button" className="button button-small" disabled={isNewest} onClick={newer}>
            Newer
          </button>
          <button
            type="button"
            className="button button-small"
            disabled={!next}
            onClick={() => next && older(next)}
          >
            Older
          </button>
        </nav>
      </div>
      {!data && error !== null && <Failure error={error} onRetry={refresh} />}
      {!data && error === null && <Skeleton height={180} label="Loading jobs" />}
      {data &&
        (data.jobs.length ? (
          <JobTable
            jobs={data.jobs}
            busy={busy}
            onShow={({ job_id }) => onShow(job_id)}
            onCancel={({ job_id }) => change((signal) => cancelJob(job_id, signal))}
            onRedeliver={({ job_id }) => change((signal) => redeliverJob(job_id, signal))}
          />
        ) : (
          <EmptyState icon="shirt">
            {state ? `No job is ${STATES[state].title}.` : "No job has been handed in yet."}
          </EmptyState>
        ))}
    </Card>
  );
}
