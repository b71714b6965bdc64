"""Jobs of the warp engine through a real tritonserver."""

from __future__ import annotations

import io
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import grpc
import numpy as np
import pytest
from PIL import Image, ImageCms, ImageDraw

from load_tests.originals import originals
from tests.support.icc_profiles import DISPLAY_P3, rgb_profile
from tests.support.odd_pictures import saved
from tests.support.tryon_golden import GOLDEN, blocks, expected, files
from tests.support.tryon_model import Refused, TryonModel, serving
from tests.support.tryon_pictures import (
    CACHE,
    RECTANGLES,
    garment,
    jpeg,
    masked,
    person,
    png,
    rectangle,
    upper,
)
from tests.support.waiting import usual, wait_for

CASES = json.loads(GOLDEN.read_text())["cases"]


def pixels(file: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(file)).convert("RGB")).astype(int)


def small(number: int) -> np.ndarray:
    """The person in the model's size."""
    return np.asarray(upper(number).resize((480, 640), Image.Resampling.LANCZOS)).astype(int)


@pytest.mark.parametrize("name", sorted(CASES))
def test_pictures_look_as_they_were_judged(name: str, tryon: TryonModel) -> None:
    case = CASES[name]
    answer = tryon.run(*files(case), seed=1)
    assert np.abs(blocks(answer.image) - expected(case)).max() <= 12
    assert answer.report["photorealistic"] is False
    assert answer.report["engine"] == "warp"
    assert answer.report["restored"] is True


def test_only_the_garment_changes(tryon: TryonModel) -> None:
    made = pixels(tryon.run(png(upper(3)), png(garment("shirts", 2))).image)
    before = small(3)
    changed = np.abs(made - before).max(axis=-1) > 0
    assert not changed[:100].any()  # face and hair
    assert not changed[540:].any()  # legs
    assert not changed[:, :60].any()  # background
    assert changed[220:400, 180:300].mean() > 0.95
    assert 0.1 < changed.mean() < 0.4


@pytest.mark.parametrize(("what", "kept"), [(("shirts", 2), True), (("jackets", 4), False)])
def test_below_short_sleeves_the_old_ones_stay(
    what: tuple[str, int], kept: bool, tryon: TryonModel
) -> None:
    made = pixels(tryon.run(png(upper(2)), png(garment(*what))).image)
    same = (made == small(2)).all(axis=-1)
    for forearm in (slice(142, 154), slice(329, 341)):
        assert same[370:410, forearm].mean() == pytest.approx(float(kept), abs=0.05)
    assert same[290:310, 190:290].mean() < 0.05  # the torso is covered


def test_a_job_streams_its_progress_and_its_report(tryon: TryonModel) -> None:
    answer = tryon.run(
        jpeg(upper(4)), jpeg(garment("jackets", 1)), seed=7, prompt="x", comparison=True
    )
    fractions = [one["fraction"] for one in answer.progress]
    assert fractions == sorted(fractions)
    assert [one["engine_step"] for one in answer.progress if one["engine_step"]] == [1, 2, 3, 4, 5]
    report = answer.report
    steps = ["PrepareInputs", "ResizeImages", "Inference", "CollectResult", "ClearGPUCache"]
    assert list(report["step_ms"]) == steps
    assert report["inference_time_ms"] == round(report["step_ms"]["Inference"])
    assert (report["seed"], report["ignored"]) == (7, ["prompt"])
    assert answer.comparison is not None
    assert Image.open(io.BytesIO(answer.comparison)).size == (1440, 640)
    assert Image.open(io.BytesIO(answer.image)).size == (report["width"], report["height"])


def test_the_same_seed_gives_the_same_bytes(tryon: TryonModel) -> None:
    given = png(upper(2)), png(garment("jackets", 3))
    first, second = (tryon.run(*given, seed=11, output_format="webp") for _ in range(2))
    assert first.image == second.image
    assert first.report["content_type"] == "image/webp"


def test_colours_of_a_phone_come_back_as_they_look(tryon: TryonModel) -> None:
    picture = upper(3)
    picture.paste((200, 60, 40), (0, 0, picture.width // 8, picture.height // 3))
    profile = rgb_profile(DISPLAY_P3)
    numbers = ImageCms.profileToProfile(
        picture, ImageCms.createProfile("sRGB"), ImageCms.ImageCmsProfile(io.BytesIO(profile)),
        outputMode="RGB",
    )  # fmt: skip
    tagged = saved(numbers, "PNG", icc_profile=profile)
    made = pixels(tryon.run(tagged, png(garment("shirts", 2))).image)
    patch = made[10:100, 5:40].reshape(-1, 3).mean(axis=0)
    assert np.abs(patch - (200, 60, 40)).max() < 6


def test_the_green_mask_is_all_that_changes(tryon: TryonModel) -> None:
    picture, inside = masked(3)
    made = pixels(tryon.run(png(picture), png(garment("jackets", 4))).image)
    size = (480, 640)
    before = np.asarray(picture.resize(size, Image.Resampling.LANCZOS)).astype(int)
    area = np.asarray(Image.fromarray(inside).resize(size, Image.Resampling.NEAREST))
    green = made[..., 1] - np.maximum(made[..., 0], made[..., 2])
    assert green.max() < 40
    around = cv2.dilate(area.astype(np.uint8), np.ones((17, 17), np.uint8)) > 0
    assert (made[~around] == before[~around]).all()
    brown = made[area]
    assert np.median(brown[:, 0] - brown[:, 2]) > 15  # the leather jacket is there


@pytest.mark.parametrize("mask", sorted(RECTANGLES))
@pytest.mark.parametrize("what", [("jackets", 4), ("shirts", 2)])
def test_a_rectangle_becomes_a_body(what: tuple[str, int], mask: str, tryon: TryonModel) -> None:
    picture = rectangle(3, mask)
    made = pixels(tryon.run(png(picture), png(garment(*what))).image)
    before, given = small(3), np.asarray(picture.resize((480, 640), Image.Resampling.LANCZOS))
    body = plain_silhouette(before)
    feather = cv2.dilate(body.astype(np.uint8), np.ones((13, 13), np.uint8)) > 0
    changed = np.abs(made - before).max(axis=-1) > 16
    assert changed[~feather].mean() < 0.02
    assert changed[240:380, 170:310].mean() > 0.9  # the torso is the garment's
    assert (made[..., 1] - np.maximum(made[..., 0], made[..., 2])).max() < 40
    green = (given == (0, 255, 0)).all(axis=-1)
    around = cv2.dilate(green.astype(np.uint8), np.ones((17, 17), np.uint8)) > 0
    assert (made[~around] == given[~around]).all()


def plain_silhouette(picture: np.ndarray) -> np.ndarray:
    """Somebody before a plain, light background, bool [height, width]."""
    apart = np.abs(picture - cv2.medianBlur(picture.astype(np.uint8), 31)).max(axis=-1) > 12
    dark = picture.min(axis=-1) < 140
    found = cv2.morphologyEx((apart | dark).astype(np.uint8), cv2.MORPH_CLOSE, np.ones((9, 9)))
    _, labels, stats, _ = cv2.connectedComponentsWithStats(found)
    return labels == 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))


def behind(left: float, right: float, top: float, bottom: float) -> Image.Image:
    """The man behind a green rectangle."""
    picture = upper(3)
    width, height = picture.size
    box = (left * width, top * height, right * width, bottom * height)
    ImageDraw.Draw(picture).rectangle(box, fill=(0, 255, 0))
    return picture


def green_screen() -> Image.Image:
    """The man before a background that is green all over."""
    picture = np.asarray(upper(3)).copy()
    picture[~plain_silhouette(picture.astype(int))] = (0, 255, 0)
    return Image.fromarray(picture)


def blank() -> Image.Image:
    return Image.new("RGB", (300, 400), (240, 240, 240))


def portrait() -> Image.Image:
    return Image.open(originals(CACHE) / "astronaut.png").convert("RGB")


def landscape() -> Image.Image:
    return Image.open(originals(CACHE) / "coffee.png").convert("RGB")


@pytest.mark.parametrize(
    ("who", "what", "options", "words"),
    [
        (blank, lambda: garment("shirts", 1), {}, "pose:Inference: nobody"),
        (portrait, lambda: garment("shirts", 1), {}, "pose:Inference: hips are not visible"),
        (landscape, lambda: garment("shirts", 1), {}, "pose:Inference: nobody"),
        (
            lambda: behind(0.03, 0.97, 0.27, 0.9),
            lambda: garment("shirts", 2),
            {},
            "pose:Inference: the mask hides the arms",
        ),
        (
            lambda: behind(0.1, 0.9, 0.1, 0.7),
            lambda: garment("shirts", 2),
            {},
            "pose:Inference: ",
        ),
        (green_screen, lambda: garment("shirts", 2), {}, "the mask hides the background"),
        (lambda: upper(3), blank, {}, "garment:Inference: there is no garment"),
        (lambda: upper(3), landscape, {}, "garment:Inference: "),
        (
            lambda: upper(3),
            lambda: garment("shirts", 1),
            {"garment_photo_type": "model"},
            "garment:Inference: nobody wears",
        ),
        (lambda: upper(3), lambda: upper(1), {"resolution": "8k"}, "input: resolution is not"),
    ],
)
def test_what_cannot_be_done_is_refused(
    who: Any, what: Any, options: dict[str, Any], words: str, tryon: TryonModel
) -> None:
    with pytest.raises(Refused) as refused:
        tryon.run(png(who()), png(what()), **options)
    assert words in refused.value.words


def test_broken_files_name_the_step(tryon: TryonModel) -> None:
    with pytest.raises(Refused, match="input:PrepareInputs: the garment file is no readable"):
        tryon.run(png(upper(3)), b"\x89PNG and no more")


HELD = """
import os, time
from tryon_workflow import WorkflowStep

HOLD = {hold!r}

class Held(WorkflowStep):
    name = "Held"
    def execute(self, context):
        watch = context.watch
        def engine_step(done, total, own=watch.engine_step):
            own(done, total)
            while done == 2 and os.path.exists(HOLD) and not watch._is_cancelled():
                time.sleep(0.05)
        watch.engine_step = engine_step
        return context

def edit(workflow):
    workflow.insert_step(Held(), before="Inference")
"""


@pytest.fixture
def held(tmp_path: Path) -> Iterator[tuple[TryonModel, Path]]:
    """A model of the test's own, whose metrics count nobody else's jobs, and a file.

    While the file is there, the engine waits behind its second step until the job is cancelled.
    """
    hold, steps = tmp_path / "hold", tmp_path / "steps.py"
    steps.write_text(HELD.format(hold=str(hold)))
    with serving(tmp_path, default_resolution="480p", steps_file=str(steps)) as model:
        yield model, hold


def test_a_cancelled_job_ends_within_a_step_and_leaves_nothing_behind(
    held: tuple[TryonModel, Path],
) -> None:
    model, hold = held
    given = png(upper(1)), png(garment("shirts", 2))
    reference = model.run(*given, seed=5)
    hold.touch()

    def cancel(progress: dict[str, Any], call: grpc.Call) -> None:
        if progress["engine_step"] == 2:
            call.cancel()

    with pytest.raises(Refused) as refused:
        model.run(*given, told=cancel, seed=5)
    assert refused.value.status is grpc.StatusCode.CANCELLED
    model.wait_metric(1, "jobs_total", outcome="cancelled")
    hold.unlink()
    again = model.run(*given, seed=5)
    assert again.image == reference.image
    # The engine made no further step: the first job and the last one alone came to the end of it.
    model.wait_metric(2, "steps_total", step="CollectResult")


def test_a_deadline_ends_the_job(tryon: TryonModel) -> None:
    with pytest.raises(Refused) as refused:
        tryon.run(png(person(3)), png(garment("shirts", 2)), deadline=0.03)
    assert "the deadline has passed" in refused.value.words
    assert refused.value.words.split(":")[0].endswith("timeout")


def test_describe_answers_during_a_job(tryon: TryonModel) -> None:
    slow: list[float] = []
    started, over = threading.Event(), threading.Event()

    def ask() -> None:
        started.wait(60)
        while not (slow and over.is_set()):
            begin = time.monotonic()
            assert tryon.describe()["loaded"]
            slow.append(time.monotonic() - begin)

    asker = threading.Thread(target=ask)
    asker.start()
    tryon.run(png(upper(3)), png(garment("shirts", 2)), told=lambda progress, call: started.set())
    over.set()
    asker.join()
    assert usual(slow) < 0.3


def test_jobs_wait_for_each_other_and_too_many_are_refused(
    held: tuple[TryonModel, Path],
) -> None:
    model, hold = held
    hold.touch()
    given = png(upper(3)), png(garment("shirts", 4))
    outcomes: list[Any] = []

    def one() -> None:
        try:
            outcomes.append(model.run(*given, seed=1).image)
        except Refused as refused:
            outcomes.append(refused)

    threads = [threading.Thread(target=one) for _ in range(7)]  # one runs, four wait
    for thread in threads:
        thread.start()
    wait_for(lambda: outcomes)  # somebody was refused while the first job was held
    hold.unlink()
    for thread in threads:
        thread.join()
    refused = [found for found in outcomes if isinstance(found, Refused)]
    assert 1 <= len(refused) <= 2
    for found in refused:
        assert "the model's queue is full" in found.words
    assert len({found for found in outcomes if isinstance(found, bytes)}) == 1


def test_steps_are_measured(held: tuple[TryonModel, Path]) -> None:
    model, _ = held
    model.run(png(upper(3)), png(garment("shirts", 4)))
    model.wait_metric(1, "steps_total", step="Inference")
    assert model.metric("step_seconds_total", step="Inference") > 0
