/** The five poses of an enrollment. */

import type { PictureReport } from "../../api/types";

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
  face_unclear: "Face not clear: hold it upright",
  face_turned_away: "Turned too far away",
  face_blurred: "Blurred: hold still",
  face_too_dark: "Too dark: more light",
  face_too_bright: "Too bright: less light",
  face_differs: "Somebody else than on the others",
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

/** What is wrong with a pose that was declared and not held. */
const NOT_HELD: Readonly<Record<Pose, string>> = {
  front: "Not looking straight",
  left: "Not turned to the own left",
  right: "Not turned to the own right",
  up: "Chin not raised",
  down: "Chin not lowered",
};

/** Why a picture had better be taken again, in words; null where it is good. */
export function concern(pose: Pose, report: PictureReport): string | null {
  if (!report.used) return reasonText(report.reason);
  if (report.consistent === false) return "Somebody else than on the others?";
  if (report.quality?.reason) return reasonText(report.quality.reason);
  if (report.pose_matches === false) return NOT_HELD[pose];
  return null;
}
