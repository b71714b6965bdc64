import { fetchSample } from "../api/client";
import { useAction } from "../hooks/useAction";

/** Files that come with the dashboard (`public/samples`). */
export type Sample = "chelsea.jpg" | "astronaut.jpg" | "person.jpg" | "garment.jpg" | "clip.mp4";

interface SampleButtonProps {
  samples: readonly Sample[];
  /** Called with them, as if they had been chosen. */
  onFiles: (files: readonly File[]) => void;
  /** What it is, where there are several kinds. */
  kind?: string;
  /** What the sample is for, where a page has several of these buttons. */
  purpose?: string;
}

/** Takes files that are already here, so that the first click shows something. */
export function SampleButton({ samples, onFiles, kind, purpose }: SampleButtonProps) {
  const { busy, run } = useAction<null>("No sample");
  const take = () =>
    void run(async (signal) => {
      onFiles(await Promise.all(samples.map((name) => fetchSample(name, signal))));
      return null;
    });
  return (
    <button type="button" className="button" disabled={busy} onClick={take}>
      {kind ? `Use a sample ${kind}` : "Use a sample"}
      {purpose && <span className="visually-hidden">{` ${purpose}`}</span>}
    </button>
  );
}
