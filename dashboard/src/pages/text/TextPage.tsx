import { ScorePanel } from "./ScorePanel";
import { SimilarityPanel } from "./SimilarityPanel";

/** Try the text service. */
export default function TextPage() {
  return (
    <div className="text-panels">
      <ScorePanel />
      <SimilarityPanel />
    </div>
  );
}
