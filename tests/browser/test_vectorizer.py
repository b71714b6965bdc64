"""The Vectorizer page on real faces, real models and a camera of Chromium's own."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, expect

from tests.support.browser import Tab
from tests.support.browser_camera import (
    ALLOWED,
    CAMERA_STATES,
    FAKE_CAMERA,
    camera_tab,
    write_y4m,
)
from tests.support.portraits import hopper
from tests.support.stack import Stack


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Grace Hopper (US Navy, public domain)."""
    path = tmp_path_factory.mktemp("portraits") / "hopper.jpg"
    hopper().save(path, quality=92)
    return path


@pytest.fixture
def wall(tmp_path: Path) -> Path:
    """A picture without a face."""
    path = tmp_path / "wall.jpg"
    Image.new("RGB", (400, 300), (90, 120, 90)).save(path)
    return path


def vectorized(stack: Stack, *pictures: Path) -> dict[str, Any]:
    """What the API says of the same files."""
    poses = ("front", "left", "right", "up", "down")
    images = [
        {"pose": pose, "data": base64.b64encode(picture.read_bytes()).decode()}
        for pose, picture in zip(poses, pictures, strict=False)
    ]
    body = {"employee_id": "test", "images": images}
    reply = httpx.post(stack.main + "/iot/vectorizer", json=body, timeout=60)
    return dict(reply.json())


def vector(answer: dict[str, Any]) -> np.ndarray:
    return np.frombuffer(base64.b64decode(answer["enrollmentProcessedFile"]), "<f4")


def card(page: Page, letter: str = "A") -> Locator:
    return page.get_by_role("region", name=f"Enrollment {letter}")


def slot(enrollment: Locator, pose: str) -> Locator:
    return enrollment.get_by_role("listitem", name=pose)


def expect_size(image: Locator, width: int, height: int) -> None:
    """Pictures are decoded in the background."""
    expect(image).to_have_js_property("naturalWidth", width)
    expect(image).to_have_js_property("naturalHeight", height)


def enroll(enrollment: Locator, files: Sequence[Path]) -> None:
    """Choose pictures and wait for their vector."""
    enrollment.get_by_label("Choose pictures").set_input_files(files)
    enrollment.get_by_role("button", name="Make vector").click()
    enrollment.get_by_role("img", name="Thumbnail").wait_for()


def outline(enrollment: Locator, pose: str) -> list[float]:
    box = slot(enrollment, pose).locator(".face-box")
    return [float(box.get_attribute(name) or "nan") for name in ("x", "y", "width", "height")]


def test_compares_two_people(tab: Tab, stack: Stack, portrait: Path, other: Path) -> None:
    page = tab.open("vectorizer")
    enroll(card(page, "A"), [portrait])
    enroll(card(page, "B"), [other])
    first, second = vectorized(stack, portrait), vectorized(stack, other)
    cosine = float(vector(first) @ vector(second))
    meter = page.get_by_role("meter", name="Cosine similarity")
    assert float(meter.get_attribute("aria-valuenow") or "nan") == pytest.approx(cosine, abs=2e-3)
    expect(page.get_by_text("Different people are likely", exact=True)).to_be_visible()
    assert outline(card(page, "A"), "Front") == first["images"][0]["box"]
    expect(slot(card(page, "A"), "Front").locator("circle")).to_have_count(5)
    thumbnail = card(page, "B").get_by_role("img", name="Thumbnail")
    expect_size(thumbnail, 128, 128)
    expect(card(page, "A")).to_contain_text(f"ArcFace · {first['weights']} · {first['engine']}")
    expect(card(page, "A")).to_contain_text("512 values")
    expect(card(page, "A")).to_contain_text("1.0000")
    assert page.evaluate("localStorage.length + sessionStorage.length") == 0


def test_recognises_the_same_person_upright(tab: Tab, portrait: Path, tmp_path: Path) -> None:
    """The second picture lies on its side and says so: preview and outline stand upright."""
    turned = tmp_path / "turned.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6  # Orientation: rotate by 90° clockwise to see it upright
    with Image.open(portrait) as picture:
        cut = picture.crop((0, 0, 512, 400))
        cut.rotate(90, expand=True).save(turned, quality=95, exif=exif)
    page = tab.open("vectorizer")
    enroll(card(page, "A"), [portrait])
    enroll(card(page, "B"), [turned])
    expect(page.get_by_text("The same person is likely", exact=True)).to_be_visible()
    preview = card(page, "B").get_by_role("img", name="Preview of front")
    expect_size(preview, 512, 400)
    assert outline(card(page, "B"), "Front") == pytest.approx(
        outline(card(page, "A"), "Front"), abs=8
    )


def test_one_pose_is_taken_again(tab: Tab, portrait: Path, wall: Path) -> None:
    page = tab.open("vectorizer")
    enroll(card(page), [portrait, wall])
    expect(slot(card(page), "Front")).to_contain_text("Used")
    expect(slot(card(page), "Left")).to_contain_text("No face: try again")
    expect(card(page)).to_contain_text("1 of 2 used")
    slot(card(page), "Left").get_by_label("Replace").set_input_files(portrait)
    expect(card(page).get_by_role("img", name="Thumbnail")).to_have_count(0)
    card(page).get_by_role("button", name="Make vector").click()
    expect(card(page)).to_contain_text("2 of 2 used")
    assert len(tab.asked("/iot/vectorizer")) == 2


def test_quality_wrong_poses_and_the_odd_one_are_told(
    tab: Tab, stack: Stack, portrait: Path, other: Path, tmp_path: Path
) -> None:
    lit = tmp_path / "lit.jpg"
    with Image.open(portrait) as picture:
        picture.point(lambda level: level * 0.8).save(lit, quality=92)
    page = tab.open("vectorizer")
    enroll(card(page), [portrait, lit, other])
    front, left, right = vectorized(stack, portrait, lit, other)["images"]
    assert (front["pose_matches"], left["pose_matches"]) == (True, False)
    assert [one["consistent"] for one in (front, left, right)] == [True, True, False]
    expect(slot(card(page), "Front")).to_contain_text("Used")
    expect(slot(card(page), "Front")).to_contain_text(f"{front['quality']['size']:.0f} px")
    expect(slot(card(page), "Left")).to_contain_text("Not turned to the own left")
    expect(slot(card(page), "Right")).to_contain_text("Somebody else than on the others?")
    assert tab.violations() == []
    page.screenshot(path=tmp_path / "quality.png", full_page=True)
    retakes = card(page).get_by_role("list", name="Better taken again")
    expect(retakes.get_by_role("listitem")).to_have_count(2)
    retakes.get_by_role("button", name="Retake right").click()
    expect(page.get_by_role("dialog", name="Camera")).to_be_visible()
    page.keyboard.press("Escape")
    slot(card(page), "Right").get_by_label("Replace").set_input_files(portrait)
    card(page).get_by_role("button", name="Make vector").click()
    expect(slot(card(page), "Right")).to_contain_text("Not turned to the own right")


def test_refusals_are_named(tab: Tab, stack: Stack, portrait: Path, note: Path, wall: Path) -> None:
    page = tab.open("vectorizer")
    toasts = page.get_by_role("region", name="Notifications")
    card(page).get_by_label("Choose pictures").set_input_files([portrait, note])
    card(page).get_by_role("button", name="Make vector").click()
    expect(toasts).to_contain_text(vectorized(stack, portrait, note)["detail"])
    expect(slot(card(page), "Left")).to_contain_text("Refused: take another")
    expect(slot(card(page), "Front")).not_to_contain_text("Refused")
    card(page, "B").get_by_label("Choose pictures").set_input_files(wall)
    card(page, "B").get_by_role("button", name="Make vector").click()
    expect(toasts).to_contain_text("No faces detected")
    assert tab.refused == [422, 422]


def test_drop_goes_where_it_falls(tab: Tab, portrait: Path) -> None:
    page = tab.open("vectorizer")
    drop = """(target, encoded) => {
        const bytes = Uint8Array.from(atob(encoded), (char) => char.charCodeAt(0));
        const data = new DataTransfer();
        data.items.add(new File([bytes], "face.jpg", { type: "image/jpeg" }));
        const options = { bubbles: true, cancelable: true, dataTransfer: data };
        target.dispatchEvent(new DragEvent("dragover", options));
        return target.dispatchEvent(new DragEvent("drop", options));
    }"""
    encoded = base64.b64encode(portrait.read_bytes()).decode()
    assert slot(card(page, "B"), "Right").evaluate(drop, encoded) is False
    assert page.locator("h1").evaluate(drop, encoded) is False  # nobody leaves for the file
    expect(slot(card(page, "B"), "Right").get_by_role("img")).to_have_count(1)
    expect(page.get_by_role("img", name="Preview of")).to_have_count(1)


class TestCamera:
    def test_takes_all_poses(self, browser: Browser, stack: Stack, tmp_path: Path) -> None:
        scene = Image.new("RGB", (640, 480), (60, 60, 70))
        scene.paste(hopper().resize((406, 480)), (117, 0))
        write_y4m(tmp_path / "camera.y4m", 2 * [np.asarray(scene)])
        file = f"--use-file-for-fake-video-capture={tmp_path / 'camera.y4m'}"
        with camera_tab(browser, stack, FAKE_CAMERA, ALLOWED, file) as tab:
            page = tab.open("vectorizer")
            card(page).wait_for()
            assert page.evaluate("window.streams.length") == 0  # asked for on the button only
            opener = card(page).get_by_role("button", name="Use camera")
            opener.click()
            dialog = page.get_by_role("dialog", name="Camera")
            take = dialog.get_by_role("button", name="Take picture")
            for number in range(1, 6):
                expect(dialog).to_contain_text(f"({number} of 5)")
                expect(take).to_be_enabled()
                if number == 1:
                    assert tab.violations() == []
                    page.screenshot(path=tmp_path / "camera.png")
                take.click()
            expect(dialog).to_have_count(0)
            expect(opener).to_be_focused()
            assert page.evaluate(CAMERA_STATES) == ["ended"]
            preview = card(page).get_by_role("img", name="Preview of down")
            expect_size(preview, 640, 480)
            card(page).get_by_role("button", name="Make vector").click()
            expect(card(page)).to_contain_text("5 of 5 used")

    def test_says_that_it_is_not_allowed(self, browser: Browser, stack: Stack) -> None:
        with camera_tab(browser, stack, FAKE_CAMERA) as tab:
            page = tab.open("vectorizer")
            slot(card(page), "Up").get_by_role("button", name="Camera: up").click()
            dialog = page.get_by_role("dialog", name="Camera")
            expect(dialog.get_by_role("alert")).to_contain_text("may not be used")
            page.keyboard.press("Escape")
            expect(dialog).to_have_count(0)
            expect(page.get_by_role("button", name="Camera: up").first).to_be_focused()

    def test_says_that_there_is_none(self, browser: Browser, stack: Stack) -> None:
        with camera_tab(browser, stack, ALLOWED) as tab:
            page = tab.open("vectorizer")
            card(page).get_by_role("button", name="Use camera").click()
            expect(page.get_by_role("alert").filter(has_text="No camera")).to_be_visible()
