import { describe, expect, it } from "vitest";
import type { PictureReport } from "../../../src/api/types";
import { concern, placeFiles, reasonText } from "../../../src/pages/vectorizer/poses";
import { cosine, norm, reading } from "../../../src/pages/vectorizer/vector";
import { pictureReport, QUALITY } from "../../support/api";

const file = (name: string) => new File(["x"], name);
const names = (placed: ReturnType<typeof placeFiles>) =>
  placed.map(([pose, { name }]) => `${pose} ${name}`);

describe("vectors", () => {
  it("have a cosine", () => {
    const a = Float32Array.of(3, 4);
    expect(norm(a)).toBe(5);
    expect(cosine(a, Float32Array.of(6, 8))).toBeCloseTo(1, 12);
    expect(cosine(a, Float32Array.of(-4, 3))).toBeCloseTo(0, 12);
    expect(cosine(a, Float32Array.of(-3, -4))).toBeCloseTo(-1, 12);
    expect(cosine(a, Float32Array.of(1, 0))).toBeCloseTo(0.6, 12);
  });

  it("have none where it means nothing", () => {
    expect(cosine(Float32Array.of(1, 0), Float32Array.of(0, 0))).toBeNull();
    expect(cosine(Float32Array.of(1, 0), Float32Array.of(1))).toBeNull();
  });

  it.each([
    [0.5, "The same person is likely"],
    [0.499, "Too close to tell"],
    [0.399, "Different people are likely"],
    [-0.2, "Different people are likely"],
  ])("reads %f as: %s", (value, text) => {
    expect(reading(value).text).toBe(text);
  });
});

describe("poses", () => {
  it("takes files into the empty places in order", () => {
    const placed = placeFiles((pose) => pose === "left", [file("a"), file("b")]);
    expect(names(placed)).toEqual(["front a", "right b"]);
  });

  it("begins anew where the empty places do not suffice, and leaves out the sixth", () => {
    const files = ["a", "b", "c", "d", "e", "f"].map(file);
    expect(names(placeFiles(() => false, files))).toEqual([
      "front a",
      "left b",
      "right c",
      "up d",
      "down e",
    ]);
    expect(names(placeFiles(() => true, [file("a")]))).toEqual(["front a"]);
  });

  it("says why a picture does not count", () => {
    expect(reasonText("no_face")).toBe("No face: try again");
    expect(reasonText("face_blurred")).toBe("Blurred: hold still");
    expect(reasonText("face_covered_up")).toBe("Not used: face covered up");
  });

  it.each<[Partial<PictureReport>, string | null]>([
    [{}, null],
    [{ pose_matches: null, consistent: null, quality: null }, null],
    [{ pose_matches: true, consistent: true }, null],
    [{ pose_matches: false }, "Not turned to the own left"],
    [{ pose_matches: false, consistent: false }, "Somebody else than on the others?"],
    [{ used: false, reason: "face_differs" }, "Somebody else than on the others"],
    [{ quality: { ...QUALITY, reason: "face_too_dark" } }, "Too dark: more light"],
    [{ quality: QUALITY }, null],
  ])("says what is wrong with %j", (values, expected) => {
    expect(concern("left", pictureReport(values))).toBe(expected);
  });
});
