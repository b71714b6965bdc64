import { describe, expect, it } from "vitest";
import {
  cellColours,
  cosineMatrix,
  scaleStart,
  sentences,
} from "../../../src/pages/text/similarity";

describe("sentences", () => {
  it("takes one per line and leaves out empty ones", () => {
    expect(sentences(" one \r\n\n\ttwo\n   \nthree")).toEqual(["one", "two", "three"]);
  });
});

describe("cosineMatrix", () => {
  it("measures angles, not lengths", () => {
    const matrix = cosineMatrix([
      [1, 0],
      [3, 3],
      [-2, 0],
    ]);
    const half = Math.SQRT1_2;
    const expected = [
      [1, half, -1],
      [half, 1, -half],
      [-1, -half, 1],
    ];
    for (const [i, row] of expected.entries())
      for (const [j, value] of row.entries()) expect(matrix[i]?.[j]).toBeCloseTo(value, 12);
  });

  it("gives a vector without direction no similarity", () => {
    expect(
      cosineMatrix([
        [0, 0],
        [1, 0],
      ]),
    ).toEqual([
      [0, 0],
      [0, 1],
    ]);
  });

  it("stays within -1 and 1 despite rounding", () => {
    const vector = [0.1, 0.2, 0.3];
    expect(cosineMatrix([vector, vector])[0]?.[1]).toBeLessThanOrEqual(1);
  });
});

describe("cellColours", () => {
  /** Contrast ratio of WCAG 2.2, computed from its definition. */
  function contrast(background: string, white: boolean): number {
    const [r, g, b] = (background.match(/\d+/g) ?? []).map((channel) => {
      const share = Number(channel) / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    }) as [number, number, number];
    const luminance = 0.2126 * r + 0.7152 * g + 0.0722 * b;
    return white ? 1.05 / (luminance + 0.05) : (luminance + 0.05) / 0.05;
  }

  it("is readable on every colour of the scale", () => {
    for (let step = 0; step <= 200; step++) {
      const { background, color } = cellColours(step / 200, 0);
      expect(contrast(background, color === "#fff")).toBeGreaterThanOrEqual(4.5);
    }
  });

  it("ends where the scale ends", () => {
    expect(cellColours(1, -0.3).background).toBe("rgb(254 232 56)");
    expect(cellColours(-0.3, -0.3).background).toBe("rgb(0 34 78)");
    expect(cellColours(-9, 0)).toEqual(cellColours(0, 0));
  });

  it("begins at 0 unless there are negative values", () => {
    expect(scaleStart([[1, 0.4]])).toBe(0);
    expect(scaleStart([[1, -0.25]])).toBe(-0.25);
  });
});
