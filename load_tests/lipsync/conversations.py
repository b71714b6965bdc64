"""`python -m load_tests.lipsync.conversations`: share of mouths in time against users who converse.

Pentad runs with narrow tenants, one for each user. Users speak 27 % of the time, in bursts of 2 to
8 s that are sent as fast as they are spoken, each an InferStream with one still face; a mouth is in
time when its client has it so long after its own moment as `delay_ms` says. What the machine makes
is measured first, with streams that do not wait for the time that speaking takes; a load of 100 %
is as many users as speak that much in the mean. Clients run on the same cores. Prints a Markdown
table. Orders that Pentad does not offer are compared in `conversation_orders`.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import signal
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import grpc
import numpy as np

from export.lipsync.demo import write_tenants
from export.lipsync.importing import import_files
from gateway.services.lipsync.grpc import inference_pb2 as pb
from load_tests import machine
from load_tests.lipsync.gateway_client import UNLIMITED, Gateway, send_cheaply, serving
from load_tests.servers import ROOT

TALKING = 0.27
BURST = (2.0, 8.0)  # seconds
SILENCE = sum(BURST) / 2 * (1 / TALKING - 1)  # seconds in the mean, exponentially distributed
FRAMES_PER_SECOND = 25
FRAME = 1 / FRAMES_PER_SECOND
RATE = 16_000  # samples a second
ENCODER = ROOT / "model_repository" / "audio_encoder" / "1" / "model.onnx"  # the demo's
STREAM = "/inference.InferenceService/InferStream"
PATIENCE = 30.0  # seconds after its sound in which a stream has to end; the rest counts as late
SHARES = (0.6, 0.8, 0.95, 1.15, 1.3)


@dataclass(frozen=True)
class Way:
    """How the users' streams are served.

    Attributes:
        due: they say when their mouths are due.
        share: `lipsync.server.stream_share`.
    """

    due: bool
    share: float


WAYS = {
    "turns": Way(due=False, share=1.0),
    "due first": Way(due=True, share=1e6),
    "due first, admission": Way(due=True, share=0.95),
}


@dataclass
class Tally:
    """What the users saw of the bursts that count.

    Attributes:
        shown: mouths of accepted bursts.
        late: those that came late, or never.
        failed: streams that ended with another status than a refusal.
    """

    bursts: int = 0
    refused: int = 0
    shown: int = 0
    late: int = 0
    failed: int = 0

    @property
    def in_time(self) -> str:
        """Return the share of mouths in time, with what failed."""
        share = f"{1 - self.late / max(1, self.shown):.2%}"
        return f"{share}, {self.failed} failed" if self.failed else share


def opening(tenant: str, delay_ms: int) -> list[bytes]:
    """Return the messages before the sound."""
    start = pb.StreamStart(
        model_id=tenant,
        sample_format=pb.PCM16,
        sample_rate=RATE,
        frame_format=pb.UINT8,
        output_format=pb.UINT8,
        input_channels=3,
        still=True,
        delay_ms=delay_ms,
    )
    face = bytes(3 * 320 * 320)
    parts = (
        pb.StreamRequest(start=start),
        pb.StreamRequest(frames=pb.StreamFrames(data=face)),
    )
    return [part.SerializeToString() for part in parts]


def voice() -> bytes:
    """Return one frame's time of sound."""
    noise = np.random.default_rng(0).integers(-3000, 3000, RATE // FRAMES_PER_SECOND)
    sound = pb.StreamSound(samples=noise.astype("<i2").tobytes())
    return pb.StreamRequest(sound=sound).SerializeToString()


VOICE = voice()


async def speak(
    channel: grpc.aio.Channel, tenant: str, frames: int, delay: float, way: Way, hasty: bool = False
) -> int:
    """Stream a burst; return how many of its mouths came in time.

    Raises:
        grpc.aio.AioRpcError: it was refused or failed.
    """
    call = channel.stream_stream(STREAM)(timeout=frames * FRAME + PATIENCE)
    start, face = opening(tenant, round(delay * 1000) if way.due else 0)
    begin = 0.0

    async def say() -> None:
        nonlocal begin
        await call.write(face)
        begin = time.monotonic()
        for number in range(frames):
            if not hasty:
                await asyncio.sleep(begin + number * FRAME - time.monotonic())
            await call.write(VOICE)
        await call.done_writing()

    await call.write(start)
    # A call that ends while grpc.aio writes to it would end with a status of grpc.aio's own.
    await call.read()
    saying = asyncio.create_task(say())
    in_time = number = 0
    try:
        while await call.read() is not grpc.aio.EOF:
            number += 1
            in_time += time.monotonic() <= begin + number * FRAME + delay
        await saying
    finally:
        saying.cancel()
    return in_time


class User:
    """Somebody who speaks now and then."""

    def __init__(self, channel: grpc.aio.Channel, tenant: str, chance: random.Random) -> None:
        self._channel, self._tenant, self._chance = channel, tenant, chance

    async def converse(self, way: Way, delay: float, span: tuple[float, float], to: Tally) -> None:
        """Speak until the end of a span, by the monotonic clock; bursts that begin in it count."""
        while True:
            await asyncio.sleep(self._chance.expovariate(1 / SILENCE))
            begin = time.monotonic()
            if begin >= span[1]:
                return
            tally = to if begin >= span[0] else Tally()
            burst = self._chance.uniform(*BURST)
            await self._burst(way, delay, round(burst * FRAMES_PER_SECOND), tally)
            # Whoever was refused or waited for late mouths speaks again no sooner or later.
            await asyncio.sleep(begin + burst - time.monotonic())

    async def _burst(self, way: Way, delay: float, frames: int, tally: Tally) -> None:
        tally.bursts += 1
        try:
            in_time = await speak(self._channel, self._tenant, frames, delay, way)
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED:
                tally.refused += 1
                return
            tally.failed += 1
            in_time = 0
        tally.shown += frames
        tally.late += frames - in_time


def channels(gateway: Gateway, count: int) -> list[grpc.aio.Channel]:
    """Open connections that share none of gRPC's own."""
    options = [*UNLIMITED, ("grpc.use_local_subchannel_pool", 1)]
    return [grpc.aio.insecure_channel(gateway.address, options=options) for _ in range(count)]


async def capacity(gateway: Gateway, tenants: list[str], seconds: float) -> float:
    """Return how many mouths a second the whole machine makes, clients included."""
    made, end = 0, time.monotonic() + seconds
    way = Way(due=False, share=1.0)

    async def caller(channel: grpc.aio.Channel, tenant: str) -> None:
        nonlocal made
        while time.monotonic() < end:
            await speak(channel, tenant, 2 * FRAMES_PER_SECOND, 0.0, way, hasty=True)
            made += 2 * FRAMES_PER_SECOND

    opened = channels(gateway, 8)
    begin = time.monotonic()
    await asyncio.gather(*(map(caller, opened, tenants)))
    rate = made / (time.monotonic() - begin)
    for channel in opened:
        await channel.close()
    return rate


async def warm(gateway: Gateway, tenants: list[str]) -> None:
    """Load every tenant, with a short burst each."""
    (channel,) = channels(gateway, 1)
    for tenant in tenants:
        await speak(channel, tenant, 1, 0.0, Way(due=False, share=1.0), hasty=True)
    await channel.close()


async def crowd(
    gateway: Gateway, tenants: list[str], way: Way, delay: float, spans: tuple[float, float]
) -> Tally:
    """Let as many users as there are tenants converse: seconds that do not count, and that do."""
    opened, tally = channels(gateway, min(16, len(tenants))), Tally()
    now = time.monotonic()
    span = (now + spans[0], now + sum(spans))
    await asyncio.gather(
        *(
            User(opened[number % len(opened)], tenant, random.Random(number)).converse(
                way, delay, span, tally
            )
            for number, tenant in enumerate(tenants)
        )
    )
    for channel in opened:
        await channel.close()
    return tally


def measure(folder: Path, tenants: list[str], options: argparse.Namespace) -> list[list[str]]:
    """Measure all ways at all loads; return the rows of the table."""
    columns: list[list[str]] = []
    users: list[int] = []
    for name in options.ways:
        way = WAYS[name]
        limits = {
            "AUDIO_ENCODER": str(ENCODER),
            "CAPACITY__MAX_MODELS": str(len(tenants)),
            "SERVER__STREAM_SHARE": str(way.share),
        }
        with serving(folder / name.replace(" ", "-"), folder / "narrow", **limits) as gateway:
            asyncio.run(warm(gateway, tenants))
            made = asyncio.run(capacity(gateway, tenants, options.seconds / 3))
            if not users:
                per_user = TALKING * FRAMES_PER_SECOND
                users = [min(len(tenants), round(share * made / per_user)) for share in SHARES]
            print(f"{name}: {made:.0f} mouths/s", file=sys.stderr)
            column = []
            for count in users:
                spans = (sum(BURST), options.seconds)
                tally = asyncio.run(crowd(gateway, tenants[:count], way, options.delay, spans))
                print(name, count, tally, file=sys.stderr)
                refused = f", {tally.refused / max(1, tally.bursts):.0%} refused"
                column.append(tally.in_time + (refused if way.share < 1 else ""))
            columns.append(column)
    loads = [f"{share:.0%}" for share in SHARES]
    return [list(row) for row in zip(map(str, users), loads, *columns, strict=True)]


def main() -> int:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--tenants", type=int, default=200, help="the most users")
    parser.add_argument("--width", type=float, default=0.125, help="of their networks")
    parser.add_argument("--delay", type=float, default=0.7, help="seconds; see delay_ms")
    parser.add_argument("--seconds", type=float, default=30.0, help="that count, of each run")
    parser.add_argument("--ways", nargs="+", choices=list(WAYS), default=list(WAYS))
    options = parser.parse_args()
    send_cheaply()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # as an exception, which ends Pentad
    with tempfile.TemporaryDirectory(prefix="pentad-bench-") as name:
        folder = Path(name)
        files = list(write_tenants(folder / "narrow", options.tenants, width=options.width))
        import_files(files, ROOT / "model_repository", layouts=("blocked",))
        rows = measure(folder, [file.stem for file in files], options)
    facts = machine.processor()
    print(
        f"{facts['cores']} cores of {facts['cpu']}, load {facts['load_average']:.1f} at the end\n"
    )
    print(f"| users | load | {' | '.join(f'{name}: in time' for name in options.ways)} |")
    print("|--:|--:|" + "--:|" * len(options.ways))
    for row in rows:
        print(f"| {' | '.join(row)} |")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
