import { type RefObject, useRef } from "react";
import { Card } from "../../components/Card";
import { number } from "../../format";
import type { Clip, Phase } from "./useStory";

/** Whether the browser can play the clip of this address. */
export interface Preview {
  url: string;
  playable: boolean;
}

interface ClipCardProps {
  clip: Clip;
  phase: Phase;
  video: RefObject<HTMLVideoElement | null>;
  preview: Preview | null;
  onPreview: (preview: Preview) => void;
  onTime: (second: number) => void;
  onRun: () => void;
  onCancel: () => void;
}

/** The chosen clip: a preview from the disk, and the way to its story. */
export function ClipCard(props: ClipCardProps) {
  const { clip, phase, video, preview, onPreview, onTime, onRun, onCancel } = props;
  const start = useRef<HTMLButtonElement>(null);
  const cancel = () => {
    start.current?.focus(); // the button that has the focus goes away
    onCancel();
  };
  return (
    <Card title={clip.file.name} className="clip">
      {preview && !preview.playable ? (
        <p className="quiet">This browser cannot play the clip. The server may still read it.</p>
      ) : (
        // biome-ignore lint/a11y/useMediaCaption: a person's own clip, which nobody has captioned
        <video
          key={clip.url}
          ref={video}
          src={clip.url}
          controls
          playsInline
          preload="auto"
          aria-label={`Preview of ${clip.file.name}`}
          onLoadedData={() => onPreview({ url: clip.url, playable: true })}
          onError={() => onPreview({ url: clip.url, playable: false })}
          onTimeUpdate={(event) => onTime(event.currentTarget.currentTime)}
        />
      )}
      <div className="clip-actions">
        <button ref={start} type="button" className="button button-primary" onClick={onRun}>
          Tell the story
        </button>
        {phase.name !== "idle" && (
          <button type="button" className="button" onClick={cancel}>
            Cancel
          </button>
        )}
        <Progress phase={phase} />
      </div>
    </Card>
  );
}

function Progress({ phase }: { phase: Phase }) {
  if (phase.name === "idle") return null;
  const uploading = phase.name === "uploading";
  return (
    <label className="progress">
      <span>{uploading ? `Uploading, ${number(100 * phase.share)} %` : "Reading the faces…"}</span>
      <progress value={uploading ? phase.share : undefined} />
    </label>
  );
}
