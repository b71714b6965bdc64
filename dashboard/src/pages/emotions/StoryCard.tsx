import type { Story } from "../../api/types";
import { Badge } from "../../components/Badge";
import { Card } from "../../components/Card";
import { Facts } from "../../components/Facts";
import { EmptyState, Skeleton } from "../../components/Notice";
import { milliseconds, number } from "../../format";
import { seconds } from "./timeline";

const ENGINES: Readonly<Record<string, string>> = {
  "expression-timeline": "Timeline engine",
  vlm: "Vision-language model",
};

/** The story and what told it. */
export function StoryCard({ story, busy }: { story: Story | null; busy: boolean }) {
  return (
    <Card title="Story" aside={story && <Engine story={story} />}>
      <div className="story" role="status" aria-busy={busy}>
        {story ? (
          <>
            <blockquote>{story.story}</blockquote>
            {story.truncated && (
              <p>
                <Badge tone="warn">The clip ends early or is damaged</Badge>
              </p>
            )}
          </>
        ) : busy ? (
          <Skeleton height={96} label="Reading the clip" />
        ) : (
          <EmptyState icon="film">The story of a clip appears here.</EmptyState>
        )}
      </div>
      {story && (
        <>
          <Facts
            facts={[
              ["Clip", seconds(story.duration_s)],
              ["Frames read", number(story.frames_analyzed)],
              ["Time", milliseconds(story.inference_ms)],
            ]}
          />
          <p className="quiet small">
            Model: {story.model} · event {story.event_id}
          </p>
        </>
      )}
    </Card>
  );
}

function Engine({ story }: { story: Story }) {
  return (
    <span className="badges">
      <Badge tone="accent">{ENGINES[story.engine] ?? story.engine}</Badge>
      {story.fallback && <Badge tone="warn">Fallback</Badge>}
    </span>
  );
}
