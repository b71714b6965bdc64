from __future__ import annotations

import asyncio

import pytest

from gateway.errors import (
    BusyError,
    ClientGoneError,
    DeadlineError,
    InferenceError,
    UnavailableError,
)
from gateway.services.tryon.jobs.inference import TryOn
from gateway.services.tryon.jobs.models import JobError
from gateway.services.tryon.jobs.outcome import WORDS, Lost, outcome_of, words
from gateway.triton.status import ModelDeadError, WorkflowError


async def ended(error: BaseException | None) -> asyncio.Task[TryOn]:
    async def run() -> TryOn:
        if error:
            raise error
        return TryOn(b"x", {}, None)

    task = asyncio.ensure_future(run())
    await asyncio.wait({task})
    return task


@pytest.mark.parametrize(
    ("error", "code"),
    [(WorkflowError("pose", "Inference"), "pose"), (WorkflowError("input"), "input"),
     (WorkflowError("timeout"), "timeout"), (DeadlineError(), "timeout"),
     (InferenceError(), "pipeline"), (Lost(), "pipeline"), (KeyError("bug"), "pipeline")],
)  # fmt: skip
async def test_errors_of_the_job_end_it(error: BaseException, code: str) -> None:
    found = outcome_of(await ended(error), False, final=False)
    assert (found.state, found.again) == ("failed", None)
    assert found.reason
    assert found.reason.code == code


@pytest.mark.parametrize(
    "error",
    [ModelDeadError("tryon"), UnavailableError(), ClientGoneError(), WorkflowError("cancelled")],
)
async def test_a_lost_model_is_not_the_job_s_fault_until_it_happens_again(
    error: BaseException,
) -> None:
    assert outcome_of(await ended(error), False, final=False).again is True
    last = outcome_of(await ended(error), False, final=True)
    assert (last.again, last.state) == (None, "failed")


async def test_a_busy_model_costs_no_attempt() -> None:
    assert outcome_of(await ended(BusyError()), False, final=True).again is False


async def test_cancellations() -> None:
    stopped = await ended(asyncio.CancelledError())
    assert outcome_of(stopped, True, final=False).reason == JobError("cancelled")
    assert outcome_of(stopped, False, final=True).again is False  # the gateway stops


def test_words_name_code_and_step() -> None:
    assert words(JobError("pose", "Inference")) == f"pose: {WORDS['pose']} (Inference)"
    assert words(JobError("odd")) == f"odd: {WORDS['pipeline']}"
