"""The Lip-sync page on real tenants."""

from __future__ import annotations

import httpx
from playwright.sync_api import Locator, Page, expect

from tests.support.browser import Tab
from tests.support.stack import Stack

PICTURE = """async (image) => {
    await image.decode();
    const canvas = new OffscreenCanvas(image.naturalWidth, image.naturalHeight);
    const context = canvas.getContext("2d");
    context.drawImage(image, 0, 0);
    const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
    return [canvas.width, canvas.height, Array.from(data.slice(0, 4000))];
}"""


def row(page: Page, tenant: str) -> Locator:
    header = page.get_by_role("rowheader", name=tenant)
    return page.get_by_role("row").filter(has=header)


def told(stack: Stack, tenant: str) -> dict[str, object]:
    """What the API says of a tenant."""
    asked = {"search": tenant}
    found = httpx.get(stack.main + "/lipsync/tenants", params=asked, timeout=60).json()
    return dict(found["tenants"][0])


def test_a_preview_of_each_tenant_is_its_own(tab: Tab, stack: Stack) -> None:
    page = tab.open("lipsync")
    shown = []
    for tenant in ("tenant_1", "tenant_2"):
        before = told(stack, tenant)["usage_count"]
        page.get_by_role("button", name=f"Preview {tenant}").click()
        frame = page.get_by_role("img", name=f"Frame made by {tenant}")
        expect(frame).to_be_visible()
        width, height, pixels = frame.evaluate(PICTURE)
        assert (width, height) == (320, 320)
        shown.append(pixels)
        expect(row(page, tenant)).to_contain_text("resident")
        assert told(stack, tenant)["usage_count"] == int(str(before)) + 1
    assert shown[0] != shown[1]


def test_load_unload_and_memory(tab: Tab, stack: Stack) -> None:
    page = tab.open("lipsync")
    device = page.get_by_role("region", name="Device 0")
    expect(device).to_contain_text("ready")
    if told(stack, "tenant_0")["state"] == "resident":
        page.get_by_role("button", name="Unload tenant_0").click()
    # exact: "Unload" and "Reload" contain it, and are there until the row has changed
    page.get_by_role("button", name="Load tenant_0", exact=True).click()
    expect(row(page, "tenant_0")).to_contain_text("resident")
    loaded = told(stack, "tenant_0")
    assert loaded["state"] == "resident"
    expect(row(page, "tenant_0")).to_contain_text(f"graph {loaded['graph']}")
    expect(device.get_by_role("list", name="Memory of device 0")).to_contain_text("MiB of")
    page.get_by_role("button", name="Unload tenant_0").click()
    expect(row(page, "tenant_0")).to_contain_text("idle")
    assert told(stack, "tenant_0")["state"] == "idle"


def test_a_bad_file_is_told_and_harms_nobody(tab: Tab, stack: Stack) -> None:
    page = tab.open("lipsync")
    page.get_by_role("button", name="Load broken", exact=True).click()
    message = page.get_by_role("region", name="Notifications")
    expect(message).to_contain_text("not a usable ONNX model")
    expect(row(page, "broken")).to_contain_text("failed")
    page.get_by_role("searchbox", name="Search").fill("tenant_2")
    expect(page.get_by_role("rowheader")).to_have_count(1)
    page.get_by_role("button", name="Preview tenant_2").click()
    expect(page.get_by_role("img", name="Frame made by tenant_2")).to_be_visible()
