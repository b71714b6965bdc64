import { fireEvent, render, screen, waitFor, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { CameraDialog } from "../../../src/pages/vectorizer/CameraDialog";
import type { Pose } from "../../../src/pages/vectorizer/poses";

/** Put a camera into the browser; `getUserMedia` is asked once per opening. */
function stubCamera(getUserMedia: () => Promise<unknown>) {
  const asked = vi.fn(getUserMedia);
  Object.defineProperty(navigator, "mediaDevices", {
    value: { getUserMedia: asked },
    configurable: true,
  });
  return asked;
}

function camera() {
  const track = { stop: vi.fn() };
  return { track, stream: { getTracks: () => [track] } };
}

function open(poses: Pose[]) {
  const onPicture = vi.fn();
  const onClose = vi.fn();
  const shown = render(<CameraDialog poses={poses} onPicture={onPicture} onClose={onClose} />);
  return { onPicture, onClose, ...shown };
}

beforeEach(() => {
  // jsdom neither plays nor draws.
  Object.defineProperty(HTMLMediaElement.prototype, "srcObject", { value: null, writable: true });
  vi.spyOn(HTMLVideoElement.prototype, "videoWidth", "get").mockReturnValue(1280);
  vi.spyOn(HTMLVideoElement.prototype, "videoHeight", "get").mockReturnValue(720);
  vi.spyOn(HTMLCanvasElement.prototype, "getContext").mockReturnValue(null);
});

afterEach(() => {
  Reflect.deleteProperty(navigator, "mediaDevices");
});

describe("CameraDialog", () => {
  it("takes one picture a pose in the camera's resolution, then closes", async () => {
    const { stream, track } = camera();
    const asked = stubCamera(() => Promise.resolve(stream));
    const drawn: unknown[] = [];
    vi.spyOn(HTMLCanvasElement.prototype, "toBlob").mockImplementation(function (
      this: HTMLCanvasElement,
      done,
      type,
      quality,
    ) {
      drawn.push([this.width, this.height, type, quality]);
      done(new Blob(["jpeg"], { type: "image/jpeg" }));
    });
    const { onPicture, onClose, unmount } = open(["left", "down"]);
    const dialog = screen.getByRole("dialog", { name: "Camera" });
    const take = await within(dialog).findByRole("button", { name: "Take picture" });
    expect(take).toBeDisabled();
    fireEvent.loadedData(within(dialog).getByLabelText("What the camera sees, mirrored"));
    expect(dialog).toHaveTextContent("Left (1 of 2) Turn your head a little to your left.");
    await userEvent.click(take);
    expect(dialog).toHaveTextContent("Down (2 of 2)");
    expect(onClose).not.toHaveBeenCalled();
    await userEvent.click(take);
    expect(onPicture.mock.calls.map(([pose, { name, type }]) => [pose, name, type])).toEqual([
      ["left", "left.jpg", "image/jpeg"],
      ["down", "down.jpg", "image/jpeg"],
    ]);
    expect(drawn).toEqual([
      [1280, 720, "image/jpeg", 0.92],
      [1280, 720, "image/jpeg", 0.92],
    ]);
    expect(onClose).toHaveBeenCalledTimes(1);
    expect(asked).toHaveBeenCalledTimes(1);
    expect(track.stop).not.toHaveBeenCalled();
    unmount();
    expect(track.stop).toHaveBeenCalledTimes(1);
  });

  it.each([
    ["NotAllowedError", "The camera may not be used"],
    ["NotFoundError", "No camera was found."],
    ["NotReadableError", "used by another program"],
    ["AbortError", "The camera cannot be used."],
  ])("says what %s means", async (name, text) => {
    stubCamera(() => Promise.reject(new DOMException("", name)));
    open(["front"]);
    expect(await screen.findByRole("alert")).toHaveTextContent(text);
    expect(screen.queryByRole("button", { name: "Take picture" })).toBeNull();
  });

  it("says that an insecure page gets no camera", async () => {
    open(["front"]);
    expect(await screen.findByRole("alert")).toHaveTextContent("HTTPS or localhost");
  });

  it("switches off a camera that comes too late", async () => {
    const { stream, track } = camera();
    let arrive: (stream: unknown) => void = () => {};
    stubCamera(() => new Promise((resolve) => (arrive = resolve)));
    const { unmount } = open(["front"]);
    unmount();
    arrive(stream);
    await waitFor(() => expect(track.stop).toHaveBeenCalledTimes(1));
  });
});
