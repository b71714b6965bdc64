"""Every page: accessible in both themes, fit for a phone, steady while polling."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.browser import Tab
from tests.support.stack import Stack

PAGES = ("classify", "emotions", "gpu", "lipsync", "services", "text", "tryon", "vectorizer")
POLLED = {"gpu": "/metrics/gpus", "services": "/services"}
PHONE = {"width": 360, "height": 740}
SHIFTS = """async () => {
    const shifts = [];
    new PerformanceObserver((list) => {
        for (const entry of list.getEntries())
            shifts.push(...entry.sources.map(({ node }) =>
                (node.outerHTML ?? node.parentElement.outerHTML).slice(0, 200)));
    }).observe({ type: "layout-shift" });
    await new Promise((resolve) => setTimeout(resolve, 6500));
    return shifts;
}"""

Opener = Callable[..., Tab]


@pytest.fixture
def opened(browser: Browser, stack: Stack) -> Iterator[Opener]:
    """Opens tabs that are closed at the end, after they were checked."""
    tabs: list[Tab] = []

    def open_tab(base: str = stack.main, **options: object) -> Tab:
        tabs.append(Tab(browser, base, **options))
        return tabs[-1]

    yield open_tab
    for tab in tabs:
        tab.context.close()
        assert tab.foreign == []
        assert tab.complaints == []


@pytest.fixture
def samples(
    photograph: Path, portrait: Path, clip: Path, dressed: tuple[Path, Path]
) -> dict[str, Path]:
    """What pages are filled with."""
    person, garment = dressed
    return {
        "classify": photograph, "vectorizer": portrait, "emotions": clip,
        "tryon": person, "garment": garment,
    }  # fmt: skip


def fill(tab: Tab, name: str, samples: dict[str, Path]) -> Page:
    """Open a page and bring it into the state in which it shows the most."""
    page = tab.open(name)
    if name == "classify":
        page.get_by_label("Choose pictures").set_input_files(samples[name])
        expect(page.get_by_text("palace", exact=True)).to_be_visible()
    elif name == "vectorizer":
        for title in ("Enrollment A", "Enrollment B"):
            card = page.get_by_role("region", name=title)
            card.get_by_label("Choose pictures").set_input_files(samples[name])
            card.get_by_role("button", name="Make vector").click()
        page.get_by_role("meter").wait_for()
    elif name == "emotions":
        page.get_by_label("Choose a clip").set_input_files(samples[name])
        page.get_by_role("button", name="Tell the story").click()
        page.get_by_role("group", name="Segments").get_by_role("button").first.wait_for()
    elif name == "gpu":
        page.get_by_text("Readings as a table").click()
        page.get_by_role("region", name="Readings").wait_for()
    elif name == "lipsync":
        page.get_by_role("button", name="Preview tenant_0").click()
        page.get_by_role("img", name="Frame made by tenant_0").wait_for()
    elif name == "tryon":
        page.get_by_label("Choose the person").set_input_files(samples[name])
        page.get_by_label("Choose the garment").set_input_files(samples["garment"])
        page.get_by_label("Resolution").select_option("480p")
        page.get_by_role("button", name="Try it on").click()
        page.get_by_role("slider").wait_for()
        page.get_by_role("table").wait_for()
    elif name == "services":
        page.get_by_role("region", name="Vision", exact=True).wait_for()
    else:
        page.get_by_role("button", name="Score").click()
        page.get_by_role("button", name="Compare").click()
        page.get_by_role("list", name="Scores").wait_for()
        page.get_by_role("table").wait_for()
    return page


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_accessible_in_both_themes(
    opened: Opener, samples: dict[str, Path], tmp_path: Path, name: str, theme: str
) -> None:
    tab = opened(color_scheme=theme, reduced_motion="reduce")
    page = fill(tab, name, samples)
    assert tab.violations() == []
    assert page.evaluate("document.getAnimations().length") == 0  # motion is not wanted
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert background == {"light": "rgb(246, 247, 249)", "dark": "rgb(12, 14, 18)"}[theme]
    page.screenshot(path=tmp_path / f"{name}-{theme}.png", full_page=True)


@pytest.mark.parametrize("name", PAGES)
def test_fits_a_phone(opened: Opener, samples: dict[str, Path], tmp_path: Path, name: str) -> None:
    tab = opened(viewport=PHONE, has_touch=True, color_scheme="dark", reduced_motion="reduce")
    page = fill(tab, name, samples)
    assert tab.overflow() == 0
    links = page.get_by_role("navigation", name="Pages").get_by_role("link").all()
    for link in links:
        box = link.bounding_box()
        assert box
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= PHONE["width"]
    page.screenshot(path=tmp_path / f"{name}-phone.png", full_page=True)


@pytest.mark.parametrize("name", ["gpu", "services"])
def test_nothing_moves_while_polling(opened: Opener, name: str) -> None:
    page = opened().open(name)
    page.get_by_text("Live").wait_for()
    for _ in range(2):  # by the second poll everything has its place, however slow the machine
        page.wait_for_event("response", lambda reply: POLLED[name] in reply.url)
    page.wait_for_timeout(500)
    assert page.evaluate(SHIFTS) == []


def test_a_chosen_theme_is_kept(opened: Opener) -> None:
    page = opened(color_scheme="light").open("text")
    page.get_by_role("button", name="Switch to dark theme").click()
    page.reload()
    expect(page.get_by_role("button", name="Switch to light theme")).to_be_visible()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(12, 14, 18)"


def test_the_same_build_works_on_the_old_port(
    opened: Opener, stack: Stack, samples: dict[str, Path]
) -> None:
    tab = opened(base=stack.vision)
    for name in PAGES:
        fill(tab, name, samples)
    assert tab.refused == []
