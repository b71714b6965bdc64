"""The keys file: whatever happens to it, the old keys stay until it is whole again."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.errors import GatewayError
from gateway.security import KeyRing
from gateway.settings import Settings
from gateway.settings.keys import LARGEST

FIRST = "- {name: a, key: first-key-of-a}\n"
SECOND = "- {name: b, key: second-key-of-b}\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "keys.yaml"
    path.write_text(FIRST)
    return path


def ring(file: Path) -> KeyRing:
    return KeyRing(Settings(security={"keys_file": file}))  # type: ignore[arg-type]


def opens(keys: KeyRing, key: str) -> bool:
    try:
        keys.authorize("text", key)
    except GatewayError:
        return False
    return True


def become_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def become_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def dangle(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.with_name("nowhere"))


def holds(raw: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(raw)


DAMAGE: dict[str, Callable[[Path], object]] = {
    "empty": holds(b""),
    "comment": holds(b"# nothing yet\n"),
    "half": holds(b"- {name: b"),
    "latin-1": holds("- {name: b, key: schlüssel-von-b}".encode("latin-1")),
    "utf-16": holds(SECOND.encode("utf-16")),
    "nul": holds(b"- {name: b, key: \x00secret-of-b}"),
    "impossible date": holds(b"- {name: b, key: 2024-02-31}"),
    "impossible time": holds(b"- {name: b, key: 2024-01-01T99:00:00Z}"),
    "number": holds(b"- {name: b, key: 0x_}"),
    "deep": holds(b"[" * 950),
    "anchors": holds(b"- &a [*a]"),
    "object": holds(b"- !!python/object/apply:os.system [true]"),
    "mapping": holds(b"name: b\nkey: second-key-of-b\n"),
    "text": holds(b"second-key-of-b"),
    "texts": holds(b"- second-key-of-b\n"),
    "no blank": holds(b"- {name: b, key:second-key-of-b}"),
    "short": holds(b"- {name: b, key: hunter2}"),
    "blank": holds(b"- {name: b, key: '          '}"),
    "service": holds(b"- {name: b, key: second-key-of-b, services: [txet]}"),
    "rate": holds(b"- {name: b, key: second-key-of-b, rate_limit: 10/fortnight}"),
    "one of two": holds(FIRST.encode() + b"- {name: b, key: null}\n"),
    "large": holds(b"#" * (LARGEST + 1)),
    "folder": become_folder,
    "pipe": become_pipe,
    "gone": Path.unlink,
    "dangling": dangle,
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_damage_keeps_the_old_keys_and_mending_is_noticed(
    file: Path, damage: Callable[[Path], object], caplog: pytest.LogCaptureFixture
) -> None:
    keys = ring(file)
    damage(file)
    for _ in range(3):
        keys.reload()
        assert opens(keys, "first-key-of-a")
        assert not opens(keys, "second-key-of-b")
    errors = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert len(errors) == 1  # not one a second
    said = " ".join(str(value) for record in caplog.records for value in vars(record).values())
    for secret in ("first-key", "second-key", "schlüssel", "hunter2", "secret-of-b"):
        assert secret not in said
    if file.is_dir():
        file.rmdir()
    else:
        file.unlink(missing_ok=True)
    file.write_text(SECOND)
    keys.reload()
    assert (opens(keys, "first-key-of-a"), opens(keys, "second-key-of-b")) == (False, True)


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_at_the_start_damage_is_refused(file: Path, damage: Callable[[Path], object]) -> None:
    damage(file)
    with pytest.raises(ValueError, match=r"^security\.keys_file: .") as error:
        ring(file)
    for secret in ("second-key", "schlüssel", "hunter2", "secret-of-b"):
        assert secret not in str(error.value)


def test_a_file_that_comes_back_unchanged_is_read_again(file: Path) -> None:
    keys = ring(file)
    away = file.with_name("away")
    file.rename(away)
    keys.reload()
    away.write_text(SECOND)
    away.rename(file)
    keys.reload()
    assert opens(keys, "second-key-of-b")


def test_the_same_size_and_time_is_not_the_same_file(file: Path) -> None:
    keys = ring(file)
    before = file.stat()
    file.write_text(FIRST.replace("first", "third"))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    keys.reload()
    assert (opens(keys, "first-key-of-a"), opens(keys, "third-key-of-a")) == (False, True)


def test_no_key_left_opens_nothing(file: Path) -> None:
    keys = ring(file)
    file.write_text("[]")
    keys.reload()
    assert not opens(keys, "first-key-of-a")
    for nothing in ((), ("",), ("", "")):
        with pytest.raises(GatewayError):
            keys.authorize("text", *nothing)


def test_problems_name_entry_and_setting(file: Path) -> None:
    file.write_text(FIRST + "- {name: slow, key: second-key-of-b, rate_limit: often}\n")
    with pytest.raises(ValueError, match=r"entry 2 \(slow\): rate_limit: is no rate limit"):
        ring(file)


def test_keys_that_may_be_confused_are_named(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    file.write_text(FIRST + "- {name: a, key: other-key-of-a}\n- {name: c, key: other-key-of-a}\n")
    ring(file)
    reasons = [vars(record)["reason"] for record in caplog.records]
    assert reasons == ["2 keys are named a", "these keys are the same: a, c"]
