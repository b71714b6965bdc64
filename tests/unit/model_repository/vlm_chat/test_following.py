from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any

from following import follow

Answer = tuple[str, str, str]


def news(
    reasoning: str, text: str, after: int, *, known: bool = True, ended: bool = False
) -> Answer:
    return reasoning, text, json.dumps({"known": known, "next": after, "ended": ended})


class Vlm:
    """Answers one after another; the last one when the job is done."""

    def __init__(self, *answers: Answer | Callable[[], Answer]) -> None:
        self.answers = list(answers)
        self.asked: list[Mapping[str, Any]] = []
        self.sent: list[tuple[str, str]] = []
        self.answer: Future[str] = Future()

    def ask(self, options: Mapping[str, Any]) -> Answer:
        self.asked.append(options)
        found = self.answers.pop(0)
        return found() if callable(found) else found

    def follow(self) -> tuple[int, int]:
        return follow("j", self.answer, self.ask, lambda *piece: self.sent.append(piece))


def test_pieces_are_passed_on_until_the_end() -> None:
    vlm = Vlm(news("ab", "", 1), news("", "", 1), news("c", "de", 3), news("", "f", 4, ended=True))
    assert vlm.follow() == (3, 3)
    assert vlm.sent == [("ab", ""), ("c", "de"), ("", "f")]
    assert vlm.asked == [{"follow": "j", "after": after} for after in (0, 1, 1, 3)]


def test_a_job_that_is_not_known_yet_is_asked_about_again() -> None:
    unknown = news("", "", 0, known=False, ended=True)
    vlm = Vlm(unknown, unknown, news("", "a", 1, ended=True))
    assert vlm.follow() == (0, 1)
    assert len(vlm.asked) == 3


def test_a_job_that_ended_meanwhile_is_not_waited_for() -> None:
    vlm = Vlm(lambda: (vlm.answer.set_result("all"), news("", "", 0, known=False))[1])
    assert vlm.follow() == (0, 0)
    vlm = Vlm()
    vlm.answer.set_result("all")
    assert vlm.follow() == (0, 0)


def test_the_answer_tells_of_failures() -> None:
    def fail() -> Answer:
        raise RuntimeError("vlm failed")

    vlm = Vlm(news("", "a", 1), fail)
    assert vlm.follow() == (0, 1)
