import { type FormEvent, useId, useState } from "react";
import { embed } from "../../api/client";
import { Card } from "../../components/Card";
import { EmptyState } from "../../components/Notice";
import { useAction } from "../../hooks/useAction";
import { HeatMap } from "./HeatMap";
import { cosineMatrix, FEWEST, MOST, sentences } from "./similarity";

const EXAMPLE = `The weather is lovely today.
It is so sunny outside!
He drove to the stadium.
She took the train to the match.`;

interface Similarities {
  texts: string[];
  matrix: number[][];
  model: string;
  dimensions: number;
}

async function compare(texts: string[], signal: AbortSignal): Promise<Similarities> {
  const { embeddings, model, dimensions } = await embed(texts, signal);
  return { texts, matrix: cosineMatrix(embeddings), model, dimensions };
}

/** Sentences and a heat map of how close they are in meaning. */
export function SimilarityPanel() {
  const [input, setInput] = useState(EXAMPLE);
  const { result, busy, run } = useAction<Similarities>("Similarity failed");
  const hint = useId();
  const texts = sentences(input);
  const fits = texts.length >= FEWEST && texts.length <= MOST;

  function submit(event: FormEvent) {
    event.preventDefault();
    void run((signal) => compare(texts, signal));
  }

  return (
    <Card title="Sentence similarity">
      <form className="form" onSubmit={submit}>
        <label>
          <span>Sentences</span>
          <textarea
            rows={6}
            value={input}
            aria-describedby={hint}
            onChange={(event) => setInput(event.target.value)}
          />
        </label>
        <p id={hint} className={fits ? "quiet small" : "form-problem small"}>
          One per line, {FEWEST} to {MOST}. Now {texts.length}.
        </p>
        <button type="submit" className="button button-primary" disabled={!fits}>
          {busy ? "Comparing…" : "Compare"}
        </button>
      </form>
      <p className="visually-hidden" role="status">
        {result && `Heat map of ${result.texts.length} sentences is ready.`}
      </p>
      {result ? (
        <>
          <HeatMap texts={result.texts} matrix={result.matrix} />
          <p className="quiet small">
            Model: {result.model} · {result.dimensions} dimensions
          </p>
        </>
      ) : (
        <EmptyState icon="text">No comparison yet.</EmptyState>
      )}
    </Card>
  );
}
