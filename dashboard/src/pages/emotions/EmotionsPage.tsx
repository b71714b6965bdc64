import { useRef, useState } from "react";
import { Card } from "../../components/Card";
import { DropZone } from "../../components/DropZone";
import { Icon } from "../../components/Icon";
import { EmptyState } from "../../components/Notice";
import { SampleButton } from "../../components/SampleButton";
import { number } from "../../format";
import { ClipCard, type Preview } from "./ClipCard";
import { RecorderDialog } from "./RecorderDialog";
import { SegmentTable } from "./SegmentTable";
import { StoryCard } from "./StoryCard";
import { TimelineStrip } from "./TimelineStrip";
import { MOST_BYTES, useStory } from "./useStory";

/** Upload or record a clip; read the story and see when which emotion showed. */
export default function EmotionsPage() {
  const { clip, phase, story, choose, run, cancel } = useStory();
  const [lastPreview, setPreview] = useState<Preview | null>(null);
  const [time, setTime] = useState(0);
  const [recording, setRecording] = useState(false);
  const video = useRef<HTMLVideoElement>(null);
  const preview = lastPreview?.url === clip?.url ? lastPreview : null;
  const seek = (second: number) => {
    if (!video.current) return;
    video.current.currentTime = second;
    setTime(second);
  };
  const busy = phase.name !== "idle";
  return (
    <>
      <p className="lead">Clips go to the emotion models of this server; nothing is stored.</p>
      <DropZone
        onFiles={choose}
        title="Choose a clip"
        hint={`or drop it here. MP4, QuickTime, 3GP or WebM, up to ${number(MOST_BYTES / 2 ** 20)} MiB.`}
        accept="video/mp4,video/quicktime,video/3gpp,video/webm,.mp4,.mov,.3gp,.webm"
      />
      <p className="sample">
        <button type="button" className="button clip-record" onClick={() => setRecording(true)}>
          <Icon name="camera" />
          Record a clip
        </button>
        <SampleButton samples={["clip.mp4"]} onFiles={choose} />
      </p>
      {recording && (
        <RecorderDialog onClip={(file) => choose([file])} onClose={() => setRecording(false)} />
      )}
      <div className="emotions">
        {clip && (
          <ClipCard
            clip={clip}
            phase={phase}
            video={video}
            preview={preview}
            onPreview={setPreview}
            onTime={setTime}
            onRun={() => void run()}
            onCancel={cancel}
          />
        )}
        <StoryCard story={story} busy={busy} />
      </div>
      {story && (
        <Card title="Timeline">
          {story.emotions.length ? (
            <>
              <TimelineStrip
                segments={story.emotions}
                duration={story.duration_s}
                time={time}
                onSeek={preview?.playable ? seek : null}
              />
              <SegmentTable segments={story.emotions} />
            </>
          ) : (
            <EmptyState icon="film">
              {story.engine === "vlm"
                ? "The vision-language model tells a story without a timeline."
                : "No face was seen, so there is no timeline."}
            </EmptyState>
          )}
        </Card>
      )}
    </>
  );
}
