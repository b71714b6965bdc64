import { fireEvent, render, screen, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { beforeEach, describe, expect, it } from "vitest";
import { App } from "../../../src/App";
import { byPage, classification, json, stubApi, stubRoutes } from "../../support/api";

const dog = new File(["jpeg"], "dog.jpg", { type: "image/jpeg" });
const note = new File(["text"], "note.txt", { type: "text/plain" });

beforeEach(() => {
  window.location.hash = "#/classify";
});

async function chooser(): Promise<HTMLElement> {
  render(<App />);
  return screen.findByLabelText(/Choose pictures/);
}

describe("ClassifyPage", () => {
  it("shows the five labels and what ran", async () => {
    stubRoutes({ "/vision/infer": classification() });
    await userEvent.upload(await chooser(), dog);
    const card = await screen.findByRole("article", { name: "dog.jpg" });
    const bars = await within(card).findByRole("list", { name: "Most likely labels" });
    const rows = within(bars).getAllByRole("listitem");
    expect(rows).toHaveLength(5);
    expect(rows[0]).toHaveTextContent("golden retriever82.0 %");
    for (const text of ["9.6 ms", "103.9 /s", "4", "mobilenet_v2", "onnxruntime fp32"])
      expect(within(card).getByText(text)).toBeVisible();
    expect(screen.getByText("dog.jpg: golden retriever, 82 percent")).toHaveAttribute(
      "role",
      "status",
    );
  });

  it("shows the server's detail and when to come back", async () => {
    stubApi(() => json({ detail: "GPU busy - retry later" }, 503, { "Retry-After": "3" }));
    await userEvent.upload(await chooser(), dog);
    const messages = await screen.findByRole("region", { name: "Notifications" });
    expect(await within(messages).findByText("dog.jpg")).toBeVisible();
    expect(messages).toHaveTextContent("GPU busy - retry later Try again in 3 s.");
  });

  it("sends several files at once; one that fails leaves the others", async () => {
    const received = stubRoutes({
      "/vision/infer/batch": {
        results: [
          classification("beagle"),
          { filename: "note.txt", error: { status: 400, detail: "Not an image." } },
        ],
      },
    });
    const input = await chooser();
    fireEvent.change(input, { target: { files: [dog, note] } });
    const good = await screen.findByRole("article", { name: "dog.jpg" });
    expect(await within(good).findByText("beagle")).toBeVisible();
    const bad = screen.getByRole("article", { name: "note.txt" });
    expect(bad).toHaveTextContent("Not an image.");
    expect(byPage(received).map(({ path }) => path)).toEqual(["/vision/infer/batch"]);
    expect(screen.getByRole("region", { name: "Notifications" })).toHaveTextContent("note.txt");
  });

  it("takes a pasted and a dropped picture", async () => {
    const received = stubRoutes({ "/vision/infer": classification() });
    await chooser();
    fireEvent.paste(window, { clipboardData: { files: [dog] } });
    expect(await screen.findByRole("article", { name: "dog.jpg" })).toBeVisible();
    fireEvent.drop(window, { dataTransfer: { files: [note], types: ["Files"] } });
    expect(await screen.findByRole("article", { name: "note.txt" })).toBeVisible();
    expect(screen.queryByRole("article", { name: "dog.jpg" })).toBeNull();
    expect(byPage(received)).toHaveLength(2);
  });

  it("drops the answer to an earlier choice", async () => {
    const answers: ((response: Response) => void)[] = [];
    stubApi(({ path }) =>
      path === "/services"
        ? json({ detail: "" }, 404)
        : new Promise((resolve) => answers.push(resolve)),
    );
    const input = await chooser();
    await userEvent.upload(input, dog);
    await userEvent.upload(input, new File(["png"], "cat.png", { type: "image/png" }));
    answers[1]?.(json(classification("tabby")));
    answers[0]?.(json(classification("golden retriever")));
    expect(await screen.findByText("tabby")).toBeVisible();
    expect(screen.queryByText("golden retriever")).toBeNull();
    expect(URL.revokeObjectURL).toHaveBeenCalledTimes(1);
  });

  it("keeps a place for a picture that the browser cannot show", async () => {
    stubRoutes({ "/vision/infer": classification() });
    await userEvent.upload(await chooser(), dog);
    fireEvent.error(await screen.findByRole("img", { name: "Preview of dog.jpg" }));
    expect(screen.queryByRole("img", { name: "Preview of dog.jpg" })).toBeNull();
  });
});
