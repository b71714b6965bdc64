import { describe, expect, it } from "vitest";
import {
  extend,
  mergeSamples,
  samplesToAsk,
  summarise,
  WINDOW_SAMPLES,
  withGaps,
} from "../../../src/pages/gpu/series";
import { gpuReport, sample } from "../../support/api";

const times = (samples: { timestamp: number }[]) => samples.map(({ timestamp }) => timestamp);

describe("mergeSamples", () => {
  it("keeps one sample per timestamp, oldest first", () => {
    const merged = mergeSamples([sample(4), sample(6)], [sample(8), sample(6, { gpu_util: 99 })]);
    expect(times(merged)).toEqual([4, 6, 8]);
    expect(merged[1]?.gpu_util).toBe(99);
  });

  it("keeps the newest window", () => {
    const many = Array.from({ length: WINDOW_SAMPLES }, (_, index) => sample(index));
    const merged = mergeSamples(many, [sample(500), sample(501)]);
    expect(merged).toHaveLength(WINDOW_SAMPLES);
    expect([merged[0]?.timestamp, merged.at(-1)?.timestamp]).toEqual([2, 501]);
  });
});

describe("samplesToAsk", () => {
  const history = extend(null, gpuReport([sample(100)]), 1_000_000);

  it("asks for everything at first", () => {
    expect(samplesToAsk(null, 0)).toBe(WINDOW_SAMPLES);
  });

  it.each([
    [0, 2],
    [2, 2],
    [7, 5],
    [3600, WINDOW_SAMPLES],
    [-50, 2], // this machine's clock was set back
  ])("after %d s asks for %d", (elapsed, count) => {
    expect(samplesToAsk(history, 1_000_000 + elapsed * 1000)).toBe(count);
  });
});

describe("extend", () => {
  it("appends to the series of the same GPU", () => {
    const first = extend(null, gpuReport([sample(2), sample(4)]), 0);
    const next = extend(first, gpuReport([sample(4), sample(6)]), 0);
    expect(times(next.gpus[0]?.samples ?? [])).toEqual([2, 4, 6]);
  });

  it("starts anew when the readings become real", () => {
    const simulated = extend(null, gpuReport([sample(2)]), 0);
    const real = gpuReport([], {
      gpus: [{ gpu: 0, device: "NVIDIA H200", source: "nvml", samples: [sample(4)] }],
    });
    expect(times(extend(simulated, real, 0).gpus[0]?.samples ?? [])).toEqual([4]);
  });
});

describe("withGaps", () => {
  it("breaks the line where the sampler paused, and only there", () => {
    const points = withGaps([sample(0), sample(2), sample(6.5), sample(40)], 2);
    expect(points.map(({ timestamp, sample: found }) => [timestamp, found !== null])).toEqual([
      [0, true],
      [2, true],
      [6.5, true],
      [8.5, false],
      [40, true],
    ]);
  });
});

describe("summarise", () => {
  it("leaves out what was not reported", () => {
    expect(summarise([3, null, 9, 5])).toEqual({ latest: 5, least: 3, most: 9 });
    expect(summarise([3, null])).toEqual({ latest: null, least: 3, most: 3 });
    expect(summarise([null, null])).toEqual({ latest: null, least: null, most: null });
    expect(summarise([])).toEqual({ latest: null, least: null, most: null });
  });
});
