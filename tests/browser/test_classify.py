"""The Classify page on real pictures and a real model."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Locator, expect

from tests.support.browser import Tab
from tests.support.stack import Stack

CHOOSE = "Choose pictures"


def classified(stack: Stack, picture: Path) -> dict[str, Any]:
    """What the API says of the same file."""
    files = {"file": (picture.name, picture.read_bytes())}
    reply = httpx.post(stack.main + "/vision/infer", files=files, timeout=30)
    return dict(reply.json())


def labels(card: Locator) -> list[str]:
    return (
        card.get_by_role("list", name="Most likely labels")
        .locator(".bar-label")
        .all_text_contents()
    )


def test_reads_a_real_picture(tab: Tab, stack: Stack, photograph: Path) -> None:
    page = tab.open("classify")
    page.get_by_label(CHOOSE).set_input_files(photograph)
    card = page.get_by_role("article", name=photograph.name)
    expect(card.get_by_text("palace", exact=True)).to_be_visible()
    answer = classified(stack, photograph)
    assert labels(card) == [one["label"] for one in answer["top5"]]
    shown = card.locator(".bar-value").all_text_contents()
    assert shown == [f"{100 * one['confidence']:.1f} %" for one in answer["top5"]]
    facts = dict(
        zip(card.locator("dt").all_text_contents(), card.locator("dd").all_text_contents(),
            strict=True)
    )  # fmt: skip
    assert facts["Model"] == answer["model"]
    assert facts["Engine"] == answer["engine"]
    assert int(facts["Batch size"]) >= 1
    assert float(facts["Latency"].removesuffix(" ms")) > 0
    preview = page.get_by_role("img", name=f"Preview of {photograph.name}")
    expect(preview).to_have_js_property("naturalWidth", 640)
    expect(page.get_by_text(f"{photograph.name}: palace,")).to_have_attribute("role", "status")


def test_toast_carries_the_servers_detail(tab: Tab, stack: Stack, note: Path) -> None:
    page = tab.open("classify")
    page.get_by_label(CHOOSE).set_input_files(note)
    toast = page.get_by_role("region", name="Notifications")
    detail = classified(stack, note)["detail"]
    assert "image" in detail
    expect(toast).to_contain_text(f"{note.name}{detail}")
    assert tab.refused == [400]
    toast.get_by_role("button", name="Dismiss").click()
    expect(toast).not_to_contain_text(detail)


def test_one_bad_file_of_several(tab: Tab, photograph: Path, note: Path) -> None:
    page = tab.open("classify")
    page.get_by_label(CHOOSE).set_input_files([photograph, note, photograph])
    cards = page.get_by_role("article")
    expect(cards).to_have_count(3)
    expect(cards.nth(2).get_by_text("palace", exact=True)).to_be_visible()
    assert labels(cards.nth(0)) == labels(cards.nth(2))
    expect(cards.nth(1)).to_contain_text("not a valid image")
    expect(page.get_by_role("region", name="Notifications")).to_contain_text(note.name)
    assert len(tab.asked("/vision/infer/batch")) == 1


@pytest.mark.parametrize("how", ["drop", "paste"])
def test_drop_and_paste(tab: Tab, photograph: Path, how: str) -> None:
    page = tab.open("classify")
    page.get_by_label(CHOOSE).wait_for(state="attached")
    page.evaluate(
        """([how, name, encoded]) => {
            const bytes = Uint8Array.from(atob(encoded), (char) => char.charCodeAt(0));
            const data = new DataTransfer();
            data.items.add(new File([bytes], name, { type: "image/jpeg" }));
            const options = { bubbles: true, cancelable: true };
            document.body.dispatchEvent(
                how === "drop"
                    ? new DragEvent("drop", { ...options, dataTransfer: data })
                    : new ClipboardEvent("paste", { ...options, clipboardData: data }),
            );
        }""",
        [how, photograph.name, base64.b64encode(photograph.read_bytes()).decode()],
    )
    card = page.get_by_role("article", name=photograph.name)
    expect(card.get_by_text("palace", exact=True)).to_be_visible()


def test_with_the_keyboard_alone(tab: Tab, photograph: Path) -> None:
    page = tab.open("gpu")
    # Listening begins in the background: too late for the key press when it begins with it.
    page.on("filechooser", lambda _: None)
    press = page.keyboard.press
    press("Tab")
    expect(page.get_by_role("button", name="Skip to content")).to_be_focused()
    press("Tab")
    expect(page.get_by_role("link", name="Classify")).to_be_focused()
    press("Enter")
    expect(page.get_by_role("heading", level=1, name="Classify")).to_be_focused()
    chooser = page.get_by_label(CHOOSE)
    chooser.wait_for(state="attached")
    press("Tab")
    expect(chooser).to_be_focused()
    outline = page.locator(".dropzone").evaluate("zone => getComputedStyle(zone).outlineStyle")
    assert outline == "solid"
    with page.expect_file_chooser() as opened:
        press("Enter")
    opened.value.set_files(photograph)
    card = page.get_by_role("article", name=photograph.name)
    expect(card.get_by_text("palace", exact=True)).to_be_visible()
