import type { JobCallback, TryonJob } from "../../api/types";
import { Badge } from "../../components/Badge";
import { RowAction } from "../../components/RowAction";
import { milliseconds, moment, NO_VALUE, number } from "../../format";
import { engineTitle } from "./options";
import { adviceOn, isPending, isRedeliverable, receiverTitle, STATES, stepText } from "./words";

interface JobTableProps {
  jobs: readonly TryonJob[];
  /** Whether something is being cancelled or delivered. */
  busy: boolean;
  onShow: (job: TryonJob) => void;
  onCancel: (job: TryonJob) => void;
  onRedeliver: (job: TryonJob) => void;
}

/** One line per job: state, what became of it, deliveries, and what can be done. */
export function JobTable({ jobs, busy, onShow, onCancel, onRedeliver }: JobTableProps) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a scrolling region has to be reachable
    <section className="table-scroll" aria-label="List of jobs" tabIndex={0}>
      <table>
        <thead>
          <tr>
            <th scope="col">Job</th>
            <th scope="col">State</th>
            <th scope="col">Engine</th>
            <th scope="col" className="numeric">
              Inference
            </th>
            <th scope="col">Deliveries</th>
            <th scope="col">
              <span className="visually-hidden">Actions</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {jobs.map((job) => (
            <tr key={job.job_id}>
              <th scope="row">
                <span className="mono job-id">{job.job_id}</span>
                <small className="quiet">{moment(job.created)}</small>
              </th>
              <td className="job-state">
                <State job={job} />
              </td>
              <td>{job.engine ? engineTitle(job.engine) : NO_VALUE}</td>
              <td className="numeric">{milliseconds(job.inference_time_ms)}</td>
              <td className="job-deliveries">
                {job.callbacks.length
                  ? job.callbacks.map((one) => <Delivery key={one.destination} callback={one} />)
                  : NO_VALUE}
              </td>
              <td className="job-actions">
                <RowAction name="Show" id={job.job_id} onClick={() => onShow(job)} />
                {isPending(job) && (
                  <RowAction
                    name="Cancel"
                    id={job.job_id}
                    disabled={busy}
                    onClick={() => onCancel(job)}
                  />
                )}
                {isRedeliverable(job) && (
                  <RowAction
                    name="Redeliver"
                    id={job.job_id}
                    disabled={busy}
                    onClick={() => onRedeliver(job)}
                  />
                )}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

function State({ job }: { job: TryonJob }) {
  const { title, tone } = STATES[job.state];
  return (
    <>
      <Badge tone={tone}>{title}</Badge>
      {job.state === "running" && (
        <small className="quiet">
          {stepText(job)}, {number(100 * job.progress)} %
        </small>
      )}
      {job.state === "queued" && <small className="quiet">{stepText(job)}</small>}
      {job.error && job.state === "failed" && (
        <small className="job-error">
          {adviceOn(job.error).what} {job.error.step && `(${job.error.step})`}
        </small>
      )}
    </>
  );
}

function Delivery({ callback }: { callback: JobCallback }) {
  const { destination, state, attempts, next_attempt, last_status } = callback;
  const parts = [
    state === "dead_letter" ? "given up" : state,
    attempts > 0 && `${number(attempts)} ${attempts === 1 ? "attempt" : "attempts"}`,
    last_status !== null && state !== "delivered" && `last answer ${last_status}`,
    state === "pending" && next_attempt !== null && `next at ${moment(next_attempt)}`,
  ];
  return (
    <div>
      {receiverTitle(destination)}
      <small className="quiet">{parts.filter(Boolean).join(", ")}</small>
    </div>
  );
}
