/** Cosine similarity and its colours. */

/** Fewest and most sentences of a heat map. */
export const FEWEST = 2;
export const MOST = 50;

/** Return the lines that hold text, without the space around them. */
export function sentences(text: string): string[] {
  return text
    .split(/\r?\n/)
    .map((line) => line.trim())
    .filter(Boolean);
}

function dot(a: readonly number[], b: readonly number[]): number {
  return a.reduce((sum, value, index) => sum + value * (b[index] ?? 0), 0);
}

/**
 * Return the cosine of every pair of vectors, [n][n], -1 to 1.
 *
 * A vector of length zero has no direction: its cosine with anything is 0.
 */
export function cosineMatrix(vectors: readonly (readonly number[])[]): number[][] {
  const lengths = vectors.map((vector) => Math.sqrt(dot(vector, vector)));
  return vectors.map((a, i) =>
    vectors.map((b, j) => {
      const scale = (lengths[i] ?? 0) * (lengths[j] ?? 0);
      return scale === 0 ? 0 : Math.min(1, Math.max(-1, dot(a, b) / scale));
    }),
  );
}

type Rgb = readonly [number, number, number];

/** Cividis at ten equal steps: even in lightness, and the same to colour-blind eyes
 * (Nuñez, Anderton, Renslow, PLOS ONE 13(7), 2018). */
const CIVIDIS: readonly Rgb[] = [
  [0, 34, 78],
  [18, 53, 112],
  [59, 73, 108],
  [87, 93, 109],
  [112, 113, 115],
  [138, 134, 120],
  [165, 156, 116],
  [195, 179, 105],
  [225, 204, 85],
  [254, 232, 56],
];

/** Return the colour at `position`, 0 to 1; beyond the ends it stays the same. */
function colourAt(position: number): Rgb {
  const place = Math.min(1, Math.max(0, position)) * (CIVIDIS.length - 1);
  const below = Math.floor(place);
  const from = CIVIDIS[below] ?? CIVIDIS[0];
  const to = CIVIDIS[below + 1] ?? from;
  const mix = (channel: 0 | 1 | 2) => {
    const start = from?.[channel] ?? 0;
    return Math.round(start + ((to?.[channel] ?? start) - start) * (place - below));
  };
  return [mix(0), mix(1), mix(2)];
}

/** Relative luminance, 0 to 1 (WCAG 2.2, definition of relative luminance). */
function luminance(colour: Rgb): number {
  const [red, green, blue] = colour.map((channel) => {
    const share = channel / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  }) as [number, number, number];
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

/** Background of a cell and the text colour that reads best on it. */
export interface CellColours {
  background: string;
  color: "#000" | "#fff";
}

/** Return the colours for `value` on a scale from `low` to 1. */
export function cellColours(value: number, low: number): CellColours {
  const colour = colourAt((value - low) / (1 - low));
  const light = luminance(colour);
  // Contrast ratio (WCAG 2.2) of black, (L + 0.05) / 0.05, against that of white, 1.05 / (L + 0.05).
  const black = (light + 0.05) ** 2 > 1.05 * 0.05;
  return { background: `rgb(${colour.join(" ")})`, color: black ? "#000" : "#fff" };
}

/** Return where the scale begins: at 0, or at the lowest value where there are negative ones. */
export function scaleStart(matrix: readonly (readonly number[])[]): number {
  return Math.min(0, ...matrix.flat());
}
