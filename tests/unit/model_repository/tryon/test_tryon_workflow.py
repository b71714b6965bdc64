"""The editable list of steps."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from tryon_engine import EngineResult
from tryon_errors import (
    GarmentError,
    JobCancelledError,
    JobTimeoutError,
    PipelineError,
    WorkflowEditError,
)
from tryon_progress import JobWatch
from tryon_request import parse_options
from tryon_settings import read_settings
from tryon_steps import default_workflow
from tryon_workflow import JobContext, TryonWorkflow, WorkflowStep, edit_by_file

from tests.support.tryon_model import ROOT, parameters
from tests.support.tryon_pictures import png

EXAMPLE = ROOT / "examples" / "tryon_steps.py"
DEFAULT = ["PrepareInputs", "ResizeImages", "Inference", "CollectResult", "ClearGPUCache"]


class Named(WorkflowStep):
    def __init__(self, name: str, does: Any = None) -> None:
        self.name = name
        self._does = does

    def execute(self, context: JobContext) -> JobContext:
        context.extras.setdefault("order", []).append(self.name)
        return self._does(context) if self._does else context


class RedEngine:
    """Paints everything red: the edge of these tests."""

    cleared = 0
    unused = ("steps",)

    def generate(self, job: Any) -> EngineResult:
        job.watch.engine_step(1, 2)
        return EngineResult(Image.new("RGB", job.person.size, "red"), False)

    def clear_cache(self) -> None:
        self.cleared += 1


def settings(**changed: str) -> Any:
    return read_settings(parameters(**changed), Path("/nonexistent"))


def context(
    cancelled: Any = lambda: False,
    deadline: float | None = None,
    engine: str = "warp",
    **options: Any,
) -> Any:
    told: list[dict[str, Any]] = []
    parsed = parse_options(json.dumps(options).encode(), settings(engine=engine))
    made = JobContext(parsed, JobWatch(told.append, cancelled, deadline))
    made.person = png(Image.new("RGB", (300, 400), "blue"))
    made.garment = png(Image.new("RGB", (200, 200), "green"))
    made.extras["told"] = told
    return made


def test_default_steps_make_a_picture_and_are_timed() -> None:
    engine = RedEngine()
    job = context(resolution="480p", comparison=True, steps=3, cfg=2)
    done = default_workflow(settings(), engine).run(job)
    told = {"mode": "fp8", "steps": None, "cfg": 2, "ignored": ["steps"]}
    assert told.items() <= done.report.items()
    assert list(done.step_ms) == DEFAULT
    assert (done.report["width"], done.report["height"]) == (480, 640)
    assert done.report["content_type"] == "image/png"
    assert "inference_time_ms" not in done.report, "the model tells the step's own time"
    assert engine.cleared == 1
    made = Image.open(io.BytesIO(done.image))
    assert (made.format, made.size, made.getpixel((5, 5))) == ("PNG", (480, 640), (255, 0, 0))
    assert Image.open(io.BytesIO(done.comparison)).size == (1440, 640)
    assert done.person == done.garment == b""  # the files are not kept


def test_progress_grows_and_names_the_steps() -> None:
    job = context()
    default_workflow(settings(), RedEngine()).run(job)
    told = job.extras["told"]
    fractions = [one["fraction"] for one in told]
    assert fractions == sorted(fractions)
    assert 0 <= fractions[0] < fractions[-1] < 1
    assert list(dict.fromkeys(one["step"] for one in told)) == DEFAULT
    assert {"engine_step": 1, "engine_steps": 2}.items() <= told[3].items()


class SeedEngine(RedEngine):
    """Paints by the seed, and remembers it."""

    def __init__(self) -> None:
        self.seeds: list[int] = []

    def generate(self, job: Any) -> EngineResult:
        self.seeds.append(job.options.seed)
        job.watch.engine_step(1, 2)
        colour = (job.options.seed % 256, 0, 0)
        return EngineResult(Image.new("RGB", job.person.size, colour), len(self.seeds) == 1)


@pytest.mark.parametrize(
    ("seed", "seeds"), [(7, [7, 8, 9]), (2**31 - 1, [2**31 - 1, 0, 1]), (2**40, [2**40, 1, 2])]
)
def test_several_pictures_have_seeds_of_their_own(seed: int, seeds: list[int]) -> None:
    engine = SeedEngine()
    job = context(engine="remote", seed=seed, num_samples=3, resolution="480p", comparison=True)
    done = default_workflow(settings(engine="remote"), engine).run(job)
    assert engine.seeds == seeds
    assert (done.report["num_samples"], done.report["restored"]) == (3, False)
    files = [done.image, *done.sample_images]
    pictures = [Image.open(io.BytesIO(file)) for file in files]
    assert [one.getpixel((5, 5)) for one in pictures] == [(each % 256, 0, 0) for each in seeds]
    told = [one for one in job.extras["told"] if one["step"] == "Inference"]
    fractions = [one["fraction"] for one in told]
    assert fractions == sorted(set(fractions))
    assert [one["engine_step"] for one in told] == [None, 1, None, 1, None, 1]
    first, last = fractions[0], job.extras["told"][-2]["fraction"]
    thirds = [(fraction - first) / (last - first) * 6 for fraction in fractions]
    assert thirds == pytest.approx([0, 1, 2, 3, 4, 5], abs=0.01)


def test_one_picture_has_no_further_files() -> None:
    done = default_workflow(settings(), RedEngine()).run(context(resolution="480p"))
    assert (done.report["num_samples"], done.samples, done.sample_images) == (1, [], [])


@pytest.mark.parametrize(
    ("options", "ignored"),
    [
        ({"category": "dresses"}, []),
        ({"category": "dresses", "prompt": "mine"}, ["category"]),
        ({"prompt": "mine"}, []),
    ],
)
def test_a_category_beside_ones_own_prompt_is_told_as_ignored(
    options: dict[str, str], ignored: list[str]
) -> None:
    done = default_workflow(settings(), RedEngine()).run(context(engine="remote", **options))
    assert done.report["ignored"] == ignored


@pytest.mark.parametrize(
    ("changed", "missing"),
    [
        ({"resize_to_resolution": "false"}, "ResizeImages"),
        ({"clear_cache_between_jobs": "false"}, "ClearGPUCache"),
    ],
)
def test_configuration_switches_steps_off(changed: dict[str, str], missing: str) -> None:
    names = default_workflow(settings(**changed), RedEngine()).names
    assert names == [name for name in DEFAULT if name != missing]


def test_aspect_is_given_up_when_configured() -> None:
    job = context(resolution="480p")
    job.person = png(Image.new("RGB", (400, 400)))
    done = default_workflow(settings(maintain_aspect_ratio="false"), RedEngine()).run(job)
    assert (done.report["width"], done.report["height"]) == (480, 640)


def test_neighbours_are_named() -> None:
    flow = TryonWorkflow([Named("A"), Named("B")])
    flow.insert_step(Named("C"), before="B")
    flow.insert_step(Named("D"), after="B")
    flow.insert_step(Named("E"))
    old = flow.replace_step("A", Named("F"))
    assert flow.remove_step("C").name == "C"
    assert (flow.names, old.name) == (["F", "B", "D", "E"], "A")
    assert flow.run(context()).extras["order"] == flow.names


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda flow: flow.insert_step(Named("A")), "already"),
        (lambda flow: flow.insert_step(Named("C"), before="X"), "no step 'X'; there are A, B"),
        (lambda flow: flow.insert_step(Named("C"), before="A", after="B"), "one neighbour"),
        (lambda flow: flow.insert_step(object()), "no WorkflowStep"),
        (lambda flow: flow.insert_step(Named("lower case")), "name like"),
        (lambda flow: flow.remove_step("X"), "no step"),
        (lambda flow: flow.replace_step("A", Named("B")), "already"),
    ],
)
def test_wrong_edits_are_refused_and_change_nothing(edit: Any, words: str) -> None:
    flow = TryonWorkflow([Named("A"), Named("B")])
    with pytest.raises(WorkflowEditError, match=words):
        edit(flow)
    assert flow.names == ["A", "B"]


@given(
    st.lists(
        st.tuples(st.sampled_from("ird"), st.sampled_from("ABCDEF"), st.sampled_from("ABCDEF"))
    )
)
def test_names_stay_unique_whatever_is_edited(edits: list[tuple[str, str, str]]) -> None:
    flow, model = TryonWorkflow([Named("A"), Named("B")]), ["A", "B"]
    for kind, name, other in edits:
        try:
            if kind == "i":
                flow.insert_step(Named(name), before=other)
            elif kind == "r":
                flow.replace_step(other, Named(name))
            else:
                flow.remove_step(name)
        except WorkflowEditError:
            continue
        if kind == "i":
            model.insert(model.index(other), name)
        elif kind == "r":
            model[model.index(other)] = name
        else:
            model.remove(name)
    assert flow.names == model
    assert len(set(model)) == len(model)


def _raise(error: Exception) -> Any:
    def does(context: JobContext) -> JobContext:
        raise error

    return does


def test_an_error_names_its_step() -> None:
    flow = TryonWorkflow([Named("A"), Named("Cutting", _raise(GarmentError("nothing there")))])
    with pytest.raises(GarmentError) as failure:
        flow.run(context())
    assert str(failure.value) == "garment:Cutting: nothing there"


def test_an_unknown_error_tells_only_its_type() -> None:
    flow = TryonWorkflow([Named("Own", _raise(ValueError("/secret/path")))])
    with pytest.raises(PipelineError) as failure:
        flow.run(context())
    assert str(failure.value) == "pipeline:Own: failed with ValueError"
    with pytest.raises(PipelineError, match="returned no context"):
        TryonWorkflow([Named("Own", lambda context: None)]).run(context())


def test_cancelled_and_late_jobs_end_before_the_next_step() -> None:
    done: list[int] = []
    flow = TryonWorkflow([Named("A", lambda c: done.append(1) or c), Named("B")])
    job = context(cancelled=lambda: bool(done))
    with pytest.raises(JobCancelledError) as cancelled:
        flow.run(job)
    assert (cancelled.value.step, job.extras["order"]) == ("B", ["A"])
    with pytest.raises(JobTimeoutError):
        flow.run(context(deadline=0.0))


def test_the_example_edits_the_workflow() -> None:
    flow = default_workflow(settings(), RedEngine())
    edit_by_file(flow, EXAMPLE)
    assert flow.names == [
        "PrepareInputs",
        "RefuseDarkPictures",
        "ResizeImages",
        "Inference",
        "Caption",
        "CollectResult",
        "ClearGPUCache",
    ]
    done = flow.run(context())
    assert done.result.getpixel((1, done.result.height - 2)) == (0, 0, 0)
    dark = context()
    dark.person = png(Image.new("RGB", (64, 64)))
    with pytest.raises(Exception, match=r"^input:RefuseDarkPictures: the person picture"):
        flow.run(dark)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("def edit(:", "SyntaxError"),
        ("x = 1", "defines no function edit"),
        ("def edit(workflow): workflow.remove_step('Nothing')", "no step 'Nothing'"),
        ("import no_such_module", "ModuleNotFoundError"),
    ],
)
def test_a_broken_steps_file_is_explained(text: str, words: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(text)
    with pytest.raises(WorkflowEditError, match=rf"mine\.py.*{words}"):
        edit_by_file(default_workflow(settings(), RedEngine()), file)
    with pytest.raises(WorkflowEditError, match="gone"):
        edit_by_file(default_workflow(settings(), RedEngine()), tmp_path / "gone.py")
