/** The two pictures that a try-on starts from. */

import { bytes } from "../../format";

/** Largest picture in bytes, the gateway's default. */
export const MOST_BYTES = 10 * 2 ** 20;
export const KINDS = ["image/jpeg", "image/png", "image/webp", "image/avif"];

export type Part = "person" | "garment";

/** A chosen picture and its object URL. */
export interface Photo {
  file: File;
  url: string;
}

export type Photos = Readonly<Record<Part, Photo | null>>;

export const TITLES: Readonly<Record<Part, string>> = { person: "Person", garment: "Garment" };

export const GUIDANCE: Readonly<Record<Part, string>> = {
  person: "From the front, from the head to below the hips, arms away from the body.",
  garment: "One top, lying flat on a plain background or worn by somebody.",
};

/** Why a file is not even sent, or null. */
export function photoProblem(file: File): string | null {
  if (!file.size) return `${file.name} is empty.`;
  if (!KINDS.includes(file.type)) return `${file.name} is not a JPEG, PNG, WebP or AVIF picture.`;
  if (file.size <= MOST_BYTES) return null;
  return `${file.name} has ${bytes(file.size)}; a picture may have ${bytes(MOST_BYTES)}.`;
}

/** Where files go that were dropped beside the two places: what is empty first. */
export function placeOf(photos: Photos, files: readonly File[]): [Part, File][] {
  const [first, second] = files;
  if (!first) return [];
  if (second)
    return [
      ["person", first],
      ["garment", second],
    ];
  return [[photos.person && !photos.garment ? "garment" : "person", first]];
}
