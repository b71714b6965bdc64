import { fireEvent, render, screen, waitFor, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { beforeEach, describe, expect, it } from "vitest";
import { App } from "../../../src/App";
import type { FaceVector } from "../../../src/api/types";
import {
  byPage,
  faceVector,
  json,
  pictureReport,
  QUALITY,
  type Received,
  stubApi,
  stubRoutes,
} from "../../support/api";

const picture = (name: string) => new File([name], name, { type: "image/jpeg" });

beforeEach(() => {
  window.location.hash = "#/vectorizer";
});

async function card(name = "Enrollment A"): Promise<HTMLElement> {
  return screen.findByRole("region", { name });
}

async function choose(files: File[], name = "Enrollment A"): Promise<HTMLElement> {
  const region = await card(name);
  await userEvent.upload(within(region).getByLabelText(/^Choose pictures/), files);
  return region;
}

function slot(region: HTMLElement, pose: string): HTMLElement {
  return within(region).getByRole("listitem", { name: pose });
}

const make = (region: HTMLElement) =>
  userEvent.click(within(region).getByRole("button", { name: "Make vector" }));

interface Body {
  employee_id: string;
  images: { pose: string; data: string }[];
}

function bodies(received: readonly Received[]): Body[] {
  return received
    .filter(({ path }) => path === "/iot/vectorizer")
    .map(({ body }) => JSON.parse(String(body)) as Body);
}

/** Answers enrollments one after another. */
function answering(...answers: FaceVector[]): Received[] {
  let next = 0;
  return stubApi(({ path }) =>
    path === "/iot/vectorizer" ? json(answers[next++]) : json({ detail: "" }, 404),
  );
}

describe("VectorizerPage", () => {
  it("sends the poses in order and shows what became of each", async () => {
    const received = answering(
      faceVector(
        [0.6, 0.8],
        [
          pictureReport(),
          pictureReport({ index: 1, pose: "left", faces: 2 }),
          pictureReport({ index: 2, pose: "right", used: false, box: null, reason: "no_face" }),
        ],
      ),
    );
    render(<App />);
    const region = await choose([picture("a"), picture("b"), picture("c")]);
    expect(slot(region, "Front")).toHaveTextContent("Not sent yet");
    expect(slot(region, "Up")).toHaveTextContent("Empty");
    await make(region);
    expect(await within(region).findByRole("img", { name: "Thumbnail of demo" })).toBeVisible();
    expect(slot(region, "Front")).toHaveTextContent("Used");
    expect(slot(region, "Left")).toHaveTextContent("Used: 1 of 2 faces");
    expect(slot(region, "Right")).toHaveTextContent("No face: try again");
    expect(within(region).getByText("2 of 3 used")).toBeVisible();
    expect(within(region).getByText("512 values")).toBeVisible();
    expect(within(region).getByText("1.0000")).toBeVisible();
    expect(within(region).getByText("187 ms")).toBeVisible();
    expect(within(region).getByText(/ArcFace · mobilefacenet · onnxruntime fp32/)).toBeVisible();
    expect(bodies(received)).toEqual([
      {
        employee_id: "demo",
        images: [
          { pose: "front", data: btoa("a") },
          { pose: "left", data: btoa("b") },
          { pose: "right", data: btoa("c") },
        ],
      },
    ]);
  });

  it("outlines the face in pixels of the upright picture", async () => {
    answering(faceVector([1], [pictureReport()]));
    render(<App />);
    const region = await choose([picture("a")]);
    const preview = within(slot(region, "Front")).getByRole("img", { name: "Preview of front" });
    Object.defineProperty(preview, "naturalWidth", { value: 300 });
    Object.defineProperty(preview, "naturalHeight", { value: 400 });
    fireEvent.load(preview);
    await make(region);
    const overlay = await within(region).findByRole("img", { name: "Face of 40 by 60 pixels" });
    expect(overlay).toHaveAttribute("viewBox", "0 0 300 400");
    const box = overlay.querySelector(".face-box");
    expect(["x", "y", "width", "height"].map((name) => box?.getAttribute(name))).toEqual([
      "10",
      "20",
      "40",
      "60",
    ]);
    expect(overlay.querySelectorAll("circle")).toHaveLength(5);
  });

  it("lets one pose be taken again, and forgets the vector of the old pictures", async () => {
    const refused = pictureReport({ index: 1, used: false, box: null, reason: "no_face" });
    const received = answering(
      faceVector([1], [pictureReport(), refused]),
      faceVector([1], [pictureReport(), pictureReport({ index: 1 })]),
    );
    render(<App />);
    const region = await choose([picture("a"), picture("b")]);
    await make(region);
    await within(region).findByText("1 of 2 used");
    const left = slot(region, "Left");
    await userEvent.upload(within(left).getByLabelText(/^Replace/), picture("c"));
    expect(within(region).queryByText("1 of 2 used")).toBeNull();
    expect(left).toHaveTextContent("Not sent yet");
    expect(slot(region, "Front")).toHaveTextContent("Used");
    await userEvent.type(within(region).getByLabelText("Employee id"), " E7 ");
    await make(region);
    expect(await within(region).findByText("2 of 2 used")).toBeVisible();
    const { employee_id, images } = bodies(received)[1] as Body;
    expect(employee_id).toBe("E7");
    expect(images.map(({ data }) => atob(data))).toEqual(["a", "c"]);
    expect(URL.revokeObjectURL).toHaveBeenCalledTimes(1);
  });

  it("shows quality, wrong poses and the odd one out, and takes one again", async () => {
    const other = { index: 2, pose: "right", consistency: 0.08, consistent: false };
    answering(
      faceVector(
        [1],
        [
          pictureReport({ quality: QUALITY, pose_matches: true, consistency: 0.82 }),
          pictureReport({ index: 1, pose: "left", quality: QUALITY, pose_matches: false }),
          pictureReport({ ...other, quality: QUALITY }),
        ],
      ),
    );
    render(<App />);
    const region = await choose([picture("a"), picture("b"), picture("c")]);
    await make(region);
    const retakes = await within(region).findByRole("list", { name: "Better taken again" });
    expect(within(retakes).getAllByRole("listitem")).toHaveLength(2);
    expect(retakes).toHaveTextContent("Left: Not turned to the own left");
    expect(retakes).toHaveTextContent("Right: Somebody else than on the others?");
    expect(slot(region, "Front")).toHaveTextContent("Used");
    expect(slot(region, "Front")).toHaveTextContent("Like the others: 0.82");
    expect(slot(region, "Front")).toHaveTextContent("120 px");
    expect(slot(region, "Front")).toHaveTextContent("Yaw 2°, pitch -3°");
    expect(slot(region, "Right")).toHaveTextContent("Somebody else than on the others?");
    await userEvent.click(within(retakes).getByRole("button", { name: "Retake right" }));
    const dialog = await screen.findByRole("dialog", { name: "Camera" });
    expect(dialog).toBeVisible();
  });

  it("marks the picture that the server refuses", async () => {
    stubRoutes({
      "/iot/vectorizer": json({ detail: "Image 1 (left) is not a valid image" }, 422),
    });
    render(<App />);
    const region = await choose([picture("a"), picture("b")]);
    await make(region);
    const messages = screen.getByRole("region", { name: "Notifications" });
    expect(await within(messages).findByText("Image 1 (left) is not a valid image")).toBeVisible();
    expect(slot(region, "Left")).toHaveTextContent("Refused: take another");
    expect(slot(region, "Front")).toHaveTextContent("Not sent yet");
  });

  it("drops the answer when the pictures change meanwhile", async () => {
    const answers: ((response: Response) => void)[] = [];
    stubApi(({ path }) =>
      path === "/iot/vectorizer"
        ? new Promise((resolve) => answers.push(resolve))
        : json({ detail: "" }, 404),
    );
    render(<App />);
    const region = await choose([picture("a")]);
    await make(region);
    await waitFor(() => expect(answers).toHaveLength(1));
    await userEvent.click(
      within(region).getByRole("button", { name: "Remove the picture of front" }),
    );
    answers[0]?.(json(faceVector([1], [pictureReport()])));
    await waitFor(() => expect(slot(region, "Front")).toHaveTextContent("Empty"));
    expect(within(region).queryByRole("img", { name: /Thumbnail/ })).toBeNull();
    expect(within(region).getByRole("button", { name: "Make vector" })).toBeDisabled();
  });

  it("takes dropped pictures where they are dropped", async () => {
    const received = answering();
    render(<App />);
    const [a, b] = [await card(), await card("Enrollment B")];
    const drop = (target: Element, files: File[]) =>
      fireEvent.drop(target, { dataTransfer: { files, types: ["Files"] } });
    drop(slot(a, "Up"), [picture("up")]);
    drop(within(b).getByRole("list"), [picture("x"), picture("y")]);
    expect(within(slot(a, "Up")).getByRole("img", { name: "Preview of up" })).toBeVisible();
    expect(within(a).getAllByRole("img", { name: /Preview/ })).toHaveLength(1);
    expect(within(b).getAllByRole("img", { name: /Preview/ })).toHaveLength(2);
    // Beside both of them: the browser must not leave for the file.
    expect(drop(document.body, [picture("z")])).toBe(false);
    expect(screen.getAllByRole("img", { name: /Preview/ })).toHaveLength(3);
    expect(byPage(received)).toEqual([]);
  });

  it("says how many pictures had no place", async () => {
    answering();
    render(<App />);
    const region = await choose(["a", "b", "c", "d", "e", "f", "g"].map(picture));
    expect(within(region).getAllByRole("img", { name: /Preview/ })).toHaveLength(5);
    const messages = screen.getByRole("region", { name: "Notifications" });
    expect(messages).toHaveTextContent("2 of 7 pictures had no place left.");
  });
});

describe("comparison", () => {
  async function compare(a: FaceVector, b: FaceVector) {
    answering(a, b);
    render(<App />);
    await make(await choose([picture("a")]));
    await screen.findByRole("img", { name: `Thumbnail of ${a.employee_id}` });
    await make(await choose([picture("b")], "Enrollment B"));
    await screen.findByRole("img", { name: `Thumbnail of ${b.employee_id}` });
  }

  it("says in words what the cosine means", async () => {
    await compare(
      faceVector([1, 0], [pictureReport()]),
      faceVector([0.6, 0.8], [pictureReport()], { employee_id: "other" }),
    );
    const meter = await screen.findByRole("meter", { name: "Cosine similarity" });
    expect(meter).toHaveAttribute("aria-valuenow", "0.6");
    expect(meter).toHaveAttribute("aria-valuetext", "0.600: The same person is likely");
    const region = screen.getByRole("region", { name: "Similarity of A and B" });
    expect(region).toHaveTextContent("a guide for the embedder mobilefacenet");
    const a = await card();
    await userEvent.click(within(a).getByRole("button", { name: "Remove the picture of front" }));
    expect(screen.queryByRole("meter")).toBeNull();
  });

  it("does not compare vectors of different models", async () => {
    await compare(
      faceVector([1], [pictureReport()]),
      faceVector([1], [pictureReport()], { employee_id: "other", weights: "w600k_r50" }),
    );
    expect(await screen.findByText(/come from different models/)).toBeVisible();
    expect(screen.queryByRole("meter")).toBeNull();
  });
});
