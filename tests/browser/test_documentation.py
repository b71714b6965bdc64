"""The pages of API documentation work under the policy that they are sent with."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, expect

from tests.support.browser import Tab
from tests.support.stack import Stack


@pytest.mark.parametrize("prefix", ["", "/vision"])
def test_swagger_calls_the_api(tab: Tab, stack: Stack, prefix: str) -> None:
    page = tab.page
    page.goto(f"{stack.main}{prefix}/docs")
    operation = page.locator(".opblock").filter(has_text="/health").first
    operation.click()
    operation.get_by_role("button", name="Try it out").click()
    operation.get_by_role("button", name="Execute").click()
    expect(operation.locator(".live-responses-table .response-col_status").last).to_contain_text(
        "200"
    )


def test_redoc_shows_the_api(browser: Browser, stack: Stack) -> None:
    tab = Tab(browser, stack.main)
    tab.page.goto(f"{stack.main}/vision/redoc")
    expect(tab.page.get_by_role("heading", name="GPU-Accelerated").first).to_be_visible()
    tab.context.close()
    # It wants its maker's logo; the policy keeps it from asking.
    assert [words for words in tab.complaints if "redoc.ly" not in words] == []


@pytest.mark.parametrize("port", ["main", "text", "iot", "tryon", "vision"])
def test_swagger_resolves_every_reference(browser: Browser, stack: Stack, port: str) -> None:
    address = getattr(stack, port)
    tab = Tab(browser, address)
    page = tab.page
    page.goto(f"{address}/docs")
    operations = page.locator(".opblock")
    expect(operations.first).to_be_visible()
    opened = min(operations.count(), 8)  # each takes a second; references are resolved in them
    page.evaluate(
        "count => [...document.querySelectorAll('.opblock-summary-control')].slice(0, count)"
        ".forEach(one => one.click())",
        opened,
    )
    expect(page.locator(".opblock-body .responses-wrapper")).to_have_count(opened)
    expect(page.locator(".errors-wrapper")).to_have_count(0)
    assert "Resolver error" not in page.locator("body").inner_text()
    tab.context.close()
    assert tab.complaints == []
