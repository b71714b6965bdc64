import { useCallback, useEffect, useRef, useState } from "react";
import type { PictureQuality, PictureReport } from "../../api/types";
import { Badge, type Tone } from "../../components/Badge";
import { FileButton } from "../../components/FileButton";
import { Icon } from "../../components/Icon";
import { number, percent } from "../../format";
import { useFileDrop } from "../../hooks/useFileDrop";
import { FaceOverlay, type Size } from "./FaceOverlay";
import { concern, GUIDANCE, type Pose, poseTitle } from "./poses";
import type { Shot } from "./useEnrollment";

interface PoseSlotProps {
  pose: Pose;
  shot: Shot | undefined;
  busy: boolean;
  onFile: (pose: Pose, file: File) => void;
  onCamera: (pose: Pose) => void;
  onRemove: (pose: Pose) => void;
}

function stateOf(pose: Pose, { report, problem }: Shot, busy: boolean): [Tone, string] {
  if (busy) return ["accent", "Checking…"];
  if (problem) return ["bad", problem];
  if (!report) return ["quiet", "Not sent yet"];
  const wrong = concern(pose, report);
  if (wrong) return ["warn", wrong];
  return report.faces > 1 ? ["warn", `Used: 1 of ${report.faces} faces`] : ["good", "Used"];
}

/** One pose: its picture, what became of it, and how to take another. */
export function PoseSlot({ pose, shot, busy, onFile, onCamera, onRemove }: PoseSlotProps) {
  const slot = useRef<HTMLLIElement>(null);
  const take = useCallback(
    ([file]: readonly File[]) => {
      if (file) onFile(pose, file);
    },
    [onFile, pose],
  );
  const over = useFileDrop(take, slot);
  const title = poseTitle(pose);
  return (
    <li ref={slot} className={`pose ${over ? "pose-over" : ""}`} aria-label={title}>
      <div className="pose-head">
        <h3>{title}</h3>
        {shot && (
          <button
            type="button"
            className="icon-button"
            aria-label={`Remove the picture of ${pose}`}
            onClick={() => onRemove(pose)}
          >
            <Icon name="close" />
          </button>
        )}
      </div>
      <div className="pose-picture">
        {shot ? <Preview key={shot.url} pose={pose} shot={shot} /> : <p>{GUIDANCE[pose]}</p>}
      </div>
      <p className="pose-state">
        {shot ? (
          <State pose={pose} shot={shot} busy={busy} />
        ) : (
          <span className="quiet">Empty</span>
        )}
      </p>
      {shot?.report?.quality && <Figures report={shot.report} quality={shot.report.quality} />}
      <div className="pose-actions">
        <FileButton onFiles={take} accept="image/*" className="button button-small">
          {shot ? "Replace" : "Choose"}
          <span className="visually-hidden">: {pose}</span>
        </FileButton>
        <button
          type="button"
          className="button button-small"
          aria-label={`Camera: ${pose}`}
          onClick={() => onCamera(pose)}
        >
          <Icon name="camera" />
        </button>
      </div>
    </li>
  );
}

/** Whole degrees, and no minus before a 0. */
function degrees(value: number): string {
  return `${number(Math.round(value) || 0)}°`;
}

function Figures({ report, quality }: { report: PictureReport; quality: PictureQuality }) {
  const { consistency } = report;
  return (
    <p className="pose-figures quiet">
      Quality {percent(quality.score)} · {number(quality.size, 0)} px
      <br />
      Yaw {degrees(quality.yaw)}, pitch {degrees(quality.pitch)}
      {typeof consistency === "number" && (
        <>
          <br />
          Like the others: {number(consistency, 2)}
        </>
      )}
    </p>
  );
}

function State({ pose, shot, busy }: { pose: Pose; shot: Shot; busy: boolean }) {
  const [tone, text] = stateOf(pose, shot, busy);
  return <Badge tone={tone}>{text}</Badge>;
}

function Preview({ pose, shot }: { pose: Pose; shot: Shot }) {
  const [size, setSize] = useState<Size | null>(null);
  const [broken, setBroken] = useState(false);
  const image = useRef<HTMLImageElement>(null);
  const measure = useCallback(() => {
    // After the orientation that the file asks for, as the server counts its pixels.
    const { naturalWidth: width = 0, naturalHeight: height = 0 } = image.current ?? {};
    if (width && height) setSize({ width, height });
  }, []);
  useEffect(measure, [measure]);
  if (broken) return <Icon name="picture" />;
  return (
    <>
      <img
        ref={image}
        src={shot.url}
        alt={`Preview of ${pose}`}
        onLoad={measure}
        onError={() => setBroken(true)}
      />
      {shot.report && size && <FaceOverlay report={shot.report} size={size} />}
    </>
  );
}
