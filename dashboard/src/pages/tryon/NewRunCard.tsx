import type { FormEvent } from "react";
import { Badge } from "../../components/Badge";
import { Card } from "../../components/Card";
import { SampleButton } from "../../components/SampleButton";
import { OptionsForm } from "./OptionsForm";
import { engineTitle, isPhotorealistic, type Options } from "./options";
import { PhotoSlot } from "./PhotoSlot";
import type { Part, Photos } from "./photos";

interface NewRunCardProps {
  photos: Photos;
  options: Options;
  engine: string | null;
  /** Whether a job is being uploaded or computed. */
  busy: boolean;
  onFile: (part: Part, file: File) => void;
  onRemove: (part: Part) => void;
  onOptions: (options: Options) => void;
  onRun: () => void;
}

/** What a try-on starts from: two pictures, options, and the button. */
export function NewRunCard(props: NewRunCardProps) {
  const { photos, options, engine, busy, onFile, onRemove, onOptions, onRun } = props;
  const complete = photos.person !== null && photos.garment !== null;
  const submit = (event: FormEvent) => {
    event.preventDefault();
    onRun();
  };
  return (
    <Card title="New try-on" aside={engine && <EngineBadge name={engine} />}>
      <form className="tryon-form" onSubmit={submit}>
        <ul className="photos">
          <PhotoSlot part="person" photo={photos.person} onFile={onFile} onRemove={onRemove} />
          <PhotoSlot part="garment" photo={photos.garment} onFile={onFile} onRemove={onRemove} />
        </ul>
        <OptionsForm options={options} engine={engine} onChange={onOptions} />
        <div className="tryon-actions">
          <button type="submit" className="button button-primary" disabled={!complete || busy}>
            Try it on
          </button>
          <SampleButton
            samples={["person.jpg", "garment.jpg"]}
            onFiles={([person, garment]) => {
              if (person) onFile("person", person);
              if (garment) onFile("garment", garment);
            }}
          />
          {!complete && <span className="quiet small">Choose both pictures first.</span>}
        </div>
      </form>
    </Card>
  );
}

/** Which engine it is, and whether its pictures pass for photographs. */
export function EngineBadge({
  name,
  photorealistic = isPhotorealistic(name),
}: {
  name: string;
  photorealistic?: boolean | null;
}) {
  return (
    <span className="badges">
      <Badge tone="accent">{engineTitle(name)}</Badge>
      {photorealistic === false && <Badge tone="warn">not photorealistic</Badge>}
    </span>
  );
}
