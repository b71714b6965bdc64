import { useCallback, useEffect, useRef, useState } from "react";

/** Longest recording in seconds. */
export const LONGEST = 30;
const BITS_PER_SECOND = 2_500_000; // 9 MB in all
// WebM first, which Chromium and Firefox write; Safari knows MP4 alone.
const KINDS = [
  { type: "video/webm;codecs=vp8", ending: "webm" },
  { type: "video/webm", ending: "webm" },
  { type: "video/mp4", ending: "mp4" },
] as const;

export interface Recording {
  /** Whole seconds that are left while it runs, else null. */
  left: number | null;
  problem: string | null;
  start: () => void;
  /** Ends it; the clip comes to `onClip`. */
  stop: () => void;
}

/** Records what a camera shows; given up without a clip when the component goes away. */
export function useRecorder(stream: MediaStream | null, onClip: (clip: File) => void): Recording {
  const [left, setLeft] = useState<number | null>(null);
  const [problem, setProblem] = useState<string | null>(null);
  const running = useRef<MediaRecorder | null>(null);
  const give = useRef(onClip);
  useEffect(() => {
    give.current = onClip;
  }, [onClip]);

  const drop = useCallback(() => {
    const recorder = running.current;
    running.current = null;
    if (recorder?.state === "recording") recorder.stop();
  }, []);
  useEffect(() => drop, [drop]);

  const stop = useCallback(() => {
    if (running.current?.state === "recording") running.current.stop();
  }, []);

  useEffect(() => {
    if (left === null) return;
    if (left === 0) return stop();
    const timer = setTimeout(() => setLeft((seconds) => seconds && seconds - 1), 1000);
    return () => clearTimeout(timer);
  }, [left, stop]);

  const start = useCallback(() => {
    const kind =
      "MediaRecorder" in window && KINDS.find(({ type }) => MediaRecorder.isTypeSupported(type));
    if (!stream || !kind) return setProblem("This browser cannot record clips.");
    const { type, ending } = kind;
    const parts: Blob[] = [];
    const failed = () => {
      drop();
      setLeft(null);
      setProblem("The recording failed.");
    };
    try {
      const recorder = new MediaRecorder(stream, {
        mimeType: type,
        videoBitsPerSecond: BITS_PER_SECOND,
      });
      recorder.ondataavailable = ({ data }) => parts.push(data);
      recorder.onerror = failed;
      recorder.onstop = () => {
        if (running.current !== recorder) return; // given up
        running.current = null;
        setLeft(null);
        const name = `recording-${new Date().toISOString().slice(0, 19).replace(/\D/g, "-")}`;
        give.current(new File(parts, `${name}.${ending}`, { type: type.split(";")[0] as string }));
      };
      recorder.start();
      running.current = recorder;
    } catch {
      return failed();
    }
    setProblem(null);
    setLeft(LONGEST);
  }, [stream, drop]);

  return { left, problem, start, stop };
}
