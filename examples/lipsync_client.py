"""Lets a face say a sound through the lip-sync API, and writes an MP4 with both.

Needs numpy, Pillow, PyAV, grpcio and grpcio-reflection; the interface itself comes from the server.

    python examples/lipsync_client.py                        # float32, as old clients send it
    python examples/lipsync_client.py --compact              # uint8, half the planes, one block
    python examples/lipsync_client.py --audio speech.wav     # 16 kHz mono, 16 bits a sample
    python examples/lipsync_client.py --silent               # where there is no audio encoder
"""

# ruff: noqa: T201 - a program for the command line
from __future__ import annotations

import argparse
import sys
import time
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import grpc
import numpy as np
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)
from PIL import Image

SERVICE = "inference.InferenceService"
PICTURES = Path(__file__).resolve().parents[1] / "docs" / "pictures"
SIDE = 320
MESSAGE_BYTES = 128 << 20
RATE, FRAMES_PER_SECOND = 16_000, 25
SAMPLES_PER_FRAME = RATE // FRAMES_PER_SECOND
NEIGHBOURS = 8  # frames whose sound a frame hears on either side


class Client:
    """The RPCs of a server, with message classes from its reflection."""

    def __init__(self, channel: grpc.Channel, key: str | None) -> None:
        pool = DescriptorPool(ProtoReflectionDescriptorDatabase(channel))
        self._service = pool.FindServiceByName(SERVICE)
        self._channel = channel
        self._metadata = (("x-api-key", key),) if key else ()

    def call(self, rpc: str, **fields: Any) -> Any:
        """Make a call and return its answer."""
        method = self._service.methods_by_name[rpc]
        request, reply = GetMessageClass(method.input_type), GetMessageClass(method.output_type)
        call = self._channel.unary_unary(
            f"/{SERVICE}/{rpc}", request.SerializeToString, reply.FromString
        )
        return call(request(**fields), metadata=self._metadata, timeout=60)

    def stream(self, rpc: str, parts: Iterator[dict[str, Any]]) -> Iterator[Any]:
        """Make a call that streams both ways; yield its answers."""
        method = self._service.methods_by_name[rpc]
        request, reply = GetMessageClass(method.input_type), GetMessageClass(method.output_type)
        call = self._channel.stream_stream(
            f"/{SERVICE}/{rpc}", request.SerializeToString, reply.FromString
        )
        yield from call((request(**part) for part in parts), metadata=self._metadata)


def face_crop(picture: Path, box: tuple[int, int, int, int]) -> np.ndarray:
    """Return a face, uint8 [3,320,320] in the order blue, green, red."""
    with Image.open(picture) as image:
        crop = image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.LANCZOS, box)
    return np.ascontiguousarray(np.asarray(crop)[:, :, ::-1].transpose(2, 0, 1))


def plain_frame(face: np.ndarray) -> np.ndarray:
    """Return face and masked face, float32 [6,320,320] from 0 to 1."""
    masked = face.copy()
    masked[:, 5:306, 5:311] = 0
    return np.concatenate([face, masked]).astype(np.float32) / 255


def samples(file: Path) -> np.ndarray:
    """Return the samples of a WAV file, float32 from -1 to 1."""
    with wave.open(str(file)) as sound:
        if (sound.getframerate(), sound.getnchannels(), sound.getsampwidth()) != (16_000, 1, 2):
            raise SystemExit(f"{file}: wanted 16 kHz, mono, 16 bits a sample")
        raw = sound.readframes(sound.getnframes())
    return np.frombuffer(raw, "<i2").astype("<f4") / 32768


def request_fields(args: argparse.Namespace, face: np.ndarray, count: int) -> dict[str, Any]:
    """Return the frames of a call."""
    if not args.compact:
        frames = np.repeat(plain_frame(face)[None], count, axis=0)
        return {"batch_size": count, "visual_frames": frames.tobytes()}
    return {
        "batch_size": count,
        "visual_frames": np.repeat(face[None], count, axis=0).tobytes(),
        "frame_format": "UINT8",
        "output_format": "UINT8",
        "input_channels": 3,
        "output_block": True,
    }


def pieces(total: int, batch: int) -> Iterator[tuple[range, range]]:
    """Yield the frames of every call, and those of them to keep.

    A call knows no sound but its own, so the calls overlap.
    """
    beside = min(NEIGHBOURS, batch // 4) if total > batch else 0
    step = batch - 2 * beside
    for first in range(0, total, step):
        kept = range(first, min(first + step, total))
        yield range(max(0, kept.start - beside), min(total, kept.stop + beside)), kept


def mouths_of(reply: Any, compact: bool) -> np.ndarray:
    """Return the frames of an answer, uint8 [n,320,320,3], red first."""
    if compact:
        planes = np.frombuffer(reply.output_block, np.uint8)
    else:
        values = np.concatenate([np.frombuffer(one.data, "<f4") for one in reply.outputs])
        planes = np.round(values * 255).astype(np.uint8)
    return planes.reshape(-1, 3, SIDE, SIDE)[:, ::-1].transpose(0, 2, 3, 1)


def write_video(file: Path, frames: np.ndarray, sound: np.ndarray) -> None:
    """Write an MP4: H.264 of uint8 [n,320,320,3], AAC of float32 [m] at 16 kHz."""
    with av.open(str(file), "w") as output:
        picture = output.add_stream("h264", rate=FRAMES_PER_SECOND)
        picture.width = picture.height = SIDE
        picture.pix_fmt = "yuv420p"
        voice = output.add_stream("aac", rate=RATE, layout="mono")
        for frame in frames:
            pixels = np.ascontiguousarray(frame)
            output.mux(picture.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        output.mux(picture.encode(None))
        samples = av.AudioFrame.from_ndarray(sound[None], format="fltp", layout="mono")
        samples.sample_rate = RATE
        output.mux(voice.encode(samples))
        output.mux(voice.encode(None))


def speak(client: Client, args: argparse.Namespace) -> int:
    """Send the sound in batches and return the exit code."""
    health = client.call("Health")
    tenants = [one.model_id for one in client.call("ListModels").models]
    print(f"healthy: {health.healthy}, devices: {health.gpu_count}, tenants: {len(tenants)}")
    tenant = args.tenant or next(iter(tenants), "")
    face = face_crop(args.picture, tuple(args.box))
    sound = samples(args.audio)
    total = min(args.frames or sys.maxsize, -(-len(sound) // SAMPLES_PER_FRAME))
    if not total:
        raise SystemExit(f"{args.audio}: no sound in it")
    done: list[np.ndarray] = []
    sent, computed, begin = 0, 0.0, time.perf_counter()
    for asked, kept in pieces(total, args.batch):
        fields = request_fields(args, face, len(asked))
        if args.silent:
            fields["audio_features"] = bytes(32 * 16 * 16 * 4)
        else:
            heard = slice(asked.start * SAMPLES_PER_FRAME, asked.stop * SAMPLES_PER_FRAME)
            fields["raw_audio"] = sound[heard].tobytes()
        reply = client.call("InferBatch", model_id=tenant, **fields)
        if not reply.success:
            print(f"error: {reply.error}", file=sys.stderr)
            return 1
        first = kept.start - asked.start
        done.append(mouths_of(reply, args.compact)[first : first + len(kept)])
        sent += len(asked)
        computed += reply.inference_time_ms
        each = len(fields["visual_frames"]) // len(asked)
    seconds = time.perf_counter() - begin
    print(f"{total} frames of {tenant} on device {reply.gpu_id}: {total / seconds:.1f} frames/s, "
          f"{computed / sent:.1f} ms of computing a frame, {each} bytes sent a frame")  # fmt: skip
    heard = sound[: total * SAMPLES_PER_FRAME]
    write_video(args.output, np.concatenate(done), np.zeros_like(heard) if args.silent else heard)
    print(f"written: {args.output}")
    return 0


def main() -> int:
    """Parse the arguments and stream."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--address", default="127.0.0.1:50051")
    parser.add_argument("--tenant", help="default: the first one")
    parser.add_argument("--frames", type=int, help="25 a second; default: as long as the sound")
    parser.add_argument("--batch", type=int, default=50, choices=range(1, 51), metavar="N",
                        help="frames in a call, at most 50, which is the default")  # fmt: skip
    parser.add_argument("--compact", action="store_true", help="uint8 frames of three planes")
    parser.add_argument("--picture", type=Path, default=PICTURES / "astronaut.jpg")
    parser.add_argument("--box", type=int, nargs=4, default=(165, 54, 290, 179), help="the face; "
                        "the demo's mouth is at half its width and 0.74 of its height")  # fmt: skip
    parser.add_argument("--audio", type=Path, default=PICTURES / "voice.wav", help="WAV file")
    parser.add_argument("--silent", action="store_true", help="send silent features, no sound")
    parser.add_argument("--output", type=Path, default=Path("mouth.mp4"))
    parser.add_argument("--key", help="API key")
    parser.add_argument("--ca", type=Path, help="PEM file: speak TLS, trust these authorities")
    args = parser.parse_args()
    options = [
        ("grpc.max_send_message_length", MESSAGE_BYTES),
        ("grpc.max_receive_message_length", MESSAGE_BYTES),
    ]
    if args.ca:
        credentials = grpc.ssl_channel_credentials(args.ca.read_bytes())
        channel = grpc.secure_channel(args.address, credentials, options)
    else:
        channel = grpc.insecure_channel(args.address, options)
    with channel:
        try:
            return speak(Client(channel, args.key), args)
        except grpc.RpcError as error:
            print(f"{error.code().name}: {error.details()}", file=sys.stderr)
            return 1


if __name__ == "__main__":
    raise SystemExit(main())
