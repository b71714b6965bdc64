import { useEffect, useRef, useState } from "react";
import { useFileDrop } from "../../hooks/useFileDrop";
import { JobsCard } from "./JobsCard";
import { NewRunCard } from "./NewRunCard";
import { configOf, DEFAULTS, type Options, uuid } from "./options";
import { RunCard } from "./RunCard";
import { useEngine } from "./useEngine";
import { usePhotos } from "./usePhotos";
import { useRun } from "./useRun";
import { isPending } from "./words";

/** Put a garment on a person: hand a job in, watch it, compare, and see all jobs. */
export default function TryonPage() {
  const engine = useEngine();
  const { photos, put, remove, add } = usePhotos();
  const [options, setOptions] = useState<Options>(DEFAULTS);
  const { run, start, show, cancel, choose } = useRun();
  useFileDrop(add);
  const result = useRef<HTMLDivElement>(null);
  const id = run?.id;
  useEffect(() => {
    if (id) result.current?.scrollIntoView({ block: "nearest" });
  }, [id]);

  const busy = run !== null && run.phase !== "ended" && (!run.job || isPending(run.job));
  const submit = () => {
    const { person, garment } = photos;
    if (!person || !garment) return;
    void start({
      jobId: uuid(),
      person: person.file,
      garment: garment.file,
      config: configOf(options, engine),
    });
  };
  return (
    <>
      <p className="lead">
        Pictures go to the try-on model of this server, which keeps them until the job expires.
      </p>
      <div className="tryon">
        <NewRunCard
          photos={photos}
          options={options}
          engine={engine}
          busy={busy}
          onFile={put}
          onRemove={remove}
          onOptions={setOptions}
          onRun={submit}
        />
        <div ref={result}>
          <RunCard run={run} onCancel={cancel} onChoose={choose} />
        </div>
      </div>
      <JobsCard onShow={(job) => void show(job)} />
    </>
  );
}
