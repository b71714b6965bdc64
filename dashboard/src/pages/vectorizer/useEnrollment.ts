import { useCallback, useEffect, useRef, useState } from "react";
import { decodeFloats } from "../../api/base64";
import { vectorize } from "../../api/client";
import { ApiError, errorText } from "../../api/errors";
import type { FaceVector, PictureReport } from "../../api/types";
import { showToast } from "../../components/toasts";
import { POSES, type Pose, placeFiles } from "./poses";

/** The picture of a pose, and what the server said about it. */
export interface Shot {
  file: File;
  /** Object URL, for the preview. */
  url: string;
  report: PictureReport | null;
  /** Why the server refused it. */
  problem: string | null;
}

export type Shots = Readonly<Partial<Record<Pose, Shot>>>;

/** An answered enrollment: it belongs to exactly the pictures that are shown. */
export interface Enrolled {
  answer: FaceVector;
  vector: Float32Array;
}

export interface Enrollment {
  shots: Shots;
  enrolled: Enrolled | null;
  busy: boolean;
  /** Put files into the places that are empty. */
  add: (files: readonly File[]) => void;
  put: (pose: Pose, file: File) => void;
  remove: (pose: Pose) => void;
  run: (employeeId: string) => Promise<void>;
}

/** The place in the request of the picture that the detail names, such as `Image 2 (right) …`. */
function namedPlace(error: unknown): number | null {
  const found =
    error instanceof ApiError
      ? /^(?:Invalid image data: )?Image (\d+)\b/.exec(error.message)
      : null;
  return found ? Number(found[1]) : null;
}

/**
 * Keeps the pictures of one person and the vector made of them.
 *
 * @param title What messages about it begin with.
 */
export function useEnrollment(title: string): Enrollment {
  const [shots, setShots] = useState<Shots>({});
  const [enrolled, setEnrolled] = useState<Enrolled | null>(null);
  const [busy, setBusy] = useState(false);
  // The newest pictures, for what happens between two renderings.
  const current = useRef<Shots>({});
  const request = useRef<AbortController | null>(null);

  const show = useCallback((next: Shots) => {
    current.current = next;
    setShots(next);
  }, []);

  /** Take other pictures: the vector of the old ones is no longer theirs. */
  const change = useCallback(
    (next: Shots) => {
      request.current?.abort();
      setEnrolled(null);
      for (const pose of POSES) {
        const old = current.current[pose];
        if (old && old.url !== next[pose]?.url) URL.revokeObjectURL(old.url);
      }
      show(next);
    },
    [show],
  );
  useEffect(
    () => () => {
      request.current?.abort();
      for (const shot of Object.values(current.current)) URL.revokeObjectURL(shot.url);
    },
    [],
  );

  const place = useCallback(
    (placed: readonly (readonly [Pose, File])[]) => {
      const added = placed.map(([pose, file]): [Pose, Shot] => [
        pose,
        { file, url: URL.createObjectURL(file), report: null, problem: null },
      ]);
      change({ ...current.current, ...Object.fromEntries(added) });
    },
    [change],
  );

  const add = useCallback(
    (files: readonly File[]) => {
      if (!files.length) return;
      const placed = placeFiles((pose) => pose in current.current, files);
      place(placed);
      const left = files.length - placed.length;
      if (left) showToast("info", title, `${left} of ${files.length} pictures had no place left.`);
    },
    [place, title],
  );

  const put = useCallback((pose: Pose, file: File) => place([[pose, file]]), [place]);

  const remove = useCallback(
    (pose: Pose) => {
      const { [pose]: _, ...others } = current.current;
      change(others);
    },
    [change],
  );

  const run = useCallback(
    async (employeeId: string) => {
      request.current?.abort();
      const controller = new AbortController();
      request.current = controller;
      const sent = POSES.flatMap((pose) => {
        const shot = current.current[pose];
        return shot ? [{ pose, file: shot.file }] : [];
      });
      /** Set for every picture that was sent what is known about it. */
      const tell = (about: (place: number) => Pick<Shot, "report" | "problem">) => {
        const told = sent.map(({ pose }, place) => [
          pose,
          { ...current.current[pose], ...about(place) },
        ]);
        show({ ...current.current, ...Object.fromEntries(told) });
      };
      setBusy(true);
      setEnrolled(null);
      try {
        const answer = await vectorize(employeeId, sent, controller.signal);
        if (controller.signal.aborted) return;
        const reports = new Map(answer.images.map((report) => [report.index, report]));
        tell((place) => ({ report: reports.get(place) ?? null, problem: null }));
        setEnrolled({ answer, vector: decodeFloats(answer.enrollmentProcessedFile) });
      } catch (error) {
        if (controller.signal.aborted) return;
        const named = namedPlace(error);
        tell((place) => ({
          report: null,
          problem: place === named ? "Refused: take another" : null,
        }));
        showToast("error", `${title} failed`, errorText(error));
      } finally {
        if (request.current === controller) setBusy(false);
      }
    },
    [show, title],
  );

  return { shots, enrolled, busy, add, put, remove, run };
}
