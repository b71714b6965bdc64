"""Chromium's fake camera, and a tab that watches what the page does with it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import av
import numpy as np
from playwright.sync_api import Browser

from tests.support.browser import Tab, launch
from tests.support.stack import Stack

FAKE_CAMERA = "--use-fake-device-for-media-stream"
ALLOWED = "--use-fake-ui-for-media-stream"
# Remembers what the page gets from the camera, to see later whether it is still on.
WATCH_CAMERA = """() => {
    const devices = navigator.mediaDevices;
    const original = devices.getUserMedia.bind(devices);
    window.streams = [];
    devices.getUserMedia = async (wanted) => {
        const stream = await original(wanted);
        window.streams.push(stream);
        return stream;
    };
}"""
CAMERA_STATES = "window.streams.flatMap((stream) => stream.getTracks()).map((t) => t.readyState)"


@contextmanager
def camera_tab(browser: Browser, stack: Stack, *flags: str) -> Iterator[Tab]:
    """A tab of another browser with these flags, which watches the camera."""
    # Of the Playwright that is there: it runs only one at a time in a thread.
    own = launch(browser.browser_type, *flags)
    tab = Tab(own, stack.main, color_scheme="light", viewport={"width": 1280, "height": 900})
    tab.context.add_init_script(f"({WATCH_CAMERA})()")
    try:
        yield tab
    finally:
        own.close()
    assert tab.foreign == []
    assert tab.complaints == []


def write_y4m(path: Path, frames: Sequence[np.ndarray], rate: int = 10) -> None:
    """A video for Chromium's camera, of frames uint8 RGB [height, width, 3] of one size."""
    height, width = frames[0].shape[:2]
    with path.open("wb") as file:
        file.write(f"YUV4MPEG2 W{width} H{height} F{rate}:1 Ip A1:1 C420\n".encode())
        for frame in frames:
            planes = av.VideoFrame.from_ndarray(frame, format="rgb24").reformat(format="yuv420p")
            file.write(b"FRAME\n" + planes.to_ndarray().tobytes())
