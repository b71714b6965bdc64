import { useEffect, useId, useLayoutEffect, useRef, useState } from "react";
import { Icon } from "../../components/Icon";
import { useCamera } from "../vectorizer/useCamera";
import { LONGEST, useRecorder } from "./useRecorder";

interface RecorderDialogProps {
  onClip: (clip: File) => void;
  onClose: () => void;
}

/** Records one clip; the camera is on only while the dialog is open. */
export function RecorderDialog({ onClip, onClose }: RecorderDialogProps) {
  const camera = useCamera();
  const [showing, setShowing] = useState(false);
  const dialog = useRef<HTMLDialogElement>(null);
  const video = useRef<HTMLVideoElement>(null);
  const title = useId();
  const { left, problem, start, stop } = useRecorder(camera.stream, (clip) => {
    onClip(clip);
    onClose();
  });
  const trouble = camera.problem ?? problem;

  // Closed while it is still in the document, so that the focus goes back to where it was.
  useLayoutEffect(() => {
    const element = dialog.current;
    if (!element?.open) element?.showModal();
    return () => element?.close();
  }, []);
  useEffect(() => {
    if (video.current) video.current.srcObject = camera.stream;
  }, [camera.stream]);

  return (
    <dialog ref={dialog} className="dialog camera" aria-labelledby={title} onCancel={onClose}>
      <h2 id={title}>Record a clip</h2>
      {trouble ? (
        <p className="failure" role="alert">
          <Icon name="warning" />
          {trouble}
        </p>
      ) : (
        <>
          <p role="status">
            {!showing && "Waiting for the camera…"}
            {showing && left === null && `Up to ${LONGEST} seconds, without sound.`}
            {left !== null && <strong>Recording.</strong>}
            {left !== null && <span aria-hidden="true"> {left} s left</span>}
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
        {!trouble && (
          <button
            type="button"
            className="button button-primary"
            disabled={!showing}
            onClick={left === null ? start : stop}
          >
            {left === null ? "Start recording" : "Stop recording"}
          </button>
        )}
      </div>
    </dialog>
  );
}
