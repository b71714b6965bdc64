import { act, fireEvent, render, screen } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { RecorderDialog } from "../../../src/pages/emotions/RecorderDialog";

/** A recorder that holds one part, and knows one kind of file. */
class FakeRecorder {
  static kind = "video/webm";
  static made: FakeRecorder[] = [];
  static isTypeSupported = (type: string) => type.startsWith(FakeRecorder.kind);
  state = "inactive";
  ondataavailable: (event: { data: Blob }) => void = () => {};
  onstop: () => void = () => {};
  onerror: () => void = () => {};

  constructor(
    readonly stream: unknown,
    readonly options: MediaRecorderOptions,
  ) {
    FakeRecorder.made.push(this);
  }

  start() {
    this.state = "recording";
  }

  stop() {
    this.state = "inactive";
    this.ondataavailable({ data: new Blob(["frames"]) });
    this.onstop();
  }
}

const track = { stop: vi.fn() };
const stream = { getTracks: () => [track] };

async function open() {
  const onClip = vi.fn();
  const onClose = vi.fn();
  const shown = render(<RecorderDialog onClip={onClip} onClose={onClose} />);
  const start = await screen.findByRole("button", { name: "Start recording" });
  expect(start).toBeDisabled();
  fireEvent.loadedData(screen.getByLabelText("What the camera sees, mirrored"));
  expect(start).toBeEnabled();
  return { onClip, onClose, ...shown };
}

beforeEach(() => {
  FakeRecorder.kind = "video/webm";
  FakeRecorder.made = [];
  track.stop.mockClear();
  Object.defineProperty(HTMLMediaElement.prototype, "srcObject", { value: null, writable: true });
  Object.defineProperty(navigator, "mediaDevices", {
    value: { getUserMedia: () => Promise.resolve(stream) },
    configurable: true,
  });
  vi.stubGlobal("MediaRecorder", FakeRecorder);
});

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
  Reflect.deleteProperty(navigator, "mediaDevices");
});

describe("RecorderDialog", () => {
  it.each([
    ["video/webm", "webm"],
    ["video/mp4", "mp4"],
  ])("records %s until it is stopped", async (kind, ending) => {
    FakeRecorder.kind = kind;
    const { onClip, onClose, unmount } = await open();
    await userEvent.click(screen.getByRole("button", { name: "Start recording" }));
    expect(screen.getByRole("dialog", { name: "Record a clip" })).toHaveTextContent("30 s left");
    expect(onClip).not.toHaveBeenCalled();
    await userEvent.click(screen.getByRole("button", { name: "Stop recording" }));
    const clip = onClip.mock.calls[0]?.[0] as File;
    expect(clip.name).toMatch(new RegExp(`^recording-[\\d-]+\\.${ending}$`));
    expect([clip.type, await clip.text()]).toEqual([kind, "frames"]);
    expect(onClose).toHaveBeenCalledTimes(1);
    expect(FakeRecorder.made[0]?.stream).toBe(stream);
    unmount();
    expect(track.stop).toHaveBeenCalledTimes(1);
  });

  it("counts down and stops by itself", async () => {
    const { onClip } = await open();
    vi.useFakeTimers();
    fireEvent.click(screen.getByRole("button", { name: "Start recording" }));
    for (const left of [29, 28]) {
      act(() => vi.advanceTimersByTime(1000));
      expect(screen.getByRole("dialog")).toHaveTextContent(`${left} s left`);
    }
    for (let second = 0; second < 27; second++) act(() => vi.advanceTimersByTime(1000));
    expect(onClip).not.toHaveBeenCalled();
    act(() => vi.advanceTimersByTime(1000));
    expect(onClip).toHaveBeenCalledTimes(1);
  });

  it("gives nothing when it is closed meanwhile", async () => {
    const { onClip, unmount } = await open();
    await userEvent.click(screen.getByRole("button", { name: "Start recording" }));
    unmount();
    expect(FakeRecorder.made[0]?.state).toBe("inactive");
    expect(onClip).not.toHaveBeenCalled();
    expect(track.stop).toHaveBeenCalledTimes(1);
  });

  it("says when the recording fails", async () => {
    const { onClip } = await open();
    await userEvent.click(screen.getByRole("button", { name: "Start recording" }));
    act(() => FakeRecorder.made[0]?.onerror());
    expect(screen.getByRole("alert")).toHaveTextContent("The recording failed.");
    expect(onClip).not.toHaveBeenCalled();
  });

  it("says when the browser records nothing", async () => {
    FakeRecorder.kind = "video/none";
    await open();
    await userEvent.click(screen.getByRole("button", { name: "Start recording" }));
    expect(screen.getByRole("alert")).toHaveTextContent("cannot record clips");
  });
});
