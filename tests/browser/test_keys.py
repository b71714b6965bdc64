"""The key dialog against a Pentad that wants keys."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.support.browser import Tab
from tests.support.stack import Stack

KEY = "correct-horse-battery-staple"
WRONG = "The server did not accept this key."


@pytest.fixture(scope="module")
def guarded(built: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    keys = [{"name": "demo", "key": KEY, "services": ["text", "metrics"]}]
    running = Stack(
        tmp_path_factory.mktemp("guarded") / "state",
        {"PENTAD_SERVICES": '["text"]', "PENTAD_SECURITY__KEYS": json.dumps(keys)},
    )
    try:
        running.start()
        yield running
        running.stop()
    finally:
        running.kill()


def test_asks_once_and_keeps_the_key_for_the_tab(browser: Browser, guarded: Stack) -> None:
    tab = Tab(browser, guarded.main)
    page = tab.open("services")
    dialog = page.get_by_role("dialog", name="API key")
    key = dialog.get_by_label("Key")
    expect(key).to_be_focused()
    page.keyboard.type("wrong")
    page.keyboard.press("Enter")
    expect(dialog.get_by_text(WRONG)).to_be_visible()
    selected = "key => key.selectionEnd - key.selectionStart === key.value.length"
    page.wait_for_function(selected, arg=key.element_handle())  # after the words are there
    page.keyboard.type(KEY)
    page.keyboard.press("Enter")
    expect(page.get_by_role("region", name="Text", exact=True)).to_contain_text("ready")
    expect(dialog).to_be_hidden()
    assert set(tab.refused) == {401}
    refusals = len(tab.refused)

    page.get_by_role("link", name="Text").click()
    page.get_by_role("button", name="Score").click()
    expect(page.get_by_role("list", name="Scores")).to_be_visible()
    page.reload()
    page.get_by_role("button", name="Score").click()
    expect(page.get_by_role("list", name="Scores")).to_be_visible()
    assert len(tab.refused) == refusals
    assert not any(KEY in url for url in tab.requests)
    assert page.evaluate("localStorage.length") == 0
    assert tab.context.cookies() == []

    page.get_by_role("button", name="Key in use").click()
    dialog.get_by_role("button", name="Forget key").click()
    assert page.evaluate("sessionStorage.length") == 0
    page.get_by_role("button", name="Score").click()
    expect(dialog).to_be_visible()
    tab.context.close()
    assert tab.complaints == []


def test_closing_the_dialog_is_respected(browser: Browser, guarded: Stack, tmp_path: Path) -> None:
    tab = Tab(browser, guarded.main)
    page = tab.open("services")
    dialog = page.get_by_role("dialog", name="API key")
    dialog.wait_for()
    page.keyboard.press("Escape")
    expect(page.get_by_role("alert").filter(has_text="Use a key")).to_be_visible()
    page.wait_for_timeout(5_000)  # the next polls
    expect(dialog).to_be_hidden()
    tab.context.close()
