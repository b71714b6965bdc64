/** One bar; `value` is a fraction, drawn from 0 to 1. */
export interface Bar {
  label: string;
  value: number;
  /** The value as it is written beside the bar. */
  text: string;
}

/** Horizontal bars with their values as text. */
export function Bars({ bars, label }: { bars: readonly Bar[]; label: string }) {
  return (
    <ol className="bars" aria-label={label}>
      {bars.map((bar, index) => (
        // Labels of a model need not be unique.
        // biome-ignore lint/suspicious/noArrayIndexKey: the place in the order is the identity
        <li key={index}>
          <span className="bar-label">{bar.label}</span>
          <span className="bar-value">{bar.text}</span>
          <span className="bar-track" aria-hidden="true">
            <span style={{ width: `${Math.min(1, Math.max(0, bar.value)) * 100}%` }} />
          </span>
        </li>
      ))}
    </ol>
  );
}
