import { type FormEvent, useRef, useState } from "react";
import { Card } from "../../components/Card";
import { FileButton } from "../../components/FileButton";
import { EmptyState } from "../../components/Notice";
import { SampleButton } from "../../components/SampleButton";
import { useFileDrop } from "../../hooks/useFileDrop";
import { CameraDialog } from "./CameraDialog";
import { EnrollmentResult } from "./EnrollmentResult";
import { PoseSlot } from "./PoseSlot";
import { POSES, type Pose } from "./poses";
import type { Enrollment } from "./useEnrollment";

interface EnrollmentCardProps {
  title: string;
  /** What the person is called where no employee id is entered. */
  defaultId: string;
  enrollment: Enrollment;
}

/** Pictures of one person in up to five poses, and the vector made of them. */
export function EnrollmentCard({ title, defaultId, enrollment }: EnrollmentCardProps) {
  const { shots, enrolled, busy, add, put, remove, run } = enrollment;
  const [employeeId, setEmployeeId] = useState("");
  const [taking, setTaking] = useState<readonly Pose[]>([]);
  const form = useRef<HTMLFormElement>(null);
  const over = useFileDrop(add, form);
  const empty = POSES.filter((pose) => !shots[pose]);
  const count = POSES.length - empty.length;

  function submit(event: FormEvent) {
    event.preventDefault();
    void run(employeeId.trim() || defaultId);
  }

  return (
    <Card title={title}>
      <form ref={form} className={`enrollment ${over ? "enrollment-over" : ""}`} onSubmit={submit}>
        <div className="enrollment-tools">
          <FileButton onFiles={add} accept="image/*" multiple>
            Choose pictures<span className="visually-hidden"> of {title}</span>
          </FileButton>
          <button
            type="button"
            className="button"
            onClick={() => setTaking(empty.length ? empty : POSES)}
          >
            Use camera<span className="visually-hidden"> for {title}</span>
          </button>
          <SampleButton samples={["astronaut.jpg"]} onFiles={add} purpose={`for ${title}`} />
          <label className="field">
            <span>Employee id</span>
            <input
              value={employeeId}
              placeholder={defaultId}
              autoComplete="off"
              spellCheck={false}
              onChange={(event) => setEmployeeId(event.target.value)}
            />
          </label>
        </div>
        <ol className="poses" aria-label={`Poses of ${title}`}>
          {POSES.map((pose) => (
            <PoseSlot
              key={pose}
              pose={pose}
              shot={shots[pose]}
              busy={busy}
              onFile={put}
              onCamera={(chosen) => setTaking([chosen])}
              onRemove={remove}
            />
          ))}
        </ol>
        <div className="enrollment-tools">
          <button type="submit" className="button button-primary" disabled={!count}>
            {busy ? "Making the vector…" : "Make vector"}
          </button>
          <span className="quiet small">
            {count} of {POSES.length} poses
          </span>
        </div>
      </form>
      <div className="enrollment-result" role="status" aria-busy={busy}>
        {enrolled ? (
          <EnrollmentResult
            enrolled={enrolled}
            shots={shots}
            onRetake={(pose) => setTaking([pose])}
          />
        ) : (
          <EmptyState icon="face">
            {count ? "No vector of these pictures yet." : "One picture is enough, five are better."}
          </EmptyState>
        )}
      </div>
      {taking.length > 0 && (
        <CameraDialog poses={taking} onPicture={put} onClose={() => setTaking([])} />
      )}
    </Card>
  );
}
