import { number } from "../../format";
import { cellColours, scaleStart } from "./similarity";

const LEGEND_STEPS = [0, 0.25, 0.5, 0.75, 1];

interface HeatMapProps {
  texts: readonly string[];
  /** Cosine of every pair, [n][n]. */
  matrix: readonly (readonly number[])[];
}

/** A table of similarities whose cells are coloured by their value. */
export function HeatMap({ texts, matrix }: HeatMapProps) {
  const low = scaleStart(matrix);
  return (
    <>
      <div className="heat-legend" aria-hidden="true">
        <span>{number(low, 2)}</span>
        {LEGEND_STEPS.map((step) => (
          <i key={step} style={cellColours(low + step * (1 - low), low)} />
        ))}
        <span>{number(1, 2)}</span>
      </div>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a scrolling region has to be reachable */}
      <section className="table-scroll heat" aria-label="Similarity heat map" tabIndex={0}>
        <table>
          <caption className="visually-hidden">
            Cosine similarity of every pair of sentences
          </caption>
          <thead>
            <tr>
              <th scope="col">Sentence</th>
              {texts.map((text, column) => (
                // Sentences may repeat.
                // biome-ignore lint/suspicious/noArrayIndexKey: the line number is the identity
                <th key={column} scope="col" title={text}>
                  {column + 1}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {matrix.map((row, line) => (
              // biome-ignore lint/suspicious/noArrayIndexKey: the line number is the identity
              <tr key={line}>
                <th scope="row" title={texts[line]}>
                  <span className="heat-number">{line + 1}</span> {texts[line]}
                </th>
                {row.map((value, column) => (
                  // biome-ignore lint/suspicious/noArrayIndexKey: the line number is the identity
                  <td key={column} style={cellColours(value, low)}>
                    {number(value, 2)}
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </section>
    </>
  );
}
