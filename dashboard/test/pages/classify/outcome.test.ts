import { describe, expect, it, vi } from "vitest";
import { classifyAll, groups, spokenSummary } from "../../../src/pages/classify/outcome";
import { classification, json, stubApi } from "../../support/api";

const file = (name: string) => new File(["x"], name);
const signal = () => new AbortController().signal;

describe("groups", () => {
  const sized = (size: number) => {
    const found = file("big");
    Object.defineProperty(found, "size", { value: size });
    return found;
  };

  it("fills requests up to 16 files", () => {
    const many = Array.from({ length: 33 }, (_, index) => file(`${index}`));
    const found = groups(many);
    expect(found.map((group) => group.length)).toEqual([16, 16, 1]);
    expect(found.flat()).toEqual(many);
  });

  it("fills requests up to 24 MiB; a larger file goes alone", () => {
    const mebibyte = 2 ** 20;
    const found = groups([
      sized(20 * mebibyte),
      sized(4 * mebibyte),
      sized(30 * mebibyte),
      sized(1),
    ]);
    expect(found.map((group) => group.length)).toEqual([2, 1, 1]);
  });
});

describe("classifyAll", () => {
  it("keeps the order and the failure of a single picture", async () => {
    stubApi(() =>
      json({
        results: [
          classification("cat"),
          { filename: "b", error: { status: 400, detail: "Provided file is not a valid image." } },
          classification("dog"),
        ],
      }),
    );
    const outcomes = await classifyAll([file("a"), file("b"), file("c")], signal(), () => {});
    expect(outcomes).toEqual([
      { result: classification("cat") },
      { problem: "Provided file is not a valid image." },
      { result: classification("dog") },
    ]);
  });

  it("reports after every request and goes on after one that failed", async () => {
    const many = Array.from({ length: 18 }, (_, index) => file(`${index}`));
    let calls = 0;
    stubApi(() => {
      calls += 1;
      return calls === 1
        ? json({ detail: "busy" }, 503, { "Retry-After": "2" })
        : json({ results: [classification(), classification()] });
    });
    const seen = vi.fn();
    const outcomes = await classifyAll(many, signal(), seen);
    expect(seen.mock.calls.map(([found]) => found.length)).toEqual([16, 18]);
    expect(outcomes[15]).toEqual({ problem: "busy Try again in 2 s." });
    expect(outcomes[17]).toHaveProperty("result");
  });

  it("does not invent an answer that is missing", async () => {
    stubApi(() => json({ results: [classification()] }));
    const outcomes = await classifyAll([file("a"), file("b")], signal(), () => {});
    expect(outcomes[1]).toEqual({ problem: "The server sent no answer for this picture." });
  });

  it("says nothing more once it was aborted", async () => {
    const gone = new AbortController();
    stubApi(() => new Promise(() => {}));
    const seen = vi.fn();
    const call = classifyAll([file("a")], gone.signal, seen).catch((error: unknown) => error);
    gone.abort();
    expect(await call).toMatchObject({ name: "AbortError" });
    expect(seen).not.toHaveBeenCalled();
  });
});

describe("spokenSummary", () => {
  it("names every picture", () => {
    const text = spokenSummary(
      ["a.jpg", "b.jpg"],
      [{ result: classification("cat") }, { problem: "Uploaded file is empty." }],
    );
    expect(text).toBe("a.jpg: cat, 82 percent. b.jpg: failed. Uploaded file is empty.");
  });
});
