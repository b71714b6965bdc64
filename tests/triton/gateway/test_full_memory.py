"""A full /dev/shm, of which this Pentad has one of its own."""

from __future__ import annotations

import io
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from tests.support.stack import Stack
from tests.support.tiny_pictures import png

MIB = 2**20
OWN_SHM = ("unshare", "--map-root-user", "--mount", "sh", "-c",
           'mount -t tmpfs -o size=2g tmpfs /dev/shm && exec "$@"', "sh")  # fmt: skip


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Stack]:
    if subprocess.run([*OWN_SHM, "true"], capture_output=True, check=False).returncode:
        pytest.skip("a namespace of mounts is not permitted here")
    stack = Stack(tmp_path / "state", {"PENTAD_SERVICES": '["vision"]'}, OWN_SHM)
    try:
        stack.start()
        yield stack
    finally:
        stack.kill()


def classify(stack: Stack, picture: bytes) -> httpx.Response:
    return httpx.post(stack.vision + "/infer", files={"file": ("a.png", picture)}, timeout=120)


def test_a_full_shm_is_503_until_there_is_room_and_kills_nothing(own: Stack) -> None:
    assert own.process
    out = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (1500, 2000, 3), dtype=np.uint8)
    Image.fromarray(noise).save(out, "PNG")  # more than the models' pools hold without growing
    large, small = out.getvalue(), png()
    before = {one.pid for one in own.processes()}
    filler = Path(f"/proc/{own.process.pid}/root/dev/shm/filler")
    with filler.open("wb") as file:
        info = os.statvfs(filler)
        os.posix_fallocate(file.fileno(), 0, info.f_bavail * info.f_frsize)
        for _ in range(3):
            reply = classify(own, large)
            assert reply.status_code == 503, reply.text
            assert int(reply.headers["retry-after"]) >= 1
            assert reply.json()["detail"]
            assert classify(own, small).status_code == 200
        metrics = httpx.get(own.main + "/metrics", timeout=60).text
        used, total = (
            float(line.rpartition(" ")[2])
            for state in ("used", "total")
            for line in metrics.splitlines()
            if line.startswith(f'pentad_shm_bytes{{state="{state}"}}')
        )
        assert total - used < MIB
        filler.unlink()
    assert classify(own, large).status_code == 200
    assert {one.pid for one in own.processes()} == before
