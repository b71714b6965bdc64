import { useState } from "react";
import { Bars } from "../../components/Bars";
import { Facts } from "../../components/Facts";
import { Icon } from "../../components/Icon";
import { Skeleton } from "../../components/Notice";
import { milliseconds, number, percent } from "../../format";
import type { Outcome } from "./outcome";
import type { Picture } from "./useClassifier";

/** A picture with what the model says about it. */
export function PictureCard({ picture }: { picture: Picture }) {
  return (
    <article className="card picture-card" aria-label={picture.name}>
      <Preview picture={picture} />
      <div className="picture-answer">
        <h2 className="picture-name" title={picture.name}>
          {picture.name}
        </h2>
        {picture.outcome ? (
          <Answer outcome={picture.outcome} />
        ) : (
          <Skeleton height={268} label="Classifying" />
        )}
      </div>
    </article>
  );
}

function Preview({ picture }: { picture: Picture }) {
  const [broken, setBroken] = useState(false);
  return (
    <div className="picture-preview">
      {broken ? (
        <Icon name="picture" />
      ) : (
        <img src={picture.url} alt={`Preview of ${picture.name}`} onError={() => setBroken(true)} />
      )}
    </div>
  );
}

function Answer({ outcome }: { outcome: Outcome }) {
  if ("problem" in outcome) {
    return (
      <div className="failure">
        <Icon name="warning" />
        <p>{outcome.problem}</p>
      </div>
    );
  }
  const { result } = outcome;
  const bars = result.top5.map(({ label, confidence }) => ({
    label,
    value: confidence,
    text: percent(confidence),
  }));
  return (
    <>
      <Bars bars={bars} label="Most likely labels" />
      <Facts
        facts={[
          ["Latency", milliseconds(result.latency_ms)],
          ["Throughput", `${number(result.throughput_fps, 1)} /s`],
          ["Batch size", number(result.batch_size)],
          ["Model", result.model],
          ["Engine", result.engine],
        ]}
      />
    </>
  );
}
