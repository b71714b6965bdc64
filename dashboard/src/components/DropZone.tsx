import { useEffect, useId } from "react";
import { useFileDrop } from "../hooks/useFileDrop";
import { FileButton } from "./FileButton";
import { Icon } from "./Icon";

interface DropZoneProps {
  onFiles: (files: readonly File[]) => void;
  title: string;
  /** What else can be done, and which kinds of files there are. */
  hint: string;
  accept: string;
  multiple?: boolean;
}

/** Takes files: dropped anywhere on the page, pasted, or chosen with pointer or keyboard. */
export function DropZone({ onFiles, title, hint, accept, multiple = false }: DropZoneProps) {
  const over = useFileDrop(onFiles);
  const id = useId();

  useEffect(() => {
    function paste(event: ClipboardEvent) {
      if (event.clipboardData?.files.length) onFiles([...event.clipboardData.files]);
    }
    window.addEventListener("paste", paste);
    return () => window.removeEventListener("paste", paste);
  }, [onFiles]);

  return (
    <FileButton
      className={`dropzone ${over ? "dropzone-over" : ""}`}
      onFiles={onFiles}
      accept={accept}
      multiple={multiple}
      describedBy={id}
    >
      <Icon name="upload" />
      <span className="dropzone-title">{title}</span>
      <span id={id} className="quiet">
        {hint}
      </span>
    </FileButton>
  );
}
