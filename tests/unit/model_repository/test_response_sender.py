"""After the final response a request's sender is never touched again."""

from __future__ import annotations

import threading
import time

import pytest
from response_sender import ThreadSafeSender

FINAL = 1


class Sender:
    """As Triton's: to ask or send after the final response is the end of the server."""

    def __init__(self) -> None:
        self.cancelled = False
        self.sent: list[object] = []
        self.freed = False

    def is_cancelled(self) -> bool:
        assert not self.freed
        time.sleep(0.001)  # a round trip
        assert not self.freed
        return self.cancelled

    def send(self, response: object, flags: int = 0) -> None:
        assert not self.freed
        self.sent.append(response)
        self.freed = bool(flags)


def test_questions_and_answers_until_the_final_one() -> None:
    sender = Sender()
    guarded = ThreadSafeSender(sender)
    guarded.send("progress")
    assert not guarded.is_cancelled()
    sender.cancelled = True
    assert guarded.is_cancelled()
    guarded.send("last", flags=FINAL)
    assert guarded.is_cancelled(), "nobody waits any more"
    guarded.send("late", flags=FINAL)
    assert sender.sent == ["progress", "last"]


@pytest.mark.parametrize("messages", [None, threading.Lock()])
def test_an_answer_waits_for_questions_under_way(messages: threading.Lock | None) -> None:
    for _ in range(20):
        sender, failed = Sender(), []
        guarded = ThreadSafeSender(sender, messages)
        stop, asked = threading.Event(), threading.Event()

        def look(guarded=guarded, stop=stop, asked=asked, failed=failed) -> None:
            try:
                while not stop.is_set():
                    guarded.is_cancelled()
                    asked.set()
            except AssertionError as error:
                failed.append(error)

        lookers = [threading.Thread(target=look) for _ in range(3)]
        for one in lookers:
            one.start()
        assert asked.wait(60)
        guarded.send("answer", flags=FINAL)
        stop.set()
        for one in lookers:
            one.join()
        assert not failed
        assert sender.sent == ["answer"]
