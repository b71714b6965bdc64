import { describe, expect, it } from "vitest";
import { MOST_BYTES, type Photos, photoProblem, placeOf } from "../../../src/pages/tryon/photos";

function file(name: string, type: string, size = 3): File {
  const made = new File(["abc"], name, { type });
  Object.defineProperty(made, "size", { value: size });
  return made;
}

describe("photoProblem", () => {
  it("takes what the server takes", () => {
    for (const type of ["image/jpeg", "image/png", "image/webp", "image/avif"])
      expect(photoProblem(file("a", type, MOST_BYTES))).toBeNull();
  });

  it("says what is wrong", () => {
    expect(photoProblem(file("a.gif", "image/gif"))).toBe(
      "a.gif is not a JPEG, PNG, WebP or AVIF picture.",
    );
    expect(photoProblem(file("a.png", "image/png", 0))).toBe("a.png is empty.");
    expect(photoProblem(file("a.png", "image/png", 12 * 2 ** 20))).toBe(
      "a.png has 12.0 MiB; a picture may have 10.0 MiB.",
    );
  });
});

describe("placeOf", () => {
  const [one, two] = [file("1", "image/png"), file("2", "image/png")];
  const photo = { file: one, url: "blob:1" };
  const photos = (person: boolean, garment: boolean): Photos => ({
    person: person ? photo : null,
    garment: garment ? photo : null,
  });

  it("fills what is empty, the person first", () => {
    expect(placeOf(photos(false, false), [one])).toEqual([["person", one]]);
    expect(placeOf(photos(true, false), [one])).toEqual([["garment", one]]);
    expect(placeOf(photos(false, true), [one])).toEqual([["person", one]]);
    expect(placeOf(photos(true, true), [one])).toEqual([["person", one]]);
    expect(placeOf(photos(true, true), [one, two])).toEqual([
      ["person", one],
      ["garment", two],
    ]);
    expect(placeOf(photos(false, false), [])).toEqual([]);
  });
});
