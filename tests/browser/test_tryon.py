"""The Try-on page on the real warp engine, real jobs and a real receiver."""

from __future__ import annotations

import re
import uuid
from pathlib import Path
from typing import Any

import httpx
from playwright.sync_api import Locator, Page, expect

from tests.support.browser import Tab
from tests.support.callback_receiver import RESULT, Receiver, always
from tests.support.stack import Stack

RUN = "Try it on"
# Every text of the progress bar, in order.
WATCH_PROGRESS = """() => {
    window.progress = [];
    new MutationObserver(() => {
        const text = document.querySelector(".progress span")?.textContent;
        if (text && text !== window.progress.at(-1)) window.progress.push(text);
    }).observe(document.body, { subtree: true, childList: true, characterData: true });
}"""


def result(page: Page) -> Locator:
    return page.get_by_role("region", name="Result")


def place(page: Page, part: str) -> Locator:
    return page.get_by_label(re.compile(f"^(Choose|Replace) the {part}"))


def choose(page: Page, person: Path, garment: Path) -> None:
    for part, file in (("person", person), ("garment", garment)):
        place(page, part).set_input_files(file)


def run(page: Page, person: Path, garment: Path) -> str:
    """Hand a job in and return its id."""
    choose(page, person, garment)
    with page.expect_request("**/vton/jobs/*/events") as asked:
        page.get_by_role("button", name=RUN).click()
    return asked.value.url.split("/")[-2]


def told(stack: Stack, job: str) -> dict[str, Any]:
    """What the API says of a job."""
    return dict(httpx.get(f"{stack.main}/vton/jobs/{job}", timeout=60).json())


def row(page: Page, job: str) -> Locator:
    return page.get_by_role("row").filter(has_text=job)


def test_progress_result_and_slider(
    tab: Tab, stack: Stack, dressed: tuple[Path, Path], tmp_path: Path
) -> None:
    page = tab.open("tryon")
    expect(page.get_by_label("Steps not used by Warp")).to_be_visible()
    page.evaluate(f"({WATCH_PROGRESS})()")
    page.get_by_label("Seed").fill("7")
    page.get_by_label("Resolution").select_option("480p")
    job = run(page, *dressed)
    slider = page.get_by_role("slider")
    expect(slider).to_be_visible()
    shown = page.evaluate("window.progress")
    assert shown[0].startswith("Uploading")
    assert any(text.startswith("Dressing") for text in shown)
    answer = told(stack, job)
    assert (answer["seed"], answer["engine"]) == (7, "warp")
    after = page.get_by_role("img", name="After: with the garment")
    expect(after).to_have_js_property("naturalWidth", answer["width"])
    expect(after).to_have_js_property("naturalHeight", answer["height"])
    assert min(answer["width"], answer["height"]) == 480
    expect(result(page)).to_contain_text("not photorealistic")
    expect(result(page)).to_contain_text(f"Inference{answer['inference_time_ms']:,} ms")
    expect(row(page, job)).to_contain_text("delivered")

    slider.focus()
    before = page.locator(".compare-before")
    width = before.bounding_box()
    assert width
    for key, value in (("End", 100), ("ArrowLeft", 99), ("PageDown", 89), ("Home", 0)):
        page.keyboard.press(key)
        expect(slider).to_have_value(str(value))
        expect(slider).to_have_attribute(
            "aria-valuetext", f"{value} % before, {100 - value} % after"
        )
        clip = before.evaluate("image => getComputedStyle(image).clipPath")
        assert clip == f"inset(0px {100 - value}% 0px 0px)"
    box = slider.bounding_box()
    assert box
    page.mouse.click(box["x"] + 0.3 * box["width"], box["y"] + 50)
    expect(slider).to_have_value(re.compile(r"^(29|30|31)$"))

    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    saved = tmp_path / "saved"
    download.value.save_as(saved)
    result_of = f"{stack.main}/vton/jobs/{job}/result"
    assert saved.read_bytes() == httpx.get(result_of, timeout=60).content


def test_a_job_of_another_client_is_listed_and_shown(
    tab: Tab, stack: Stack, dressed: tuple[Path, Path]
) -> None:
    page = tab.open("tryon")
    page.get_by_role("region", name="Jobs").get_by_text("Live", exact=True).wait_for()
    job = str(uuid.uuid4())
    person, garment = dressed
    accepted = httpx.post(
        f"{stack.main}/vton/tryon",
        data={
            "job_id": job, "user_id": "u", "session_id": "s", "provider": "qwen",
            "config": '{"resolution": "480p"}',
        },
        files={
            "masked_user_image": person.read_bytes(), "garment_image": garment.read_bytes(),
        },
        timeout=60,
    )  # fmt: skip
    assert accepted.status_code == 202
    expect(row(page, job)).to_contain_text("delivered")
    page.get_by_role("button", name=f"Show {job}").click()
    expect(page.get_by_role("slider")).to_be_visible()
    page.get_by_role("combobox", name="State").select_option("cancelled")
    expect(row(page, job)).to_have_count(0)
    page.get_by_role("combobox", name="State").select_option("delivered")
    expect(row(page, job)).to_have_count(1)


def test_what_was_not_received_is_delivered_again(
    tab: Tab, receiver: Receiver, dressed: tuple[Path, Path]
) -> None:
    page = tab.open("tryon")
    receiver.behave = always(410)  # for good
    try:
        page.get_by_label("Resolution").select_option("480p")
        job = run(page, *dressed)
        expect(row(page, job)).to_contain_text("not delivered")
        expect(row(page, job)).to_contain_text("given up, 1 attempt, last answer 410")
    finally:
        receiver.behave = always(200)
    page.get_by_role("button", name=f"Redeliver {job}").click()
    expect(row(page, job)).to_contain_text("Asset servicedelivered")
    refused, received = [one for one in receiver.of(RESULT) if one.fields["job_id"] == job]
    assert (refused.status, received.status) == (410, 200)
    assert refused.event_id == received.event_id
    assert received.fields["output_image"]


def test_a_pose_that_cannot_be_used(tab: Tab, portrait: Path, dressed: tuple[Path, Path]) -> None:
    page = tab.open("tryon")
    job = run(page, portrait, dressed[1])  # her hips are not in the picture
    alert = result(page).get_by_role("alert")
    expect(alert).to_contain_text("shoulders and hips")
    expect(alert).to_contain_text("Take a photo from the front")
    expect(row(page, job)).to_contain_text("failed")
    expect(page.get_by_role("button", name=RUN)).to_be_enabled()


def test_cancel_in_the_middle(tab: Tab, stack: Stack, dressed: tuple[Path, Path]) -> None:
    page = tab.open("tryon")
    page.get_by_label("Resolution").select_option("1080p")
    job = run(page, *dressed)
    result(page).get_by_role("button", name="Cancel").click()
    expect(result(page)).to_contain_text("Cancelled.")
    expect(row(page, job)).to_contain_text("cancelled")
    assert told(stack, job)["state"] == "cancelled"


def test_refusals(tab: Tab, note: Path, dressed: tuple[Path, Path], tmp_path: Path) -> None:
    page = tab.open("tryon")
    toasts = page.get_by_role("region", name="Notifications")
    place(page, "person").set_input_files(note)
    expect(toasts).to_contain_text("note.txt is not a JPEG, PNG, WebP or AVIF picture.")
    liar = tmp_path / "liar.png"  # only the server can tell
    liar.write_text("This is no picture.")
    choose(page, liar, dressed[1])
    page.get_by_role("button", name=RUN).click()
    expect(result(page).get_by_role("alert")).to_contain_text("masked_user_image is not a PNG")
    assert tab.refused == [400]
    choose(page, *dressed)
    page.get_by_label("Seed").fill("-1")
    page.get_by_role("button", name=RUN).click()
    assert page.get_by_label("Seed").evaluate("input => input.validity.rangeUnderflow")
    assert len(tab.asked("/vton/tryon")) == 1
