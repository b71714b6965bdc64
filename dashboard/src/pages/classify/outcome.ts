import { classify, classifyBatch } from "../../api/client";
import { detailText, errorText } from "../../api/errors";
import type { Classification } from "../../api/types";

/** What became of one picture: its classification, or why there is none. */
export type Outcome = { result: Classification } | { problem: string };

/** Most files and bytes of one request, below what the gateway takes by default. */
const MOST_FILES = 16;
const MOST_BYTES = 24 * 2 ** 20;

/** Return the files in groups that fit into one request each; a large file goes alone. */
export function groups(files: readonly File[]): File[][] {
  const found: File[][] = [];
  let bytes = 0;
  for (const file of files) {
    const group = found.at(-1);
    if (group && group.length < MOST_FILES && bytes + file.size <= MOST_BYTES) {
      group.push(file);
      bytes += file.size;
    } else {
      found.push([file]);
      bytes = file.size;
    }
  }
  return found;
}

async function classifyGroup(files: readonly File[], signal: AbortSignal): Promise<Outcome[]> {
  const [first, second] = files;
  try {
    if (first && !second) return [{ result: await classify(first, signal) }];
    const { results } = await classifyBatch(files, signal);
    return files.map((_, index) => {
      const entry = results[index];
      if (!entry) return { problem: "The server sent no answer for this picture." };
      if (!("error" in entry)) return { result: entry };
      return { problem: detailText(entry.error.detail, entry.error.status) };
    });
  } catch (error) {
    if (signal.aborted) throw error;
    return files.map(() => ({ problem: errorText(error) }));
  }
}

/**
 * Classify the pictures, several in one request.
 *
 * @param onGroup Called with all outcomes so far whenever a request was answered.
 * @returns One outcome per file, in order.
 * @throws {unknown} Only what aborting `signal` throws; failures are outcomes.
 */
export async function classifyAll(
  files: readonly File[],
  signal: AbortSignal,
  onGroup: (outcomes: readonly Outcome[]) => void,
): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  for (const group of groups(files)) {
    outcomes.push(...(await classifyGroup(group, signal)));
    if (!signal.aborted) onGroup([...outcomes]);
  }
  return outcomes;
}

/** What a screen reader hears when the answers are there. */
export function spokenSummary(names: readonly string[], outcomes: readonly Outcome[]): string {
  const parts = outcomes.map((outcome, index) => {
    if ("problem" in outcome) return `${names[index]}: failed. ${outcome.problem}`;
    const { label, confidence } = outcome.result.top1;
    return `${names[index]}: ${label}, ${Math.round(confidence * 100)} percent`;
  });
  return parts.join(". ");
}
