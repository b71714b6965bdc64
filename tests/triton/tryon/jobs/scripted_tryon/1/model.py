"""Does what the prompt says: `seconds=2` takes so long, `fail=pose:Inference` fails, and `gate=x`
goes on behind its first step only when a file `x` lies beside the file of the runs.

Every run is a line in the file that the environment variable TRYON_RUNS names: time, `begin`, `end`
or `cancel`, the job's id.
"""

import hashlib
import json
import os
import queue
import struct
import threading
import time
import zlib

import numpy as np
import triton_python_backend_utils as pb_utils

STEPS = 10
FINAL = 1  # pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL, which is not there yet on import


class TritonPythonModel:
    """One job at a time in a thread of its own, as the real model."""

    def initialize(self, args):
        """Starts the thread."""
        self._runs = os.environ.get("TRYON_RUNS", os.devnull)
        self._jobs = queue.Queue()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def execute(self, requests):
        """Answers commands, hands jobs to the thread."""
        for request in requests:
            found = {
                tensor.name(): bytes(tensor.as_numpy().reshape(-1)[0])
                for tensor in request.inputs()
            }
            sender = request.get_response_sender()
            if "COMMAND" in found:
                told = {
                    "loaded": True,
                    "loading_error": None,
                    "engine": "scripted",
                    "model": "a script",
                    "gpu_memory_used_bytes": 0,
                    "device": "cpu",
                }
                self._send(sender, FINAL, REPORT=json.dumps(told).encode())
            else:
                self._jobs.put((found, sender))

    def finalize(self):
        """Ends the thread."""
        self._jobs.put(None)
        self._thread.join(5)

    def _work(self):
        while True:
            job = self._jobs.get()
            if job is None:
                return
            self._job(*job)

    def _job(self, found, sender):
        options = json.loads(found["OPTIONS"])
        wanted = dict(part.split("=") for part in (options.get("prompt") or "").split())
        seconds, begin = float(wanted.get("seconds", 0.05)), time.monotonic()
        self._note("begin", options)
        for step in range(1, STEPS + 1):
            while time.monotonic() < begin + seconds * step / STEPS:
                time.sleep(0.001)
            cancelled = sender.is_cancelled()
            while not cancelled and step > 1 and self._closed(wanted.get("gate")):
                time.sleep(0.1)
                cancelled = sender.is_cancelled()
            if cancelled:
                self._note("cancel", options)
                self._fail(sender, "cancelled:Inference: cancelled", pb_utils.TritonError.CANCELLED)
                return
            told = {"step": "Inference", "fraction": step / STEPS, "engine_step": step}
            self._send(sender, 0, PROGRESS=json.dumps(told).encode())
        if code := wanted.get("fail"):
            internal = code.startswith("pipeline")
            kind = pb_utils.TritonError.INTERNAL if internal else pb_utils.TritonError.INVALID_ARG
            self._note("end", options)
            self._fail(sender, f"{code}: as the script says", kind)
            return
        seed = options.get("seed") or 42
        report = {
            "engine": "scripted",
            "model": "a script",
            "mode": None,
            "photorealistic": False,
            "seed": seed,
            "steps": options.get("steps") or 4,
            "cfg": 1.0,
            "width": 4,
            "height": 4,
            "content_type": "image/png",
            "inference_time_ms": round(seconds * 1000),
            "step_ms": {"Inference": seconds * 1000},
            "restored": False,
            "ignored": [],
        }
        digest = hashlib.sha256(found["PERSON"] + found["GARMENT"] + str(seed).encode()).digest()
        self._note("end", options)
        self._send(sender, FINAL, IMAGE=png(digest), REPORT=json.dumps(report).encode())

    def _closed(self, gate):
        return gate is not None and not os.path.exists(
            os.path.join(os.path.dirname(self._runs), gate)
        )

    def _note(self, what, options):
        with open(self._runs, "a") as file:
            file.write(f"{time.time():.6f} {what} {options.get('job_id')}\n")

    @staticmethod
    def _send(sender, flags, **outputs):
        tensors = [
            pb_utils.Tensor(name, np.array([value], np.object_)) for name, value in outputs.items()
        ]
        sender.send(pb_utils.InferenceResponse(tensors), flags=flags)

    @staticmethod
    def _fail(sender, message, code):
        error = pb_utils.TritonError(message, code)
        sender.send(pb_utils.InferenceResponse(error=error), flags=FINAL)


def png(digest):
    """A 4x4 PNG whose pixels are the digest, repeated."""
    rows = b"".join(b"\0" + (digest * 2)[n * 12 : n * 12 + 12] for n in range(4))
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", 4, 4, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )
