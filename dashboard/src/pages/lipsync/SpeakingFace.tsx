import { useEffect, useRef } from "react";
import type { Clip } from "./useClip";

const SIDE = 320;
const FRAMES_PER_SECOND = 25;

/** Draws the frame of the moment while the sound plays; the sound's own controls are the clip's. */
export function SpeakingFace({ clip }: { clip: Clip }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const sound = useRef<HTMLAudioElement>(null);

  useEffect(() => {
    const strip = new Image();
    let request = 0;
    const draw = () => {
      const last = strip.naturalHeight / SIDE - 1;
      const seconds = sound.current?.currentTime ?? 0;
      const row = Math.min(last, Math.floor(seconds * FRAMES_PER_SECOND)) * SIDE;
      canvas.current?.getContext("2d")?.drawImage(strip, 0, row, SIDE, SIDE, 0, 0, SIDE, SIDE);
      request = requestAnimationFrame(draw);
    };
    strip.onload = () => {
      draw();
      // Refused where nobody has clicked yet; the controls are there for that.
      sound.current?.play()?.catch(() => undefined);
    };
    strip.src = clip.frames;
    return () => {
      strip.onload = null;
      cancelAnimationFrame(request);
    };
  }, [clip]);

  return (
    <>
      <canvas
        ref={canvas}
        width={SIDE}
        height={SIDE}
        role="img"
        aria-label={`${clip.tenant} speaks`}
      />
      {/* biome-ignore lint/a11y/useMediaCaption: vowels that say nothing */}
      <audio ref={sound} src={clip.sound} controls aria-label="What it says" />
    </>
  );
}
