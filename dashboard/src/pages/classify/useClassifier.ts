import { useCallback, useEffect, useRef, useState } from "react";
import { showToast } from "../../components/toasts";
import { classifyAll, type Outcome, spokenSummary } from "./outcome";

/** A chosen picture; `outcome` is null while the server works on it. */
export interface Picture {
  id: string;
  name: string;
  /** Object URL of the file, for the preview. */
  url: string;
  outcome: Outcome | null;
}

interface Classifier {
  pictures: readonly Picture[];
  /** For the live region; empty while nothing was answered. */
  spoken: string;
  busy: boolean;
  choose: (files: readonly File[]) => void;
}

function announceProblems(names: readonly string[], outcomes: readonly Outcome[]): void {
  const problems = outcomes.flatMap((outcome, index) =>
    "problem" in outcome ? [{ name: names[index] ?? "", text: outcome.problem }] : [],
  );
  const [first, second] = problems;
  if (!first) return;
  if (!second) showToast("error", first.name, first.text);
  else if (problems.every((problem) => problem.text === first.text))
    showToast("error", `${problems.length} pictures failed`, first.text);
  else
    showToast(
      "error",
      `${problems.length} of ${names.length} pictures failed`,
      problems.map((problem) => `${problem.name}: ${problem.text}`).join("\n"),
    );
}

/** Keeps the chosen pictures and their answers; a new choice replaces the last one. */
export function useClassifier(): Classifier {
  const [pictures, setPictures] = useState<readonly Picture[]>([]);
  const [spoken, setSpoken] = useState("");
  const request = useRef<AbortController | null>(null);
  const urls = useRef<string[]>([]);

  const drop = useCallback(() => {
    request.current?.abort();
    for (const url of urls.current.splice(0)) URL.revokeObjectURL(url);
  }, []);
  useEffect(() => drop, [drop]);

  const choose = useCallback(
    (files: readonly File[]) => {
      if (!files.length) return;
      drop();
      const controller = new AbortController();
      request.current = controller;
      const chosen = files.map((file) => {
        const url = URL.createObjectURL(file);
        urls.current.push(url);
        return { id: url, name: file.name || "Pasted picture", url, outcome: null };
      });
      const names = chosen.map((picture) => picture.name);
      setPictures(chosen);
      setSpoken("");
      const show = (outcomes: readonly Outcome[]) =>
        setPictures(chosen.map((picture, i) => ({ ...picture, outcome: outcomes[i] ?? null })));
      classifyAll(files, controller.signal, show).then(
        (outcomes) => {
          if (controller.signal.aborted) return;
          setSpoken(spokenSummary(names, outcomes));
          announceProblems(names, outcomes);
        },
        () => {}, // aborted: another choice has taken its place
      );
    },
    [drop],
  );

  const busy = pictures.some((picture) => picture.outcome === null);
  return { pictures, spoken, busy, choose };
}
