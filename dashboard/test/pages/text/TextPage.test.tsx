import { render, screen, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { beforeEach, describe, expect, it } from "vitest";
import { App } from "../../../src/App";
import { byPage, json, stubApi, stubRoutes } from "../../support/api";

beforeEach(() => {
  window.location.hash = "#/text";
});

async function fill(name: string, text: string): Promise<void> {
  const box = await screen.findByRole("textbox", { name });
  await userEvent.clear(box);
  if (text) await userEvent.type(box, text);
}

describe("TextPage", () => {
  it("scores a pair", async () => {
    const received = stubRoutes({
      "/text/bertscore": {
        precision: [0.76587],
        recall: [0.83702],
        f1: [0.79987],
        model: "MiniLM",
      },
    });
    render(<App />);
    await fill("Candidate", "left");
    await fill("Reference", "right");
    await userEvent.click(screen.getByRole("button", { name: "Score" }));
    const scores = await screen.findByRole("list", { name: "Scores" });
    expect(scores).toHaveTextContent("Precision0.7659Recall0.8370F10.7999");
    expect(screen.getByText("Model: MiniLM")).toBeVisible();
    expect(byPage(received)[0]?.body).toBe('{"candidates":["left"],"references":["right"]}');
  });

  it("needs two texts to score", async () => {
    render(<App />);
    await fill("Reference", "");
    expect(screen.getByRole("button", { name: "Score" })).toBeDisabled();
  });

  it("draws the similarity of every pair", async () => {
    stubRoutes({
      "/text/embed": {
        embeddings: [
          [1, 0],
          [0, 1],
          [1, 1],
        ],
        model: "MiniLM",
        dimensions: 2,
      },
    });
    render(<App />);
    await fill("Sentences", "a{Enter}b{Enter}c");
    await userEvent.click(screen.getByRole("button", { name: "Compare" }));
    const table = await screen.findByRole("table", { name: /Cosine similarity/ });
    const rows = within(table).getAllByRole("row").slice(1);
    const values = rows.map((row) =>
      within(row)
        .getAllByRole("cell")
        .map((cell) => cell.textContent),
    );
    expect(values).toEqual([
      ["1.00", "0.00", "0.71"],
      ["0.00", "1.00", "0.71"],
      ["0.71", "0.71", "1.00"],
    ]);
    expect(within(rows[2] as HTMLElement).getByRole("rowheader")).toHaveTextContent("3 c");
    expect(screen.getByText("Model: MiniLM · 2 dimensions")).toBeVisible();
  });

  it("takes 2 to 50 sentences", async () => {
    render(<App />);
    await fill("Sentences", "only one");
    expect(screen.getByText("One per line, 2 to 50. Now 1.")).toBeVisible();
    expect(screen.getByRole("button", { name: "Compare" })).toBeDisabled();
  });

  it("shows what the server says is wrong with the request", async () => {
    const issue = { type: "string_too_long", loc: ["body", "texts", 1], msg: "Text too long" };
    stubApi(() => json({ detail: [issue] }, 422));
    render(<App />);
    await userEvent.click(await screen.findByRole("button", { name: "Compare" }));
    const messages = screen.getByRole("region", { name: "Notifications" });
    expect(await within(messages).findByText("texts[1]: Text too long")).toBeVisible();
  });
});
