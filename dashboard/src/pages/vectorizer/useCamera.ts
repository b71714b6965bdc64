import { useEffect, useState } from "react";

const PROBLEMS: Readonly<Record<string, string>> = {
  NotAllowedError: "The camera may not be used: allow it for this site in the browser, then retry.",
  NotFoundError: "No camera was found.",
  NotReadableError: "The camera is used by another program.",
  OverconstrainedError: "No camera was found.",
};
const NOT_THERE = "This browser gives the camera only to pages on HTTPS or localhost.";

/** Why the camera cannot be used, in words. */
export function cameraProblem(error: unknown): string {
  const name = error instanceof DOMException ? error.name : "";
  return PROBLEMS[name] ?? "The camera cannot be used.";
}

export interface Camera {
  /** Null until the camera runs. */
  stream: MediaStream | null;
  problem: string | null;
}

/** Use the camera as long as the component is mounted; the browser asks the person first. */
export function useCamera(): Camera {
  const [camera, setCamera] = useState<Camera>({ stream: null, problem: null });
  useEffect(() => {
    let gone = false;
    let running: MediaStream | null = null;
    const stop = (stream: MediaStream | null) => {
      for (const track of stream?.getTracks() ?? []) track.stop();
    };
    // Missing, against its type, on pages that are not secure.
    const devices = navigator.mediaDevices as MediaDevices | undefined;
    if (!devices) {
      setCamera({ stream: null, problem: NOT_THERE });
      return;
    }
    // More pixels than the embedder sees are of no use, but faces may be far away.
    const video = { facingMode: "user", width: { ideal: 1280 }, height: { ideal: 960 } };
    devices.getUserMedia({ video, audio: false }).then(
      (stream) => {
        if (gone) return stop(stream);
        running = stream;
        setCamera({ stream, problem: null });
      },
      (error: unknown) => {
        if (!gone) setCamera({ stream: null, problem: cameraProblem(error) });
      },
    );
    return () => {
      gone = true;
      stop(running);
    };
  }, []);
  return camera;
}
