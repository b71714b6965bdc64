/** Face vectors and what their cosine says. */

/** Cosine from which two vectors are likely of one person, and below which they are likely not:
 * with the packaged embedder the vectors of one person in varied pictures reach 0.6, those of
 * different people stay below 0.45. */
export const SAME_FROM = 0.5;
export const DIFFERENT_BELOW = 0.4;

/** Euclidean length. */
export function norm(vector: Float32Array): number {
  return Math.hypot(...vector);
}

/**
 * Return the cosine of two vectors, -1 to 1; null where they differ in length or one of them has
 * no direction.
 */
export function cosine(a: Float32Array, b: Float32Array): number | null {
  const scale = norm(a) * norm(b);
  if (a.length !== b.length || scale === 0) return null;
  const dot = a.reduce((sum, value, index) => sum + value * (b[index] ?? 0), 0);
  return Math.min(1, Math.max(-1, dot / scale));
}

/** What the cosine of two face vectors says, in plain words. */
export function reading(similarity: number): { tone: "good" | "warn" | "quiet"; text: string } {
  if (similarity >= SAME_FROM) return { tone: "good", text: "The same person is likely" };
  if (similarity >= DIFFERENT_BELOW) return { tone: "warn", text: "Too close to tell" };
  return { tone: "quiet", text: "Different people are likely" };
}
