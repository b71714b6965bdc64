import { useCallback, useRef, useState } from "react";
import { FileButton } from "../../components/FileButton";
import { Icon } from "../../components/Icon";
import { bytes } from "../../format";
import { useFileDrop } from "../../hooks/useFileDrop";
import { GUIDANCE, KINDS, type Part, type Photo, TITLES } from "./photos";

interface PhotoSlotProps {
  part: Part;
  photo: Photo | null;
  onFile: (part: Part, file: File) => void;
  onRemove: (part: Part) => void;
}

/** The place of one picture: drop it here, or choose it. */
export function PhotoSlot({ part, photo, onFile, onRemove }: PhotoSlotProps) {
  const slot = useRef<HTMLLIElement>(null);
  const take = useCallback(
    ([file]: readonly File[]) => {
      if (file) onFile(part, file);
    },
    [onFile, part],
  );
  const over = useFileDrop(take, slot);
  const title = TITLES[part];
  return (
    <li ref={slot} className={`photo ${over ? "photo-over" : ""}`}>
      <div className="photo-head">
        <h3>{title}</h3>
        {photo && (
          <button
            type="button"
            className="icon-button"
            aria-label={`Remove the ${part}`}
            onClick={() => onRemove(part)}
          >
            <Icon name="close" />
          </button>
        )}
      </div>
      <FileButton className="photo-choose" onFiles={take} accept={KINDS.join(",")}>
        <span className="visually-hidden">
          {photo ? `Replace the ${part}` : `Choose the ${part}`}
        </span>
        {photo ? (
          <Preview key={photo.url} part={part} photo={photo} />
        ) : (
          <>
            <Icon name={part === "person" ? "face" : "shirt"} />
            <span className="photo-title">Choose or drop</span>
            <span className="quiet">{GUIDANCE[part]}</span>
          </>
        )}
      </FileButton>
      <p className="photo-facts quiet">
        {photo ? `${photo.file.name}, ${bytes(photo.file.size)}` : "JPEG, PNG, WebP or AVIF"}
      </p>
    </li>
  );
}

function Preview({ part, photo }: { part: Part; photo: Photo }) {
  const [broken, setBroken] = useState(false);
  if (broken) return <span className="quiet">This browser cannot show the picture.</span>;
  return <img src={photo.url} alt={`Preview of the ${part}`} onError={() => setBroken(true)} />;
}
