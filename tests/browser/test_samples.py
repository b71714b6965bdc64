"""The first click of somebody who has no picture at hand."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.support.browser import Tab

SAMPLE = "Use a sample"


def test_a_picture_is_classified(tab: Tab) -> None:
    page = tab.open("classify")
    page.get_by_role("button", name=SAMPLE).click()
    card = page.get_by_role("article", name="chelsea.jpg")
    expect(card.get_by_text("Egyptian cat", exact=True)).to_be_visible()


def test_a_face_becomes_a_vector(tab: Tab) -> None:
    page = tab.open("vectorizer")
    page.get_by_role("button", name=f"{SAMPLE} for Enrollment A").click()
    page.get_by_role("button", name="Make vector").first.click()
    expect(page.get_by_role("listitem", name="Front").first).to_contain_text("Used")


def test_a_clip_is_told(tab: Tab) -> None:
    page = tab.open("emotions")
    page.get_by_role("button", name=SAMPLE).click()
    page.get_by_role("button", name="Tell the story").click()
    expect(page.get_by_text("one person is in view")).to_be_visible(timeout=60_000)


def test_a_garment_is_put_on(tab: Tab) -> None:
    page = tab.open("tryon")
    page.get_by_role("button", name=SAMPLE).click()
    expect(page.get_by_role("img", name="Preview of the garment")).to_be_visible()
    page.get_by_role("button", name="Try it on").click()
    expect(page.get_by_text("Result", exact=False).first).to_be_visible(timeout=60_000)


def test_a_frame_of_a_tenant_is_made(tab: Tab) -> None:
    """The first tenant here is none: once that is said, a click takes another one."""
    page = tab.open("lipsync")
    row = page.get_by_role("row").filter(has=page.get_by_role("rowheader", name="broken"))
    expect(row).to_be_visible()
    known = "failed" in row.inner_text()
    page.get_by_role("button", name=SAMPLE).click()
    if not known:
        expect(row).to_contain_text("failed")
        page.get_by_role("button", name=SAMPLE).click()
    expect(page.get_by_role("img", name="Frame made by tenant_")).to_be_visible()
