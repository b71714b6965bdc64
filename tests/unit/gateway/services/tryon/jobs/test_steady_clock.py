from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from gateway.services.tryon.jobs.steady_clock import SteadyClock, boot_id
from gateway.sightings import Sightings


class Hands:
    """A wall clock that can be set, and a monotonic one that cannot."""

    def __init__(self) -> None:
        self.wall, self.ticks = 1_000_000.0, 50.0

    def pass_by(self, seconds: float) -> None:
        self.wall += seconds
        self.ticks += seconds

    def clock(self, file: Path | None = None, boot: str = "boot", **changes: float) -> SteadyClock:
        return SteadyClock(
            file, wall=lambda: self.wall, ticks=lambda: self.ticks, boot=boot, **changes
        )


@pytest.mark.parametrize("jump", [600.0, -600.0, 86_400.0 * 365, -3600.0])
def test_a_jump_is_no_time(jump: float, caplog: pytest.LogCaptureFixture) -> None:
    hands = Hands()
    clock = hands.clock()
    before = clock()
    hands.wall += jump
    hands.pass_by(3)
    assert clock() == before + 3
    with caplog.at_level(logging.WARNING):
        clock.look()
        clock.look()
    assert clock.shift == pytest.approx(jump)
    assert len(caplog.records) == 1  # said once
    hands.wall -= jump
    clock.look()
    assert clock.shift == 0.0


def test_small_steps_of_the_date_are_no_jump() -> None:
    hands = Hands()
    clock = hands.clock(tolerance=15.0)
    for step in (5.0, -9.0, 12.0):
        hands.wall += step
        clock.look()
        assert clock.shift == 0.0


@pytest.mark.parametrize("jump", [600.0, -7200.0])
def test_it_runs_on_in_the_next_process_until_the_machine_boots(
    tmp_path: Path, jump: float
) -> None:
    hands, file = Hands(), tmp_path / "clock.json"
    first = hands.clock(file)
    hands.wall += jump
    hands.pass_by(7)
    assert hands.clock(file)() == first()
    assert hands.clock(file, boot="other machine")() == hands.wall
    assert hands.clock(file)() == first()  # both are remembered
    hands.ticks = 1.0
    assert hands.clock(file, boot="after the boot")() == hands.wall


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"{", b'{"boot": "x"}', b'{"boot": null}', b'{"boot": NaN}', b"\xff", b"[1"],
)
def test_a_broken_file_begins_anew(tmp_path: Path, content: bytes) -> None:
    hands, file = Hands(), tmp_path / "clock.json"
    file.write_bytes(content)
    assert hands.clock(file)() == hands.wall
    assert json.loads(file.read_text())["boot"] == hands.wall - hands.ticks
    file.unlink()
    file.mkdir()  # neither read nor written
    assert hands.clock(file)() == hands.wall


def test_the_file_does_not_grow(tmp_path: Path) -> None:
    hands, file = Hands(), tmp_path / "clock.json"
    for number in range(50):
        hands.clock(file, boot=f"boot {number}")
    assert len(json.loads(file.read_text())) == 16
    assert "boot 49" in json.loads(file.read_text())


def test_a_server_s_time_is_the_beginning() -> None:
    hands = Hands()
    clock = hands.clock(start=hands.wall - 500.0)
    assert clock() == hands.wall - 500.0
    assert clock.shift == 500.0  # what is shown is this machine's


def test_this_machine_s_boot_has_a_name() -> None:
    assert boot_id()
    assert boot_id() == boot_id()


def test_sightings_count_only_what_stays() -> None:
    hands = Hands()
    sightings = Sightings(gap=10.0, ticks=lambda: hands.ticks)
    assert sightings.ages(["a", "b"]) == {"a": 0.0, "b": 0.0}
    hands.pass_by(4)
    assert sightings.ages(["a"]) == {"a": 4.0}
    hands.pass_by(4)
    assert sightings.ages(["a", "b"]) == {"a": 8.0, "b": 0.0}  # it was away
    hands.pass_by(11)  # this process stood still, or could not look
    assert sightings.ages(["a"]) == {"a": 0.0}
