"""Streams frames through the lip-sync API and writes the first mouth as a PNG.

Needs numpy, Pillow, grpcio and grpcio-reflection; the interface itself comes from the server.

    python examples/lipsync_client.py                        # float32, as old clients send it
    python examples/lipsync_client.py --compact              # uint8, half the planes, one block
    python examples/lipsync_client.py --audio speech.wav     # 16 kHz mono, 16 bits a sample
"""

# ruff: noqa: T201 - a program for the command line
from __future__ import annotations

import argparse
import sys
import time
import wave
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)
from PIL import Image

SERVICE = "inference.InferenceService"
PICTURE = Path(__file__).resolve().parents[1] / "docs" / "pictures" / "astronaut.jpg"
SIDE = 320
MESSAGE_BYTES = 128 << 20
SAMPLES_PER_FRAME = 640  # 16 kHz at 25 frames a second


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


def request_fields(args: argparse.Namespace, face: np.ndarray) -> dict[str, Any]:
    """Return what every call has in common."""
    if not args.compact:
        frames = np.repeat(plain_frame(face)[None], args.batch, axis=0)
        return {"visual_frames": frames.tobytes()}
    frames = np.repeat(face[None], args.batch, axis=0)
    return {
        "visual_frames": frames.tobytes(),
        "frame_format": "UINT8",
        "output_format": "UINT8",
        "input_channels": 3,
        "output_block": True,
    }


def mouth_of(reply: Any, compact: bool) -> Image.Image:
    """Return the first frame of an answer."""
    if compact:
        planes = np.frombuffer(reply.output_block, np.uint8)[: 3 * SIDE * SIDE]
    else:
        planes = np.round(np.frombuffer(reply.outputs[0].data, "<f4") * 255).astype(np.uint8)
    return Image.fromarray(planes.reshape(3, SIDE, SIDE)[::-1].transpose(1, 2, 0).copy())


def stream(client: Client, args: argparse.Namespace) -> int:
    """Send ``args.frames`` frames in batches and return the exit code."""
    health = client.call("Health")
    tenants = [one.model_id for one in client.call("ListModels").models]
    print(f"healthy: {health.healthy}, devices: {health.gpu_count}, tenants: {len(tenants)}")
    tenant = args.tenant or next(iter(tenants), "")
    fields = request_fields(args, face_crop(args.picture, tuple(args.box)))
    sound = samples(args.audio) if args.audio else None
    done, computed, begin = 0, 0.0, time.perf_counter()
    while done < args.frames:
        if sound is None:
            audio = {"audio_features": bytes(32 * 16 * 16 * 4)}
        else:
            start = done * SAMPLES_PER_FRAME % max(1, len(sound) - args.batch * SAMPLES_PER_FRAME)
            piece = sound[start : start + args.batch * SAMPLES_PER_FRAME]
            audio = {"raw_audio": piece.tobytes()}
        reply = client.call("InferBatch", model_id=tenant, batch_size=args.batch, **fields, **audio)
        if not reply.success:
            print(f"error: {reply.error}", file=sys.stderr)
            return 1
        if not done:
            mouth_of(reply, args.compact).save(args.output)
        done += args.batch
        computed += reply.inference_time_ms
    seconds = time.perf_counter() - begin
    each = len(fields["visual_frames"]) // args.batch
    print(f"{done} frames of {tenant} on device {reply.gpu_id}: {done / seconds:.1f} frames/s, "
          f"{computed / done:.1f} ms of computing a frame, {each} bytes sent a frame")  # fmt: skip
    print(f"first mouth: {args.output}")
    return 0


def main() -> int:
    """Parse the arguments and stream."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--address", default="127.0.0.1:50051")
    parser.add_argument("--tenant", help="default: the first one")
    parser.add_argument("--frames", type=int, default=24)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--compact", action="store_true", help="uint8 frames of three planes")
    parser.add_argument("--picture", type=Path, default=PICTURE)
    parser.add_argument("--box", type=int, nargs=4, default=(165, 65, 290, 190), help="the face")
    parser.add_argument("--audio", type=Path, help="WAV file; default: silent features")
    parser.add_argument("--output", type=Path, default=Path("mouth.png"))
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
            return stream(Client(channel, args.key), args)
        except grpc.RpcError as error:
            print(f"{error.code().name}: {error.details()}", file=sys.stderr)
            return 1


if __name__ == "__main__":
    raise SystemExit(main())
