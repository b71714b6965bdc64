import { useCallback, useEffect, useRef, useState } from "react";
import { tellStory } from "../../api/client";
import { errorText } from "../../api/errors";
import type { Story } from "../../api/types";
import { showToast } from "../../components/toasts";
import { number } from "../../format";

/** Largest clip in bytes, the gateway's default. */
export const MOST_BYTES = 32 * 2 ** 20;
const TITLE = "Emotions";

export interface Clip {
  file: File;
  /** Object URL, for the preview. */
  url: string;
}

/** What is being done; `share`, 0 to 1, is how much of the clip has gone out. */
export type Phase = { name: "idle" } | { name: "uploading"; share: number } | { name: "reading" };

const IDLE: Phase = { name: "idle" };

export interface StoryState {
  clip: Clip | null;
  phase: Phase;
  /** The answer for this very clip. */
  story: Story | null;
  choose: (files: readonly File[]) => void;
  run: () => Promise<void>;
  cancel: () => void;
}

/** Why a file is not even sent, or null. */
export function clipProblem(file: File): string | null {
  if (!file.size) return `${file.name} is empty.`;
  if (file.size <= MOST_BYTES) return null;
  const [size, most] = [file.size, MOST_BYTES].map((bytes) => bytes / 2 ** 20);
  return `${file.name} has ${number(size, 1)} MiB; a clip may have ${number(most)} MiB.`;
}

/** Name of an event as devices form it. */
function eventId(): string {
  return `EV2-${Date.now()}-dashboard`;
}

/** Keeps a clip and what is told about it. */
export function useStory(): StoryState {
  const [clip, setClip] = useState<Clip | null>(null);
  const [phase, setPhase] = useState<Phase>(IDLE);
  const [story, setStory] = useState<Story | null>(null);
  const request = useRef<AbortController | null>(null);

  useEffect(() => () => request.current?.abort(), []);
  useEffect(() => () => (clip ? URL.revokeObjectURL(clip.url) : undefined), [clip]);

  const cancel = useCallback(() => {
    request.current?.abort();
    setPhase(IDLE);
  }, []);

  const choose = useCallback(
    ([file, second]: readonly File[]) => {
      if (!file) return;
      if (second) showToast("info", TITLE, "One clip at a time: the first one was taken.");
      const problem = clipProblem(file);
      if (problem) return showToast("error", TITLE, problem);
      cancel();
      setStory(null);
      setClip({ file, url: URL.createObjectURL(file) });
    },
    [cancel],
  );

  const run = useCallback(async () => {
    if (!clip) return;
    request.current?.abort();
    const controller = new AbortController();
    const { signal } = controller;
    request.current = controller;
    setStory(null);
    setPhase({ name: "uploading", share: 0 });
    const uploaded = (share: number) => {
      if (!signal.aborted) setPhase(share < 1 ? { name: "uploading", share } : { name: "reading" });
    };
    try {
      const told = await tellStory(eventId(), clip.file, uploaded, signal);
      if (!signal.aborted) setStory(told);
    } catch (error) {
      if (!signal.aborted) showToast("error", `${clip.file.name} failed`, errorText(error));
    } finally {
      if (!signal.aborted) setPhase(IDLE);
    }
  }, [clip]);

  return { clip, phase, story, choose, run, cancel };
}
