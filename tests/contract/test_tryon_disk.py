"""A disk that fills up under accepted jobs: none is lost, and none too many is accepted."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway.services.tryon.jobs.room import Room
from gateway.settings.tryon_jobs import JobSettings
from gateway.triton.tensors import Array
from tests.support.callback_receiver import COMPLETE, RESULT, Receiver
from tests.support.tiny_pictures import padded
from tests.support.tryon_gateway import TryonGateway, tryon_gateway
from tests.support.tryon_triton import TryonTriton

MIB = 2**20
RESULT_BYTES = 900_000


class LargeResults(TryonTriton):
    """Makes results of nearly a megabyte."""

    def answer(self, found: Mapping[str, bytes], options: Mapping[str, Any]) -> dict[str, Array]:
        made = super().answer(found, options)
        made["IMAGE"] = np.array([padded(RESULT_BYTES, data=made["IMAGE"].flat[0])], object)
        return made


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = shutil.which("mount")
    if os.geteuid() != 0 or mount is None:
        pytest.skip("only root can mount a small disk")
    made = subprocess.run(
        [mount, "-t", "tmpfs", "-o", "size=32m", "tmpfs", str(folder)], check=False,
        capture_output=True,
    )  # fmt: skip
    if made.returncode:
        pytest.skip("mounting is not permitted here")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


async def gauge(g: TryonGateway, state: str) -> float:
    text = (await g.running.main.get("/metrics")).text
    return next(
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "pentad_tryon_disk_bytes" and sample.labels == {"state": state}
    )


async def test_accepted_jobs_have_their_room(small_disk: Path) -> None:
    receiver = Receiver()
    tryon: dict[str, Any] = {
        "asset_service": {"callback_url": receiver.result_url, "retry_backoff": [0.05]},
        "load_balancer": {"url": receiver.base_url},
        "jobs": {
            "queue_size": 200, "poll_seconds": 0.05, "disk_reserve_bytes": 3 * MIB,
            "result_reserve_bytes": MIB, "lease_seconds": 1,
        },
    }  # fmt: skip
    try:
        async with tryon_gateway(small_disk, LargeResults(), tryon=tryon) as g:
            g.triton.gate.clear()
            accepted = await _until_refused(g)
            assert 10 < len(accepted) < 60
            while (await g.submit(f"late-{len(accepted)}")).status_code == 202:  # a small one
                accepted.append(f"late-{len(accepted)}")
            for job_id in ("later", "latest"):  # it stays so, and costs no room
                assert (await g.submit(job_id)).status_code == 503
            await asyncio.sleep(0.2)
            assert await gauge(g, "free") < await gauge(g, "needed")
            # Somebody else takes all that was kept free; the jobs run into it.
            ballast = _fill(small_disk / "ballast")
            g.triton.gate.set()
            await asyncio.sleep(2)
            assert len(g.triton.runs) < len(accepted)  # no use in making what cannot be kept
            refused = await g.submit("no")
            assert refused.status_code == 503
            assert (await g.running.main.get("/healthz")).status_code == 200
            ballast.unlink()
            for job_id in accepted:
                assert (await g.until(job_id, "delivered", "failed"))["state"] == "delivered"
            assert len(g.triton.runs) == len(accepted)  # each was run once
    finally:
        receiver.stop()
    for path in (RESULT, COMPLETE):
        told = [one.fields["job_id"] for one in receiver.of(path, 200)]
        assert sorted(set(told)) == sorted(accepted)
    sizes = [len(one.fields["output_image"]) for one in receiver.of(RESULT, 200)]
    assert min(sizes) > RESULT_BYTES * 0.9


async def _until_refused(g: TryonGateway) -> list[str]:
    """Send jobs, several at once, until one is refused; return the accepted ones."""
    accepted: list[str] = []
    for number in range(0, 200, 5):
        ids = [f"j{number + one}" for one in range(5)]
        person = padded(300_000, number)
        replies = await asyncio.gather(*(g.submit(one, masked_user_image=person) for one in ids))
        accepted += [
            job_id for job_id, reply in zip(ids, replies, strict=True) if reply.status_code == 202
        ]
        refused = [reply for reply in replies if reply.status_code != 202]
        for reply in refused:
            assert reply.status_code == 503
            assert reply.json() == {"detail": "No room on the disk for another job - retry later"}
            assert int(reply.headers["retry-after"]) > 0
        if refused:
            return accepted
    raise AssertionError("never refused")


def _fill(file: Path) -> Path:
    """Write until nothing more fits."""
    with file.open("wb", buffering=0) as opened:
        for size in (MIB, 4096, 1):
            try:
                while True:
                    opened.write(bytes(size))
            except OSError:
                continue
    return file


async def test_a_refusal_comes_before_the_body_is_kept(tmp_path: Path) -> None:
    full = {"jobs": {"result_reserve_bytes": 2**62}}
    async with tryon_gateway(tmp_path, tryon=full) as g:
        reply = await g.submit("x")
        assert reply.status_code == 503
        assert list((tmp_path / "tryon" / "incoming").iterdir()) == []
        assert (await g.own.get("/jobs/x")).status_code == 404
        assert (await g.infer()).status_code == 200  # leaves nothing on the disk
        text = (await g.running.main.get("/metrics")).text
        assert 'pentad_rejected_total{reason="disk",service="tryon"} 1.0' in text


async def test_what_is_needed(tmp_path: Path) -> None:
    settings = JobSettings(disk_reserve_bytes=1000, result_reserve_bytes=10)
    unfinished = [0]
    room = Room(tmp_path, settings, True, lambda: unfinished[0])

    async def needed() -> int:
        return (await room.measure())["needed"]

    assert await needed() == 1010
    unfinished[0] = 3
    with room.arrival():
        assert await needed() == 1050
    assert await needed() == 1040
    on_a_server = Room(tmp_path, settings, False, lambda: 99)
    assert (await on_a_server.measure())["needed"] == 1000
    greedy = JobSettings(disk_reserve_bytes=2**62, result_reserve_bytes=0)
    total = shutil.disk_usage(tmp_path).total
    assert (await Room(tmp_path, greedy, True, lambda: 0).measure())["needed"] == total // 10
