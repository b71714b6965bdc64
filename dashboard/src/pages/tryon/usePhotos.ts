import { useCallback, useEffect, useRef, useState } from "react";
import { showToast } from "../../components/toasts";
import { type Part, type Photo, type Photos, photoProblem, placeOf } from "./photos";

const NONE: Photos = { person: null, garment: null };

/** Keeps the two pictures of the next job, and their previews. */
export function usePhotos() {
  const [photos, setPhotos] = useState<Photos>(NONE);
  // The newest ones, for what happens between two renderings.
  const current = useRef<Photos>(NONE);

  const set = useCallback((part: Part, photo: Photo | null) => {
    const old = current.current[part];
    if (old) URL.revokeObjectURL(old.url);
    current.current = { ...current.current, [part]: photo };
    setPhotos(current.current);
  }, []);

  useEffect(
    () => () => {
      for (const photo of Object.values(current.current)) if (photo) URL.revokeObjectURL(photo.url);
    },
    [],
  );

  const put = useCallback(
    (part: Part, file: File) => {
      const problem = photoProblem(file);
      if (problem) return showToast("error", "Try-on", problem);
      set(part, { file, url: URL.createObjectURL(file) });
    },
    [set],
  );

  const remove = useCallback((part: Part) => set(part, null), [set]);

  /** Take files that were dropped beside the two places. */
  const add = useCallback(
    (files: readonly File[]) => {
      for (const [part, file] of placeOf(current.current, files)) put(part, file);
    },
    [put],
  );

  return { photos, put, remove, add };
}
