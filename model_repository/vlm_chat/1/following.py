"""Passes on what a job of `vlm` generates, while another thread waits for its answer. No Triton."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from concurrent.futures import Future, wait
from typing import Any

BEGINNING_SECONDS = 0.02
"""Between two looks whether the VLM knows a job already."""

AskNews = Callable[[Mapping[str, Any]], tuple[str, str, str]]
"""Asks `vlm` with these options; returns REASONING, TEXT and PROGRESS."""
Send = Callable[[str, str], None]
"""Sends pieces of the thinking and of the answer."""


def follow(job: str, answer: Future[Any], ask: AskNews, send: Send) -> tuple[int, int]:
    """Send what a job generates until it ends.

    Args:
        job: Its name, which the VLM may not have heard yet.
        answer: Done when the job is.
        ask: Blocks until there is something new.
        send: Called with what is new.

    Returns:
        How many characters of the thinking and of the answer have been sent. The rest, where the
        job ended before it was asked about, is in the answer, and so is why it failed.
    """
    thought = written = after = 0
    while not answer.done():
        try:
            reasoning, text, progress = ask({"follow": job, "after": after})
        except RuntimeError:
            break
        told = json.loads(progress)
        if not told["known"]:
            wait([answer], BEGINNING_SECONDS)
            continue
        after = told["next"]
        if reasoning or text:
            send(reasoning, text)
            thought, written = thought + len(reasoning), written + len(text)
        if told["ended"]:
            break
    return thought, written
