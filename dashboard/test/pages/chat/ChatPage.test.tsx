import { fireEvent, render, screen, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { beforeEach, describe, expect, it } from "vitest";
import { App } from "../../../src/App";
import { byPage, json, type Received, stubApi } from "../../support/api";

const picture = new File(["png"], "cat.png", { type: "image/png" });
const USAGE = {
  prompt_tokens: 30,
  completion_tokens: 9,
  total_tokens: 39,
  completion_tokens_details: { reasoning_tokens: 4 },
};

beforeEach(() => {
  window.location.hash = "#/chat";
});

function events(...chunks: unknown[]): Response {
  const lines = chunks.map((chunk) => `data: ${JSON.stringify(chunk)}\n\n`).join("");
  return new Response(`${lines}data: [DONE]\n\n`, {
    headers: { "Content-Type": "text/event-stream" },
  });
}

function told(delta: object, finish_reason: string | null = null) {
  return { choices: [{ index: 0, delta, finish_reason }], usage: null };
}

/** Answer the page's questions one after another. */
function answering(...responses: Response[]): Received[] {
  return stubApi(({ path }) =>
    path === "/v1/chat/completions" ? (responses.shift() as Response) : json({}, 404),
  );
}

async function ask(question: string) {
  await userEvent.type(await screen.findByLabelText("Question"), question);
  await userEvent.click(screen.getByRole("button", { name: "Ask" }));
}

function asked(received: readonly Received[], place = -1) {
  return JSON.parse(String(byPage(received).at(place)?.body));
}

describe("ChatPage", () => {
  it("sends a picture and shows thinking, answer and tokens as they come", async () => {
    const received = answering(
      events(
        told({ role: "assistant", content: "" }),
        told({ reasoning: "Whiskers." }),
        told({ content: "A c" }),
        told({ content: "at." }),
        told({}, "stop"),
        { choices: [], usage: USAGE },
      ),
    );
    render(<App />);
    const input = await screen.findByLabelText(/^Choose a picture/);
    fireEvent.change(input, { target: { files: [picture] } });
    await ask("What is this?");
    const card = await screen.findByRole("region", { name: "What is this?" });
    expect(await within(card).findByText("A cat.")).toBeVisible();
    expect(within(card).getByText("Whiskers.")).toBeInTheDocument();
    expect(within(card).getByText("30 tokens read, 9 generated, 4 of them thinking")).toBeVisible();
    expect(within(card).getByRole("img", { name: "cat.png" })).toBeInTheDocument();
    const { messages, stream } = asked(received);
    expect(stream).toBe(true);
    expect(messages).toEqual([
      {
        role: "user",
        content: [
          { type: "image_url", image_url: { url: `data:image/png;base64,${btoa("png")}` } },
          { type: "text", text: "What is this?" },
        ],
      },
    ]);
  });

  it("keeps the conversation, without the thinking, until a new one begins", async () => {
    const received = answering(
      events(told({ reasoning: "Hm." }), told({ content: "One." }, "length")),
      events(told({ content: "Two." }, "stop")),
    );
    render(<App />);
    await ask("First?");
    expect(await screen.findByText("The limit of tokens cut it off.")).toBeVisible();
    await ask("Second?");
    expect(await screen.findByText("Two.")).toBeVisible();
    expect(asked(received).messages).toEqual([
      { role: "user", content: "First?" },
      { role: "assistant", content: "One." },
      { role: "user", content: "Second?" },
    ]);
    await userEvent.click(screen.getByRole("button", { name: "New conversation" }));
    expect(screen.getByText("Answers appear here.")).toBeVisible();
  });

  it("tells why there is no answer", async () => {
    const error = { message: "content.0.image_url.url is not a valid image", code: "bad_request" };
    answering(json({ error }, 400), events({ error: { message: "It took too long" } }));
    render(<App />);
    await ask("First?");
    const messages = screen.getByRole("region", { name: "Notifications" });
    expect(await within(messages).findByText(/is not a valid image/)).toBeVisible();
    expect(screen.queryByRole("region", { name: "First?" })).toBeNull();
    await ask("Second?");
    expect(await within(messages).findByText(/It took too long/)).toBeVisible();
  });

  it("stops an answer and keeps what has come", async () => {
    const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
    const writer = writable.getWriter();
    const headers = { "Content-Type": "text/event-stream" };
    answering(new Response(readable, { headers }));
    render(<App />);
    await ask("Long?");
    const chunk = `data: ${JSON.stringify(told({ content: "Once upon" }))}\n\n`;
    void writer.write(new TextEncoder().encode(chunk));
    expect(await screen.findByText("Once upon")).toBeVisible();
    await userEvent.click(screen.getByRole("button", { name: "Stop" }));
    expect(screen.queryByRole("button", { name: "Stop" })).toBeNull();
    expect(screen.getByText("Once upon")).toBeVisible();
    expect(
      within(screen.getByRole("region", { name: "Notifications" })).queryByRole("alert"),
    ).toBeNull();
  });
});
