import { type FormEvent, useState } from "react";
import { bertScore } from "../../api/client";
import type { BertScore } from "../../api/types";
import { Bars } from "../../components/Bars";
import { Card } from "../../components/Card";
import { EmptyState } from "../../components/Notice";
import { number } from "../../format";
import { useAction } from "../../hooks/useAction";

/** Two texts and how much one says of the other. */
export function ScorePanel() {
  const [candidate, setCandidate] = useState("A man plays the guitar.");
  const [reference, setReference] = useState("Someone is playing guitar.");
  const { result, busy, run } = useAction<BertScore>("BERTScore failed");

  function submit(event: FormEvent) {
    event.preventDefault();
    void run((signal) => bertScore(candidate, reference, signal));
  }

  return (
    <Card title="BERTScore">
      <form className="form" onSubmit={submit}>
        <div className="form-pair">
          <label>
            <span>Candidate</span>
            <textarea
              rows={4}
              value={candidate}
              onChange={(event) => setCandidate(event.target.value)}
            />
          </label>
          <label>
            <span>Reference</span>
            <textarea
              rows={4}
              value={reference}
              onChange={(event) => setReference(event.target.value)}
            />
          </label>
        </div>
        <button
          type="submit"
          className="button button-primary"
          disabled={!candidate.trim() || !reference.trim()}
        >
          {busy ? "Scoring…" : "Score"}
        </button>
      </form>
      <div className="score-result" role="status" aria-busy={busy}>
        {result ? <Score score={result} /> : <EmptyState icon="text">No score yet.</EmptyState>}
      </div>
    </Card>
  );
}

function Score({ score }: { score: BertScore }) {
  const bars = [
    { label: "Precision", value: score.precision[0] ?? 0 },
    { label: "Recall", value: score.recall[0] ?? 0 },
    { label: "F1", value: score.f1[0] ?? 0 },
  ].map((bar) => ({ ...bar, text: number(bar.value, 4) }));
  return (
    <>
      <Bars bars={bars} label="Scores" />
      <p className="quiet small">Model: {score.model}</p>
    </>
  );
}
