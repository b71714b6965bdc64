import { afterEach, describe, expect, it, vi } from "vitest";
import {
  configOf,
  DEFAULTS,
  ignores,
  isPhotorealistic,
  MOST_SEED,
  randomSeed,
  uuid,
} from "../../../src/pages/tryon/options";

afterEach(() => vi.restoreAllMocks());

describe("configOf", () => {
  it("holds what was chosen and nothing else", () => {
    expect(configOf(DEFAULTS)).toEqual({ seed: 42 });
    expect(configOf({ ...DEFAULTS, seed: "" })).toEqual({});
    expect(
      configOf({
        seed: "0",
        steps: "8",
        cfg: "1.5",
        prompt: " a red shirt ",
        resolution: "480p",
        garment: "flat-lay",
        category: "dresses",
        samples: "3",
      }),
    ).toEqual({
      seed: 0,
      steps: 8,
      cfg: 1.5,
      prompt: "a red shirt",
      resolution: "480p",
      garment_photo_type: "flat-lay",
      category: "dresses",
      num_samples: 3,
    });
    expect(configOf({ ...DEFAULTS, prompt: "  " })).toEqual({ seed: 42 });
  });

  it("leaves out what the engine would refuse", () => {
    const chosen = { ...DEFAULTS, category: "dresses", samples: "2" };
    expect(configOf(chosen, "warp")).toEqual({ seed: 42 });
    expect(configOf(chosen, "remote")).toEqual({ seed: 42, category: "dresses", num_samples: 2 });
  });
});

describe("engines", () => {
  it("say what they ignore and how real their pictures look", () => {
    expect(
      ["steps", "cfg", "prompt", "seed"].map((name) => ignores("warp", name as "seed")),
    ).toEqual([true, true, true, false]);
    expect(ignores("lightx2v", "steps")).toBe(false);
    expect(ignores(null, "steps")).toBe(false);
    expect(ignores("new", "steps")).toBe(false);
    expect(["warp", "diffusers", "new", null].map(isPhotorealistic)).toEqual([
      false,
      true,
      null,
      null,
    ]);
  });
});

describe("chance", () => {
  it("makes seeds within the documented range", () => {
    for (const [value, seed] of [
      [0xffffffff, MOST_SEED],
      [0x80000000, 0],
      [7, 7],
    ] as const) {
      vi.spyOn(crypto, "getRandomValues").mockReturnValueOnce(Uint32Array.of(value));
      expect(randomSeed()).toBe(seed);
    }
  });

  it("makes UUIDs of version 4, each another", () => {
    const made = Array.from({ length: 50 }, uuid);
    for (const one of made)
      expect(one).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    expect(new Set(made).size).toBe(50);
  });
});
