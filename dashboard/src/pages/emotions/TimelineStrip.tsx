import type { KeyboardEvent } from "react";
import type { EmotionSegment } from "../../api/types";
import { colourOf, emotionsIn, lanes, seconds, segmentText, ticks } from "./timeline";

/** Height of a drawing in its own units; its width is the clip in seconds. */
const HEIGHT = 100;

interface TimelineProps {
  segments: readonly EmotionSegment[];
  /** Seconds. */
  duration: number;
  /** Where the preview is, in seconds. */
  time: number;
  /** Moves the preview; null where it cannot be played. */
  onSeek: ((second: number) => void) | null;
}

/** Emotions over time: one lane a person, a bar as high as the confidence. */
export function TimelineStrip({ segments, ...rest }: TimelineProps) {
  const people = lanes(segments);
  return (
    <figure className="timeline" aria-label="Emotions over time">
      {people.map((person, place) => {
        const title = people.length > 1 ? `Segments of person ${place + 1}` : "Segments";
        return <Lane key={title} title={title} segments={person} {...rest} />;
      })}
      <p className="timeline-ticks quiet" aria-hidden="true">
        {ticks(rest.duration).map((second) => (
          <span key={second}>{seconds(second)}</span>
        ))}
      </p>
      <ul className="legend" aria-label="Colours">
        {emotionsIn(segments).map((emotion) => (
          <li key={emotion}>
            <i className="swatch" style={{ background: colourOf(emotion) }} />
            {emotion}
          </li>
        ))}
      </ul>
      <figcaption className="quiet small">
        {people.length > 1 && "One lane a person, from left to right in the picture. "}A bar is as
        high as the mean confidence; gaps are without a face.
        {rest.onSeek && " Choose a segment to see it in the preview."}
      </figcaption>
    </figure>
  );
}

function Lane({ title, segments, duration, time, onSeek }: TimelineProps & { title: string }) {
  const share = (length: number) => `${(100 * length) / duration}%`;
  return (
    <div>
      <div className="timeline-labels" aria-hidden="true">
        {segments.map(({ start_s, end_s, emotion }) => (
          <span key={start_s} style={{ left: share(start_s), width: share(end_s - start_s) }}>
            {emotion}
          </span>
        ))}
      </div>
      {/* biome-ignore lint/a11y/useSemanticElements: a fieldset cannot hold a drawing's parts */}
      <svg
        viewBox={`0 0 ${duration} ${HEIGHT}`}
        preserveAspectRatio="none"
        role="group"
        aria-label={title}
      >
        <rect className="timeline-lane" width={duration} height={HEIGHT} />
        {segments.map((segment) => (
          <Segment key={segment.start_s} segment={segment} onSeek={onSeek} />
        ))}
        {onSeek && <line className="timeline-now" x1={time} x2={time} y1={0} y2={HEIGHT} />}
      </svg>
    </div>
  );
}

interface SegmentProps {
  segment: EmotionSegment;
  onSeek: ((second: number) => void) | null;
}

function Segment({ segment, onSeek }: SegmentProps) {
  const { start_s: start, end_s: end, emotion, confidence } = segment;
  const bar = Math.max(0.04, confidence) * HEIGHT;
  const shapes = (
    <>
      <title>{segmentText(segment)}</title>
      <rect className="timeline-hit" x={start} width={end - start} height={HEIGHT} />
      <rect x={start} y={HEIGHT - bar} width={end - start} height={bar} fill={colourOf(emotion)} />
    </>
  );
  if (!onSeek) return <g>{shapes}</g>;
  const press = (event: KeyboardEvent) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault(); // or the space bar would scroll the page
    onSeek(start);
  };
  return (
    // biome-ignore lint/a11y/useSemanticElements: a drawing has no button element
    <g
      className="timeline-segment"
      role="button"
      tabIndex={0}
      aria-label={segmentText(segment)}
      onClick={() => onSeek(start)}
      onKeyDown={press}
    >
      {shapes}
    </g>
  );
}
