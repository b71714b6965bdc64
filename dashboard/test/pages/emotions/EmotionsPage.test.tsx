import { fireEvent, render, screen, waitFor, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { beforeEach, describe, expect, it, vi } from "vitest";
import { App } from "../../../src/App";
import { story, stubRoutes } from "../../support/api";
import { type FakeUpload, stubUploads } from "../../support/upload";

const clip = new File(["mp4"], "clip.mp4", { type: "video/mp4" });

beforeEach(() => {
  window.location.hash = "#/emotions";
  stubRoutes({});
});

async function choose(file: File): Promise<HTMLElement> {
  render(<App />);
  const input = await screen.findByLabelText(/^Choose a clip/);
  // Whether the file is one of those wanted is for the page to say.
  fireEvent.change(input, { target: { files: [file] } });
  return input;
}

/** Send the chosen clip; returns its upload. */
async function send(uploads: FakeUpload[]): Promise<FakeUpload> {
  const before = uploads.length;
  await userEvent.click(screen.getByRole("button", { name: "Tell the story" }));
  await waitFor(() => expect(uploads).toHaveLength(before + 1));
  return uploads.at(-1) as FakeUpload;
}

const preview = () => screen.getByLabelText<HTMLVideoElement>("Preview of clip.mp4");
const messages = () => screen.getByRole("region", { name: "Notifications" });

describe("EmotionsPage", () => {
  it("shows progress, story, engine and timeline", async () => {
    const uploads = stubUploads();
    await choose(clip);
    const upload = await send(uploads);
    upload.progress(43, 100);
    const bar = await screen.findByRole("progressbar", { name: "Uploading, 43 %" });
    expect(bar).toHaveAttribute("value", "0.43");
    upload.progress(100, 100);
    const reading = await screen.findByRole("progressbar", { name: "Reading the faces…" });
    expect(reading).not.toHaveAttribute("value");
    upload.answer(story());
    expect(await screen.findByText("The person looks neutral, then smiles.")).toBeVisible();
    expect(screen.queryByRole("progressbar")).toBeNull();
    expect(screen.queryByRole("button", { name: "Cancel" })).toBeNull();
    const card = screen.getByRole("region", { name: "Story" });
    for (const text of ["Timeline engine", "4.0 s", "16", "812 ms"])
      expect(within(card).getByText(text)).toBeVisible();
    expect(card).not.toHaveTextContent("Fallback");
    expect(card).not.toHaveTextContent("ends early");
    const rows = within(screen.getByRole("table")).getAllByRole("row").slice(1);
    expect(rows.map((row) => row.textContent)).toEqual([
      "neutral0.0 s2.5 s71.0 %steady",
      "happiness3.0 s4.0 s42.0 %rising, uncertain",
    ]);
  });

  it("seeks the preview by pointer and by keyboard", async () => {
    const uploads = stubUploads();
    await choose(clip);
    fireEvent.loadedData(preview());
    (await send(uploads)).answer(story());
    const strip = await screen.findByRole("group", { name: "Segments" });
    const segments = within(strip).getAllByRole("button");
    expect(segments.map((segment) => segment.getAttribute("aria-label"))).toEqual([
      "neutral, 0.0 s to 2.5 s, 71.0 %",
      "happiness, 3.0 s to 4.0 s, 42.0 %, uncertain",
    ]);
    await userEvent.click(segments[1] as Element);
    expect(preview().currentTime).toBe(3);
    segments[0]?.focus();
    await userEvent.keyboard("{Enter}");
    expect(preview().currentTime).toBe(0);
    segments[1]?.focus();
    await userEvent.keyboard(" ");
    expect(preview().currentTime).toBe(3);
  });

  it("offers no seeking in a clip that the browser cannot play", async () => {
    const uploads = stubUploads();
    await choose(clip);
    fireEvent.error(preview());
    expect(screen.getByText(/cannot play the clip/)).toBeVisible();
    (await send(uploads)).answer(story());
    const strip = await screen.findByRole("group", { name: "Segments" });
    expect(within(strip).queryAllByRole("button")).toEqual([]);
    expect(screen.getByRole("table")).toBeVisible();
  });

  it("gives every person a lane", async () => {
    const uploads = stubUploads();
    await choose(clip);
    const [segment] = story().emotions;
    if (!segment) throw new Error("the story has no segment");
    (await send(uploads)).answer(story({ emotions: [segment, { ...segment, person: 1 }] }));
    expect(await screen.findByRole("group", { name: "Segments of person 2" })).toBeVisible();
    const cells = within(screen.getByRole("table")).getAllByRole("row").slice(1);
    expect(cells.map((row) => row.textContent?.charAt(0))).toEqual(["1", "2"]);
  });

  it("tells of a fallback, a damaged clip, and that there is no face", async () => {
    const uploads = stubUploads();
    await choose(clip);
    (await send(uploads)).answer(story({ fallback: true, truncated: true, emotions: [] }));
    const card = screen.getByRole("region", { name: "Story" });
    expect(await within(card).findByText("Fallback")).toBeVisible();
    expect(within(card).getByText("The clip ends early or is damaged")).toBeVisible();
    expect(screen.getByText("No face was seen, so there is no timeline.")).toBeVisible();
    (await send(uploads)).answer(story({ engine: "vlm", emotions: [] }));
    expect(await within(card).findByText("Vision-language model")).toBeVisible();
    expect(screen.getByText(/tells a story without a timeline/)).toBeVisible();
  });

  it("can be cancelled", async () => {
    const uploads = stubUploads();
    await choose(clip);
    const upload = await send(uploads);
    await userEvent.click(screen.getByRole("button", { name: "Cancel" }));
    expect(upload.aborted).toBe(true);
    expect(screen.queryByRole("progressbar")).toBeNull();
    expect(screen.getByRole("button", { name: "Tell the story" })).toHaveFocus();
    expect(messages()).toBeEmptyDOMElement();
  });

  it("shows the server's detail", async () => {
    const uploads = stubUploads();
    await choose(clip);
    (await send(uploads)).answer({ detail: "video_clip is not a valid MP4 video" }, 422);
    expect(await within(messages()).findByText("clip.mp4 failed")).toBeVisible();
    expect(messages()).toHaveTextContent("video_clip is not a valid MP4 video");
    expect(screen.queryByRole("progressbar")).toBeNull();
  });

  it("does not send what is too large or empty", async () => {
    const uploads = stubUploads();
    const large = new File(["x"], "large.mp4");
    Object.defineProperty(large, "size", { value: 40 * 2 ** 20 });
    const input = await choose(large);
    expect(messages()).toHaveTextContent("large.mp4 has 40.0 MiB; a clip may have 32 MiB.");
    fireEvent.change(input, { target: { files: [new File([], "empty.mp4")] } });
    expect(messages()).toHaveTextContent("empty.mp4 is empty.");
    expect(screen.queryByRole("button", { name: "Tell the story" })).toBeNull();
    expect(uploads).toEqual([]);
  });

  it("forgets the story when another clip is chosen, and its preview when it is left", async () => {
    const uploads = stubUploads();
    const input = await choose(clip);
    (await send(uploads)).answer(story());
    await screen.findByRole("table");
    const upload = await send(uploads);
    fireEvent.change(input, { target: { files: [new File(["b"], "other.mp4")] } });
    expect(upload.aborted).toBe(true);
    expect(await screen.findByRole("region", { name: "other.mp4" })).toBeVisible();
    expect(screen.queryByRole("table")).toBeNull();
    await vi.waitFor(() => expect(URL.revokeObjectURL).toHaveBeenCalledTimes(1));
  });
});
