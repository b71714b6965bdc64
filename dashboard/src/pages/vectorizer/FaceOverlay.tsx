import type { PictureReport } from "../../api/types";

/** A picture's size in pixels, upright. */
export interface Size {
  width: number;
  height: number;
}

interface FaceOverlayProps {
  report: PictureReport;
  size: Size;
}

/** Outlines the face over a picture that is fitted into the same place. */
export function FaceOverlay({ report, size }: FaceOverlayProps) {
  const { box, landmarks } = report;
  if (!box) return null;
  const [x, y, width, height] = box;
  const dot = width / 16;
  return (
    <svg
      className="face-overlay"
      viewBox={`0 0 ${size.width} ${size.height}`}
      role="img"
      aria-label={`Face of ${Math.round(width)} by ${Math.round(height)} pixels`}
    >
      {/* Twice: a dark edge keeps it visible on any picture. */}
      <rect className="face-edge" x={x} y={y} width={width} height={height} />
      <rect className="face-box" x={x} y={y} width={width} height={height} />
      {landmarks?.map(([left, top]) => (
        <circle key={`${left} ${top}`} className="face-point" cx={left} cy={top} r={dot} />
      ))}
    </svg>
  );
}
