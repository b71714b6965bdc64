import { Badge } from "../../components/Badge";
import { Card } from "../../components/Card";
import { Facts } from "../../components/Facts";
import { EmptyState, Skeleton } from "../../components/Notice";
import { milliseconds, NO_VALUE, number } from "../../format";
import { CompareSlider } from "./CompareSlider";
import { EngineBadge } from "./NewRunCard";
import type { Run } from "./useRun";
import { adviceOn, isPending, STATES, stepText } from "./words";

interface RunCardProps {
  run: Run | null;
  onCancel: () => void;
  /** Called with the object URL of another one of several pictures. */
  onChoose: (sample: string) => void;
}

/** The job in view: how far it is, its picture beside the old one, or why there is none. */
export function RunCard({ run, onCancel, onChoose }: RunCardProps) {
  const job = run?.job ?? null;
  return (
    <Card
      title="Result"
      aside={job?.engine && <EngineBadge name={job.engine} photorealistic={job.photorealistic} />}
    >
      {run ? (
        <>
          <Outcome run={run} />
          <Samples run={run} onChoose={onChoose} />
          <Progress run={run} onCancel={onCancel} />
          {job && <Details run={run} />}
          <p className="visually-hidden" role="status">
            {run.after && "The picture is there."}
          </p>
        </>
      ) : (
        <EmptyState icon="shirt">The picture appears here, to compare before and after.</EmptyState>
      )}
    </Card>
  );
}

function Outcome({ run }: { run: Run }) {
  const { job, before, after, problem } = run;
  if (problem) return <Problem what={problem} />;
  if (job?.state === "cancelled") return <EmptyState icon="shirt">Cancelled.</EmptyState>;
  if (job?.error) {
    const { what, todo } = adviceOn(job.error);
    return <Problem what={what} todo={todo} />;
  }
  if (after)
    return before ? (
      <CompareSlider key={after} before={before} after={after} />
    ) : (
      <img className="tryon-picture" src={after} alt="With the garment" />
    );
  if (job?.state === "expired")
    return <EmptyState icon="shirt">The pictures of this job have expired.</EmptyState>;
  return <Skeleton height={320} label="Waiting for the picture" />;
}

function Problem({ what, todo }: { what: string; todo?: string }) {
  return (
    <div className="failure tryon-failure" role="alert">
      <p>
        <strong>{what}</strong>
        {todo && <span>{todo}</span>}
      </p>
    </div>
  );
}

function Samples({ run, onChoose }: { run: Run; onChoose: (sample: string) => void }) {
  if (run.samples.length < 2) return null;
  return (
    <fieldset className="tryon-samples">
      <legend className="visually-hidden">Pictures</legend>
      {run.samples.map((sample, index) => (
        <button
          key={sample}
          type="button"
          aria-label={`Picture ${index + 1}`}
          aria-pressed={sample === run.after}
          onClick={() => onChoose(sample)}
        >
          <img src={sample} alt="" />
        </button>
      ))}
    </fieldset>
  );
}

function Progress({ run, onCancel }: { run: Run; onCancel: () => void }) {
  const { job, phase, share, lost } = run;
  const uploading = phase === "uploading";
  if (!uploading && (phase === "ended" || (job && !isPending(job)))) return null;
  const text = uploading ? "Uploading" : job ? stepText(job) : "Waiting for the server";
  return (
    <div className="tryon-progress">
      <label className="progress">
        <span>
          {/* Spoken once per step; the percents beside it would never end. */}
          <span role="status">{text}</span>
          {uploading && `, ${number(100 * share)} %`}
          {job?.state === "running" && `, ${number(100 * job.progress)} %`}
        </span>
        <progress value={uploading ? share : job?.state === "queued" ? undefined : job?.progress} />
      </label>
      {lost && <Badge tone="warn">connecting again</Badge>}
      {(uploading || job) && (
        <button type="button" className="button" onClick={onCancel}>
          Cancel
        </button>
      )}
    </div>
  );
}

function Details({ run }: { run: Run }) {
  const { job, after, kind } = run;
  if (!job) return null;
  const { title, tone } = STATES[job.state];
  return (
    <>
      <Facts
        facts={[
          [
            "State",
            <Badge key="state" tone={tone}>
              {title}
            </Badge>,
          ], // prettier than a word alone
          ["Seed", job.seed === null ? NO_VALUE : String(job.seed)],
          ["Size", job.width ? `${job.width} × ${job.height}` : NO_VALUE],
          ["Inference", milliseconds(job.inference_time_ms)],
        ]}
      />
      {job.photorealistic === false && (
        <p className="quiet small">
          This engine bends the garment’s photo onto the person. It shows colour, print and fit
          roughly and is no photograph.
        </p>
      )}
      {job.ignored.length > 0 && (
        <p className="quiet small">Without effect here: {job.ignored.join(", ")}.</p>
      )}
      <div className="tryon-actions">
        {after && (
          <a className="button" href={after} download={`${job.job_id}.${kind}`}>
            Download
          </a>
        )}
        <span className="quiet mono tryon-id">{job.job_id}</span>
      </div>
    </>
  );
}
