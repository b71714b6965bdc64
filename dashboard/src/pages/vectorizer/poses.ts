/** The five poses of an enrollment. */

export const POSES = ["front", "left", "right", "up", "down"] as const;
export type Pose = (typeof POSES)[number];

/** What the person in front of the camera does. */
export const GUIDANCE: Readonly<Record<Pose, string>> = {
  front: "Look straight into the camera.",
  left: "Turn your head a little to your left.",
  right: "Turn your head a little to your right.",
  up: "Raise your chin a little.",
  down: "Lower your chin a little.",
};

/** The pose as a heading. */
export function poseTitle(pose: Pose): string {
  return pose.charAt(0).toUpperCase() + pose.slice(1);
}

/**
 * Return which file goes where: into the empty places in order or, where they do not suffice,
 * into all places from the first on. Files beyond the fifth have no place.
 */
export function placeFiles(taken: (pose: Pose) => boolean, files: readonly File[]): [Pose, File][] {
  const empty = POSES.filter((pose) => !taken(pose));
  const places = files.length <= empty.length ? empty : POSES;
  return places.flatMap((pose, index): [Pose, File][] => {
    const file = files[index];
    return file ? [[pose, file]] : [];
  });
}

const REASONS: Readonly<Record<string, string>> = {
  no_face: "No face: try again",
  face_too_small: "Face too small: come closer",
  image_empty: "The file is empty",
  image_invalid: "Not a picture",
  image_truncated: "The file is damaged",
  image_too_large: "Too many pixels",
};

/** Why a picture does not count, in words; a reason this page does not know as it is. */
export function reasonText(reason: string | null): string {
  if (reason === null) return "Not used";
  return REASONS[reason] ?? `Not used: ${reason.replaceAll("_", " ")}`;
}
