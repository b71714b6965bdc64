"""Speaks to a face over InferStream as in a conversation, and writes an MP4 of what came back.

Sound is sent as fast as it is spoken; mouths come while it is. When the connection is lost, a new
stream goes on at the first mouth that is missing. Needs what lipsync_client.py needs.

    python examples/lipsync_stream.py
    python examples/lipsync_stream.py --audio speech.wav     # any rate, mono, 16 bits a sample
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

import grpc
import numpy as np
from lipsync_client import (
    MESSAGE_BYTES,
    PICTURES,
    RATE,
    SIDE,
    Client,
    face_crop,
    write_video,
)

PIECES_PER_SECOND = 25
TRIES = 5
LOST = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED)


def read_sound(file: Path) -> tuple[np.ndarray, int]:
    """Return int16 samples and their rate."""
    with wave.open(str(file)) as sound:
        if (sound.getnchannels(), sound.getsampwidth()) != (1, 2):
            raise SystemExit(f"{file}: wanted mono, 16 bits a sample")
        return np.frombuffer(sound.readframes(sound.getnframes()), "<i2"), sound.getframerate()


class Speaker:
    """One utterance, however many streams it takes.

    Attributes:
        mouths: uint8 [3,320,320] by number.
    """

    def __init__(self, client: Client, tenant: str, face: np.ndarray, args: Any) -> None:
        self._client, self._tenant, self._face = client, tenant, face
        self._sound, self._rate = read_sound(args.audio)
        self._delay_ms, self._hasty = args.delay_ms, args.hasty
        self.mouths: dict[int, np.ndarray] = {}
        self.late = self.dropped = 0
        self.first: float | None = None

    def speak(self) -> None:
        """Say all of it.

        Raises:
            grpc.RpcError: it did not work.
        """
        for attempt in range(TRIES):
            try:
                self._stream(len(self.mouths) + self.dropped)
                break
            except grpc.RpcError as error:
                if error.code() not in LOST or attempt == TRIES - 1:
                    raise
                trailers = dict(error.trailing_metadata() or ())
                time.sleep(int(trailers.get("retry-after", "1")))

    def _stream(self, first: int) -> None:
        begin = time.perf_counter()
        answers = self._client.stream("InferStream", self._parts(first))
        for answer in answers:
            kind = answer.WhichOneof("part")
            if kind == "dropped":
                self.dropped += answer.dropped.count
            elif kind == "mouth":
                self.first = self.first or time.perf_counter() - begin
                planes = np.frombuffer(answer.mouth.data, np.uint8).reshape(3, SIDE, SIDE)
                self.mouths[answer.mouth.index] = planes
                self.late += answer.mouth.late

    def _parts(self, first: int) -> Iterator[dict[str, Any]]:
        yield {"start": {
            "model_id": self._tenant, "sample_format": "PCM16", "sample_rate": self._rate,
            "frame_format": "UINT8", "output_format": "UINT8", "input_channels": 3, "still": True,
            "first_frame": first, "delay_ms": self._delay_ms, "drop_late": self._delay_ms > 0,
        }}  # fmt: skip
        yield {"frames": {"data": self._face.tobytes()}}
        # The server says the same in its first answer.
        sound_frame = max(0, (first - 10) // 5 * 5)
        size = self._rate // PIECES_PER_SECOND
        begin = time.perf_counter()
        for number, start in enumerate(range(sound_frame * size, len(self._sound), size)):
            if not self._hasty:
                time.sleep(max(0.0, begin + number / PIECES_PER_SECOND - time.perf_counter()))
            yield {"sound": {"samples": self._sound[start : start + size].tobytes()}}

    @property
    def sound(self) -> np.ndarray:
        """Return the sound at 16 kHz for the clip, float32 [n]: the nearest sample of each."""
        at = np.arange(int(len(self._sound) * RATE / self._rate)) * self._rate // RATE
        return self._sound[at].astype(np.float32) / 32768


def main() -> int:
    """Parse the arguments and speak."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--address", default="127.0.0.1:50051")
    parser.add_argument("--tenant", help="default: the first one")
    parser.add_argument("--audio", type=Path, default=PICTURES / "voice.wav", help="WAV file")
    parser.add_argument("--picture", type=Path, default=PICTURES / "astronaut.jpg")
    parser.add_argument("--box", type=int, nargs=4, default=(165, 54, 290, 179), help="the face")
    parser.add_argument("--delay-ms", type=int, default=0, help="mouths that come later are left "
                        "out; at least 600; default: none is")  # fmt: skip
    parser.add_argument("--hasty", action="store_true", help="send faster than one speaks")
    parser.add_argument("--output", type=Path, default=Path("speaking.mp4"))
    parser.add_argument("--key", help="API key")
    args = parser.parse_args()
    options = [("grpc.max_receive_message_length", MESSAGE_BYTES)]
    with grpc.insecure_channel(args.address, options) as channel:
        try:
            client = Client(channel, args.key)
            tenant = args.tenant or client.call("ListModels").models[0].model_id
            speaker = Speaker(client, tenant, face_crop(args.picture, tuple(args.box)), args)
            speaker.speak()
        except grpc.RpcError as error:
            print(f"{error.code().name}: {error.details()}", file=sys.stderr)
            return 1
    if not speaker.mouths:
        print("no mouth was in time", file=sys.stderr)
        return 1
    shown = [speaker.mouths[number] for number in sorted(speaker.mouths)]
    pictures = np.stack(shown)[:, ::-1].transpose(0, 2, 3, 1)
    write_video(args.output, pictures, speaker.sound)
    print(f"{len(shown)} mouths of {tenant}, the first after {speaker.first or 0:.2f} s; "
          f"{speaker.late} late, {speaker.dropped} left out")  # fmt: skip
    print(f"written: {args.output}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
