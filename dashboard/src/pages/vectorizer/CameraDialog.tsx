import { useEffect, useId, useLayoutEffect, useRef, useState } from "react";
import { Icon } from "../../components/Icon";
import { GUIDANCE, type Pose, poseTitle } from "./poses";
import { useCamera } from "./useCamera";

const QUALITY = 0.92;

/** Return what the video shows as a JPEG in the camera's resolution; null while it shows nothing. */
async function still(video: HTMLVideoElement, name: string): Promise<File | null> {
  const canvas = document.createElement("canvas");
  canvas.width = video.videoWidth;
  canvas.height = video.videoHeight;
  canvas.getContext("2d")?.drawImage(video, 0, 0);
  const blob = await new Promise<Blob | null>((done) => canvas.toBlob(done, "image/jpeg", QUALITY));
  return blob && new File([blob], name, { type: blob.type });
}

interface CameraDialogProps {
  /** The poses to take, in order; at least one. */
  poses: readonly Pose[];
  onPicture: (pose: Pose, file: File) => void;
  onClose: () => void;
}

/** Takes one picture a pose; the camera is on only while the dialog is open. */
export function CameraDialog({ poses, onPicture, onClose }: CameraDialogProps) {
  const { stream, problem } = useCamera();
  const [place, setPlace] = useState(0);
  const [showing, setShowing] = useState(false);
  const dialog = useRef<HTMLDialogElement>(null);
  const video = useRef<HTMLVideoElement>(null);
  const title = useId();
  const pose = poses[place] ?? "front";

  // Closed while it is still in the document, so that the focus goes back to where it was.
  useLayoutEffect(() => {
    const element = dialog.current;
    if (!element?.open) element?.showModal();
    return () => element?.close();
  }, []);
  useEffect(() => {
    if (video.current) video.current.srcObject = stream;
  }, [stream]);

  async function take() {
    const file = video.current && (await still(video.current, `${pose}.jpg`));
    if (!file) return;
    onPicture(pose, file);
    if (place + 1 < poses.length) setPlace(place + 1);
    else onClose();
  }

  return (
    <dialog ref={dialog} className="dialog camera" aria-labelledby={title} onCancel={onClose}>
      <h2 id={title}>Camera</h2>
      {problem ? (
        <p className="failure" role="alert">
          <Icon name="warning" />
          {problem}
        </p>
      ) : (
        <>
          <p role="status">
            <strong>
              {poseTitle(pose)}
              {poses.length > 1 && ` (${place + 1} of ${poses.length})`}
            </strong>{" "}
            {showing ? GUIDANCE[pose] : "Waiting for the camera…"}
          </p>
          <video
            ref={video}
            autoPlay
            muted
            playsInline
            aria-label="What the camera sees, mirrored"
            onLoadedData={() => setShowing(true)}
          />
        </>
      )}
      <div className="dialog-actions">
        <button type="button" className="button" onClick={onClose}>
          Close
        </button>
        {!problem && (
          <button
            type="button"
            className="button button-primary"
            disabled={!showing}
            onClick={() => void take()}
          >
            Take picture
          </button>
        )}
      </div>
    </dialog>
  );
}
