import { Badge } from "../../components/Badge";
import { Card } from "../../components/Card";
import { EmptyState } from "../../components/Notice";
import { number } from "../../format";
import type { Enrolled } from "./useEnrollment";
import { cosine, reading, SAME_FROM } from "./vector";

interface ComparisonProps {
  first: Enrolled | null;
  second: Enrolled | null;
}

/** How alike two enrollments are. */
export function Comparison({ first, second }: ComparisonProps) {
  return (
    <Card title="Similarity of A and B">
      <div className="comparison" role="status">
        {first && second ? (
          <Similarity first={first} second={second} />
        ) : (
          <EmptyState icon="face">Make the vectors of A and B to compare them.</EmptyState>
        )}
      </div>
    </Card>
  );
}

function Similarity({ first, second }: { first: Enrolled; second: Enrolled }) {
  const { weights } = first.answer;
  const similarity = cosine(first.vector, second.vector);
  if (weights !== second.answer.weights || similarity === null)
    return (
      <EmptyState icon="warning">
        The vectors come from different models and cannot be compared. Make them again.
      </EmptyState>
    );
  const { tone, text } = reading(similarity);
  return (
    <>
      <p className="comparison-reading">
        <strong>{number(similarity, 3)}</strong>
        <Badge tone={tone}>{text}</Badge>
      </p>
      {/* biome-ignore lint/a11y/useSemanticElements: a meter element cannot draw its bar from 0 */}
      <div
        className="similarity"
        role="meter"
        aria-label="Cosine similarity"
        aria-valuemin={-1}
        aria-valuemax={1}
        aria-valuenow={Number(similarity.toFixed(3))}
        aria-valuetext={`${number(similarity, 3)}: ${text}`}
      >
        <span className="similarity-bar" style={{ width: `${Math.max(0, similarity) * 100}%` }} />
        <span className="similarity-mark" style={{ left: `${SAME_FROM * 100}%` }} />
      </div>
      <p className="similarity-scale quiet" aria-hidden="true">
        <span>0</span>
        <span>{number(SAME_FROM, 1)}</span>
        <span>1</span>
      </p>
      <p className="quiet small">
        Cosine similarity, −1 to 1. From {number(SAME_FROM, 1)} the same person is likely: a guide
        for the embedder {weights}, not a proof of identity.
      </p>
    </>
  );
}
