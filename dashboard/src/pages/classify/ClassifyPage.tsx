import { DropZone } from "../../components/DropZone";
import { EmptyState } from "../../components/Notice";
import { SampleButton } from "../../components/SampleButton";
import { PictureCard } from "./PictureCard";
import { useClassifier } from "./useClassifier";

/** Upload pictures and read their five most likely labels. */
export default function ClassifyPage() {
  const { pictures, spoken, busy, choose } = useClassifier();
  return (
    <>
      <p className="lead">Pictures go to the image classifier; nothing is stored.</p>
      <DropZone
        onFiles={choose}
        title="Choose pictures"
        hint="or drop them here, or paste one. JPEG, PNG, WebP, AVIF, BMP or GIF."
        accept="image/*"
        multiple
      />
      <p className="sample">
        <SampleButton samples={["chelsea.jpg"]} onFiles={choose} />
      </p>
      <p className="visually-hidden" role="status">
        {busy ? "Classifying" : spoken}
      </p>
      <div className={pictures.length > 1 ? "pictures pictures-many" : "pictures"} aria-busy={busy}>
        {pictures.length === 0 && (
          <EmptyState icon="picture">Labels and confidences appear here.</EmptyState>
        )}
        {pictures.map((picture) => (
          <PictureCard key={picture.id} picture={picture} />
        ))}
      </div>
    </>
  );
}
