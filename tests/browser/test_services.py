"""The Services page against the state of the real models."""

from __future__ import annotations

import httpx
from playwright.sync_api import expect

from tests.support.browser import Tab
from tests.support.stack import Stack

TITLES = {
    "iot": "IoT", "lipsync": "Lip-sync", "text": "Text", "tryon": "Try-on", "vision": "Vision",
}  # fmt: skip


def test_states_models_and_queue(tab: Tab, stack: Stack) -> None:
    page = tab.open("services")
    report = httpx.get(stack.main + "/services", timeout=60).json()
    assert {service["name"] for service in report["services"]} == TITLES.keys()
    for service in report["services"]:
        card = page.get_by_role("region", name=TITLES[service["name"]], exact=True)
        expect(card.locator(".card-header")).to_contain_text("ready")
        expect(card).to_contain_text(f"of {service['queue']['slots']} slots")
        for model in service["models"]:
            row = card.get_by_role("row").filter(has_text=model["task"])
            expect(row).to_contain_text(model["name"])
            expect(row).to_contain_text(model["engine"])
            expect(row).to_contain_text("ready")


def test_traffic_and_errors_appear(tab: Tab, stack: Stack) -> None:
    page = tab.open("services")
    errors = page.get_by_role("region", name="List of recent errors")
    errors.wait_for()
    asked = {"texts": "not a list"}
    refused = httpx.post(stack.main + "/text/embed", json=asked, timeout=60)
    assert refused.status_code == 422
    row = errors.get_by_role("row").filter(has_text="/embed").filter(has_text="422").first
    expect(row).to_contain_text("texts: ")
    card = page.get_by_role("region", name="Text", exact=True)
    expect(card.get_by_text("p50").locator("xpath=following-sibling::dd")).to_contain_text("ms")
