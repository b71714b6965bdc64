import { useEffect, useId, useState } from "react";
import { Icon } from "../../components/Icon";

interface DropZoneProps {
  onFiles: (files: readonly File[]) => void;
}

/** Takes pictures: dropped anywhere on the page, pasted, or chosen with pointer or keyboard. */
export function DropZone({ onFiles }: DropZoneProps) {
  const [over, setOver] = useState(false);
  const hint = useId();

  useEffect(() => {
    function drag(event: DragEvent) {
      if (!event.dataTransfer?.types.includes("Files")) return;
      event.preventDefault(); // or the browser would leave for the dropped file
      setOver(true);
    }
    function leave(event: DragEvent) {
      if (event.relatedTarget === null) setOver(false);
    }
    function drop(event: DragEvent) {
      if (!event.dataTransfer?.files.length) return;
      event.preventDefault();
      setOver(false);
      onFiles([...event.dataTransfer.files]);
    }
    function paste(event: ClipboardEvent) {
      if (event.clipboardData?.files.length) onFiles([...event.clipboardData.files]);
    }
    window.addEventListener("dragover", drag);
    window.addEventListener("dragleave", leave);
    window.addEventListener("drop", drop);
    window.addEventListener("paste", paste);
    return () => {
      window.removeEventListener("dragover", drag);
      window.removeEventListener("dragleave", leave);
      window.removeEventListener("drop", drop);
      window.removeEventListener("paste", paste);
    };
  }, [onFiles]);

  return (
    <label className={`dropzone ${over ? "dropzone-over" : ""}`}>
      <input
        type="file"
        className="visually-hidden"
        accept="image/*"
        multiple
        aria-describedby={hint}
        onChange={(event) => {
          onFiles([...(event.target.files ?? [])]);
          event.target.value = ""; // so that the same file can be chosen again
        }}
      />
      <Icon name="upload" />
      <span className="dropzone-title">Choose pictures</span>
      <span id={hint} className="quiet">
        or drop them here, or paste one. JPEG, PNG, WebP, BMP or GIF.
      </span>
    </label>
  );
}
