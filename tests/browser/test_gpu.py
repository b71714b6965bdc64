"""The GPU page on the live sampler."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.support.browser import Tab

GPUS = "/vision/metrics/gpus"
LONGER_THAN_A_POLL = 2_600  # milliseconds
# When requests began since the tab was shown again, in milliseconds.
SHOWN = """(part) => new Promise((resolve) => {
    const look = () => {
        const found = performance.getEntriesByType("resource")
            .filter((entry) => entry.name.includes(part) && entry.startTime >= window.shown)
            .map((entry) => entry.startTime - window.shown);
        if (performance.now() > window.shown + 1600 && found.length > 0) resolve(found);
        else setTimeout(look, 50);
    };
    look();
})"""


def power_line(page: Page) -> str:
    """The drawn line of the power chart."""
    line = page.get_by_role("region", name="Power").locator("path.recharts-line-curve")
    return line.get_attribute("d") or ""


def newest(page: Page) -> str:
    """Time of the newest reading in the table, `HH:MM:SS`."""
    times = page.get_by_role("region", name="Readings").get_by_role("rowheader")
    return times.first.text_content() or ""


def test_the_charts_move(tab: Tab) -> None:
    page = tab.open("gpu")
    expect(page.get_by_text("Simulated: no GPU driver found")).to_be_visible()
    for title in ("Utilisation", "Memory", "Power", "Temperature"):
        expect(page.get_by_role("region", name=title, exact=True)).to_be_visible()
    page.get_by_text("Readings as a table").click()
    page.get_by_role("region", name="Readings").wait_for()
    for _ in range(2):
        page.wait_for_event("response", lambda reply: GPUS in reply.url)
    before, line = newest(page), power_line(page)
    assert line
    drawn = page.get_by_role("region", name="Power").locator("path.recharts-line-curve")
    expect(drawn).not_to_have_attribute("d", line)
    times = page.get_by_role("region", name="Readings").get_by_role("rowheader")
    expect(times.first).not_to_have_text(before)
    polls = tab.asked(GPUS)
    assert polls[0].endswith("samples=120")
    assert all(int(poll.split("=")[1]) < 20 for poll in polls[1:])


def test_polling_stops_in_a_hidden_tab_and_on_other_pages(tab: Tab) -> None:
    page = tab.open("gpu")
    page.get_by_text("Live").wait_for()
    tab.hide(True)
    page.wait_for_timeout(300)  # what was under way
    before = len(tab.asked(GPUS))
    page.wait_for_timeout(2 * LONGER_THAN_A_POLL)
    assert len(tab.asked(GPUS)) == before
    with page.expect_request(f"**{GPUS}*"):
        tab.hide(False)
    # By the page's own clock: one poll at once, and the next one when it is due.
    shown = page.evaluate(SHOWN, GPUS)
    assert len([moment for moment in shown if moment < 1500]) == 1
    page.get_by_role("link", name="Text").click()
    page.get_by_role("button", name="Score").wait_for()
    before = len(tab.asked(GPUS))
    page.wait_for_timeout(LONGER_THAN_A_POLL)
    assert len(tab.asked(GPUS)) == before


def test_a_server_that_goes_away_is_noticed(tab: Tab) -> None:
    page = tab.open("gpu")
    page.get_by_text("Live").wait_for()
    page.route(f"**{GPUS}*", lambda route: route.abort())
    expect(page.get_by_text("Stale")).to_be_visible()
    expect(page.get_by_text("The server cannot be reached.")).to_be_visible()
    assert power_line(page)  # the last readings stay
    page.unroute(f"**{GPUS}*")
    expect(page.get_by_text("Live")).to_be_visible()
