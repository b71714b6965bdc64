"""The Emotions page on a real talking face and the real models."""

from __future__ import annotations

import base64
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.support.browser import Tab
from tests.support.browser_camera import (
    ALLOWED,
    CAMERA_STATES,
    FAKE_CAMERA,
    camera_tab,
    write_y4m,
)
from tests.support.clips import carphone_frames, encode, flat
from tests.support.stack import Stack

CHOOSE = "Choose a clip"
TELL = "Tell the story"
API = "/iot/emotions"
SLOW = 100_000  # bytes per second
# Every text of the progress bar, in order.
WATCH_PROGRESS = """() => {
    window.progress = [];
    new MutationObserver(() => {
        const text = document.querySelector(".progress span")?.textContent;
        if (text && text !== window.progress.at(-1)) window.progress.push(text);
    }).observe(document.body, { subtree: true, childList: true, characterData: true });
}"""


def told(stack: Stack, clip: Path) -> dict[str, Any]:
    """What the API says of the same file."""
    encoded = base64.b64encode(clip.read_bytes()).decode()
    body = {"event_id": "EV2-1-test", "video_clip": encoded}
    return dict(httpx.post(stack.main + API, json=body, timeout=60).json())


def story(page: Page) -> Locator:
    return page.get_by_role("region", name="Story")


def wait_at(video: Locator, seconds: float) -> None:
    """Wait until the preview shows this moment."""
    video.page.wait_for_function(
        "([video, at]) => Math.abs(video.currentTime - at) < 0.05",
        arg=[video.element_handle(), seconds],
    )


def send(page: Page, clip: Path) -> None:
    page.get_by_label(CHOOSE).set_input_files(clip)
    page.get_by_role("button", name=TELL).click()


def test_tells_a_real_clip(tab: Tab, stack: Stack, clip: Path) -> None:
    page = tab.open("emotions")
    send(page, clip)
    answer = told(stack, clip)
    expect(story(page).locator("blockquote")).to_have_text(answer["story"])
    expect(story(page)).to_contain_text("Timeline engine")
    expect(story(page)).to_contain_text(answer["model"])
    expect(story(page)).not_to_contain_text("ends early")
    segments = page.get_by_role("group", name="Segments").get_by_role("button")
    rows = page.get_by_role("table").get_by_role("row")
    assert answer["emotions"]
    expect(segments).to_have_count(len(answer["emotions"]))
    expect(rows).to_have_count(len(answer["emotions"]) + 1)
    for place, segment in enumerate(answer["emotions"]):
        label = segments.nth(place).get_attribute("aria-label") or ""
        name, times, confidence, *_ = label.split(", ")
        assert name == segment["emotion"]
        assert times == f"{segment['start_s']:.1f} s to {segment['end_s']:.1f} s"
        shown = float(confidence.removesuffix(" %"))
        assert shown == pytest.approx(100 * segment["confidence"], abs=0.06)
        row = rows.nth(place + 1)
        expect(row).to_contain_text(segment["emotion"])
        expect(row).to_contain_text(f"{segment['end_s']:.1f} s")
    assert len(tab.asked(API)) == 1


def test_segments_seek_the_preview(tab: Tab, stack: Stack, clip: Path) -> None:
    page = tab.open("emotions")
    send(page, clip)
    segments = page.get_by_role("group", name="Segments").get_by_role("button")
    segments.last.wait_for()
    starts = [segment["start_s"] for segment in told(stack, clip)["emotions"]]
    video = page.get_by_label("Preview of carphone.mp4")
    segments.last.focus()
    page.keyboard.press("Enter")
    wait_at(video, starts[-1])
    segments.first.click()
    wait_at(video, starts[0])
    assert starts[-1] > starts[0]


def test_shows_how_far_the_upload_is(tab: Tab, clip: Path) -> None:
    page = tab.open("emotions")
    page.get_by_label(CHOOSE).wait_for(state="attached")
    network = tab.context.new_cdp_session(page)
    limits = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": SLOW}
    network.send("Network.emulateNetworkConditions", limits)
    page.evaluate(f"({WATCH_PROGRESS})()")
    send(page, clip)
    expect(story(page).locator("blockquote")).to_be_visible()
    *uploading, last = page.evaluate("window.progress")
    shares = [int(text.removeprefix("Uploading, ").removesuffix(" %")) for text in uploading]
    assert last == "Reading the faces…"
    assert shares == sorted(shares)
    assert any(0 < share < 100 for share in shares)


def test_cancelling_aborts_the_request(tab: Tab, clip: Path) -> None:
    page = tab.open("emotions")
    page.route(f"**{API}", lambda _: None)  # never answered
    page.get_by_label(CHOOSE).set_input_files(clip)
    with page.expect_event("requestfailed", lambda request: API in request.url) as failed:
        with page.expect_request(f"**{API}"):
            page.get_by_role("button", name=TELL).click()
        page.get_by_role("button", name="Cancel").click()
    assert failed.value.failure == "net::ERR_ABORTED"
    expect(page.get_by_role("button", name=TELL)).to_be_focused()
    expect(page.get_by_role("progressbar")).to_have_count(0)
    expect(page.locator(".toast")).to_have_count(0)
    page.unroute(f"**{API}")
    page.get_by_role("button", name=TELL).click()
    expect(story(page).locator("blockquote")).to_be_visible()


def test_a_clip_that_ends_early(tab: Tab, tmp_path: Path) -> None:
    whole = encode(carphone_frames(), gop=25, movflags="faststart")
    clip = tmp_path / "torn.mp4"
    clip.write_bytes(whole[: len(whole) * 2 // 3])
    page = tab.open("emotions")
    send(page, clip)
    expect(story(page)).to_contain_text("The clip ends early or is damaged")


def test_a_clip_without_a_face(tab: Tab, tmp_path: Path) -> None:
    clip = tmp_path / "grey.mp4"
    clip.write_bytes(encode(flat(128)))
    page = tab.open("emotions")
    send(page, clip)
    expect(story(page).locator("blockquote")).to_contain_text("No face")
    expect(page.get_by_text("No face was seen, so there is no timeline.")).to_be_visible()


def test_a_clip_that_only_the_server_can_read(tab: Tab, tmp_path: Path) -> None:
    clip = tmp_path / "old.mp4"
    clip.write_bytes(encode(carphone_frames()[:50], codec="mpeg4"))  # MPEG-4 part 2
    page = tab.open("emotions")
    send(page, clip)
    expect(page.get_by_text("This browser cannot play the clip.")).to_be_visible()
    expect(page.get_by_role("table")).to_be_visible()
    expect(page.get_by_role("group", name="Segments").get_by_role("button")).to_have_count(0)


def test_refusals(tab: Tab, stack: Stack, note: Path, tmp_path: Path) -> None:
    page = tab.open("emotions")
    toasts = page.get_by_role("region", name="Notifications")
    send(page, note)
    expect(toasts).to_contain_text(told(stack, note)["detail"])
    assert tab.refused == [422]
    large = tmp_path / "large.mp4"
    with large.open("wb") as file:
        file.truncate(33 * 2**20)
    page.get_by_label(CHOOSE).set_input_files(large)
    expect(toasts).to_contain_text("large.mp4 has 33.0 MiB; a clip may have 32 MiB.")
    expect(page.get_by_role("region", name=note.name)).to_be_visible()  # still the one before
    assert len(tab.asked(API)) == 1


def test_records_a_clip_with_the_camera(browser: Browser, stack: Stack, tmp_path: Path) -> None:
    write_y4m(tmp_path / "camera.y4m", carphone_frames()[:75], rate=25)
    file = f"--use-file-for-fake-video-capture={tmp_path / 'camera.y4m'}"
    with camera_tab(browser, stack, FAKE_CAMERA, ALLOWED, file) as tab:
        page = tab.open("emotions")
        opener = page.get_by_role("button", name="Record a clip")
        opener.click()
        dialog = page.get_by_role("dialog", name="Record a clip")
        dialog.get_by_role("button", name="Start recording").click()
        expect(dialog).to_contain_text(re.compile(r"(2[0-7]|1\d|\b\d) s left"))
        assert tab.violations() == []
        page.screenshot(path=tmp_path / "recording.png")
        dialog.get_by_role("button", name="Stop recording").click()
        expect(dialog).to_have_count(0)
        expect(opener).to_be_focused()
        assert page.evaluate(CAMERA_STATES) == ["ended"]
        preview = page.get_by_label("Preview of recording-")
        preview.wait_for()
        assert tab.asked(API) == []  # nothing is sent before the person says so
        page.get_by_role("button", name=TELL).click()
        expect(story(page).locator("blockquote")).to_be_visible()
        expect(page.get_by_role("table")).to_be_visible()
        page.screenshot(path=tmp_path / "recorded.png", full_page=True)
        assert tab.refused == []


def test_says_that_the_camera_is_not_allowed(browser: Browser, stack: Stack) -> None:
    with camera_tab(browser, stack, FAKE_CAMERA) as tab:
        page = tab.open("emotions")
        page.get_by_role("button", name="Record a clip").click()
        dialog = page.get_by_role("dialog", name="Record a clip")
        expect(dialog.get_by_role("alert")).to_contain_text("may not be used")
        dialog.get_by_role("button", name="Close").click()
        expect(page.get_by_role("button", name="Record a clip")).to_be_focused()
