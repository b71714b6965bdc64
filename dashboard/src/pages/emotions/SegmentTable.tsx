import type { EmotionSegment } from "../../api/types";
import { NO_VALUE, percent } from "../../format";
import { colourOf, lanes, seconds } from "./timeline";

/** The same segments as the chart, for those who read rather than look. */
export function SegmentTable({ segments }: { segments: readonly EmotionSegment[] }) {
  const several = lanes(segments).length > 1;
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a scrolling region has to be reachable
    <section className="table-scroll segments" aria-label="Segments as a table" tabIndex={0}>
      <table>
        <thead>
          <tr>
            {several && <th scope="col">Person</th>}
            <th scope="col">Emotion</th>
            <th scope="col" className="numeric">
              From
            </th>
            <th scope="col" className="numeric">
              To
            </th>
            <th scope="col" className="numeric">
              Confidence
            </th>
            <th scope="col">Course</th>
          </tr>
        </thead>
        <tbody>
          {segments.map((segment) => (
            <tr key={`${segment.person} ${segment.start_s}`}>
              {several && <td>{(segment.person ?? 0) + 1}</td>}
              <th scope="row">
                <i className="swatch" style={{ background: colourOf(segment.emotion) }} />
                {segment.emotion}
              </th>
              <td className="numeric">{seconds(segment.start_s)}</td>
              <td className="numeric">{seconds(segment.end_s)}</td>
              <td className="numeric">{percent(segment.confidence)}</td>
              <td>
                {segment.trend ?? NO_VALUE}
                {segment.uncertain && ", uncertain"}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}
