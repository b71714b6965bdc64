import { type CSSProperties, useState } from "react";

interface CompareSliderProps {
  before: string;
  after: string;
}

interface Size {
  width: number;
  height: number;
}

/** Shapes that differ by less than this are the same picture, resized to multiples of 16. */
const SAME_SHAPE = 0.08;

/**
 * Two pictures over each other, with a handle between what is seen of the first and the second.
 *
 * The handle is a native range input: pointer, touch, arrow keys and screen readers come with it.
 */
export function CompareSlider({ before, after }: CompareSliderProps) {
  const [shown, setShown] = useState(50);
  const [first, setFirst] = useState<Size | null>(null);
  const [second, setSecond] = useState<Size | null>(null);
  const style = { "--shown": `${shown}%` } as CSSProperties;
  return (
    <div
      className="compare"
      style={second ? { ...style, aspectRatio: `${second.width} / ${second.height}` } : style}
    >
      <img
        src={after}
        alt="After: with the garment"
        onLoad={({ currentTarget }) => setSecond(sizeOf(currentTarget))}
      />
      <img
        className={`compare-before ${sameShape(first, second) ? "" : "compare-other-shape"}`}
        src={before}
        alt="Before: as uploaded"
        onLoad={({ currentTarget }) => setFirst(sizeOf(currentTarget))}
      />
      <span className="compare-label compare-label-before" aria-hidden="true" hidden={shown < 15}>
        Before
      </span>
      <span className="compare-label compare-label-after" aria-hidden="true" hidden={shown > 85}>
        After
      </span>
      <input
        type="range"
        min={0}
        max={100}
        step={1}
        value={shown}
        aria-label="How much of the picture before is shown"
        aria-valuetext={`${shown} % before, ${100 - shown} % after`}
        onChange={(event) => setShown(Number(event.target.value))}
      />
      <span className="compare-handle" aria-hidden="true" />
    </div>
  );
}

function sizeOf({ naturalWidth: width, naturalHeight: height }: HTMLImageElement): Size | null {
  return width && height ? { width, height } : null;
}

function sameShape(first: Size | null, second: Size | null): boolean {
  if (!first || !second) return true;
  const ratio = (first.width * second.height) / (first.height * second.width);
  return Math.abs(Math.log(ratio)) < SAME_SHAPE;
}
