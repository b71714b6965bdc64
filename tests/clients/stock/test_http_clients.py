"""HTTP clients that read late or offer to upgrade: Node's and the JDK's."""

from __future__ import annotations

import json
import shutil
import subprocess

import pytest

from tests.clients.conftest import TEXT_KEY, Old
from tests.clients.stock.support import PROGRAMS, node


def test_node(old: Old) -> None:
    """Every early answer arrives, in 12 of 12 tries each."""
    command = [*node("http_clients.mjs"), old.stack.text, old.stack.vision, TEXT_KEY]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert set(found) == {"fetch", "undici", "axios"}
    for name, seen in found.items():
        assert (seen["plain"], seen["noKey"], seen["form"]) == (200, 401, 400), name
        assert seen["large"] == [413] * 24, name


@pytest.mark.skipif(shutil.which("java") is None, reason="no Java, and none could be installed")
def test_java(old: Old) -> None:
    command = ["java", PROGRAMS / "HttpClients.java", old.stack.text, old.stack.tryon, TEXT_KEY]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    versions = ("HTTP_1_1", "HTTP_2")
    expected = [line for v in versions for line in (*[f"{v} 200"] * 3, f"{v} form 401")]
    assert done.stdout.splitlines() == [*expected, "HttpURLConnection 200"]
