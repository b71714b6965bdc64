"""`POST /v1/images/edits` over a Qwen-Image-Edit checkpoint, as servers of that API have it.

    python -m tests.support.edit_server PORT CHECKPOINT LIBRARIES KEY

A process of its own: diffusers stays out of the tests'. Fields and defaults are those of the
endpoints of vLLM-Omni and SGLang; a client that leaves ends its picture at the next step. `GET
/seen` tells of every request, `POST /open` names a gate, and a prompt with `hold=GATE` waits for it
behind its first step; `POST /answers` has the next requests answered with these statuses instead.
"""

from __future__ import annotations

import asyncio
import base64
import io
import re
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from PIL import Image
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from launcher.server import free_ports
from tests.support.waiting import wait_for

ROOT = Path(__file__).resolve().parents[2]
NAME = "random-qwen-image-edit"
SIDE = 64
"""Of what the pipeline makes of each input, as the tests' engine `diffusers` has it."""


class LeftError(Exception):
    """The client has closed the connection."""


class EditServer:
    """The application's state: one pipeline, one picture at a time."""

    def __init__(self, pipeline: Any, key: str) -> None:
        self._pipeline, self._key = pipeline, key
        self._one = asyncio.Lock()
        self._open: set[str] = set()
        self._answers: list[int] = []
        self._seen: list[dict[str, Any]] = []
        self.app = Starlette(
            routes=[
                Route("/v1/models", self._models),
                Route("/v1/images/edits", self._edits, methods=["POST"]),
                Route("/seen", self._told),
                Route("/open", self._opened, methods=["POST"]),
                Route("/answers", self._answered, methods=["POST"]),
            ]
        )

    async def _models(self, request: Request) -> Response:
        if not self._knows_the_key(request):
            return JSONResponse({"error": "Unauthorized"}, 401)
        return JSONResponse({"object": "list", "data": [{"id": NAME, "object": "model"}]})

    async def _edits(self, request: Request) -> Response:
        if not self._knows_the_key(request):
            return JSONResponse({"error": "Unauthorized"}, 401)
        form = await request.form()
        fields = {name: value for name, value in form.items() if isinstance(value, str)}
        uploads = [*form.getlist("image"), *form.getlist("image[]")]
        files = [await upload.read() for upload in uploads if not isinstance(upload, str)]
        seen = {"fields": fields, "pictures": len(files), "outcome": "runs", "steps": 0}
        self._seen.append(seen)
        if self._answers:
            seen["outcome"] = status = self._answers.pop(0)
            return JSONResponse({"detail": "/a/path of the server"}, status, {"Retry-After": "0"})
        async with self._one:
            left = threading.Event()
            watch = asyncio.create_task(_watch(request, left))
            try:
                picture = await asyncio.to_thread(self._picture, fields, files, left, seen)
            except LeftError:
                seen["outcome"] = "left"
                return Response(status_code=499)
            finally:
                watch.cancel()
        seen["outcome"] = "answered"
        file = io.BytesIO()
        picture.save(file, "PNG")
        encoded = base64.b64encode(file.getvalue()).decode()
        return JSONResponse({"created": int(time.time()), "data": [{"b64_json": encoded}]})

    def _picture(
        self,
        fields: dict[str, str],
        files: list[bytes],
        left: threading.Event,
        seen: dict[str, Any],
    ) -> Image.Image:
        import torch

        def on_step(pipe: Any, index: int, moment: Any, tensors: dict[str, Any]) -> dict[str, Any]:
            seen["steps"] = index + 1
            while not left.is_set() and gate - self._open:
                time.sleep(0.02)
            if left.is_set():
                raise LeftError
            return tensors

        gate = set(re.findall(r"hold=(\w+)", fields["prompt"]))
        width, height = (int(side) for side in fields["size"].split("x"))
        made: Image.Image = self._pipeline(
            image=[Image.open(io.BytesIO(file)).convert("RGB") for file in files],
            prompt=fields["prompt"],
            negative_prompt=fields.get("negative_prompt"),
            true_cfg_scale=float(fields.get("true_cfg_scale", 4.0)),
            num_inference_steps=int(fields.get("num_inference_steps", 4)),
            width=width,
            height=height,
            generator=torch.Generator("cpu").manual_seed(int(fields["seed"])),
            callback_on_step_end=on_step,
        ).images[0]
        return made

    async def _told(self, request: Request) -> Response:
        return JSONResponse(self._seen)

    async def _opened(self, request: Request) -> Response:
        self._open.add(await request.json())
        return Response(status_code=204)

    async def _answered(self, request: Request) -> Response:
        self._answers = await request.json()
        return Response(status_code=204)

    def _knows_the_key(self, request: Request) -> bool:
        return request.headers.get("authorization") == f"Bearer {self._key}"


async def _watch(request: Request, left: threading.Event) -> None:
    while not await request.is_disconnected():
        await asyncio.sleep(0.02)
    left.set()


@dataclass
class EditProcess:
    """The server as a process, to be killed and started again on the same port."""

    checkpoint: Path
    packages: Path
    log: Path
    key: str = "sk-tiny"
    process: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        (self.port,) = free_ports(1)
        self.url = f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start, and wait until it answers."""
        files = [str(self.checkpoint), str(self.packages)]
        command = [
            sys.executable,
            "-m",
            "tests.support.edit_server",
            str(self.port),
            *files,
            self.key,
        ]
        with self.log.open("ab") as output:
            process = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=output)
        self.process = process

        def answers() -> bool:
            assert process.poll() is None, self.log.read_text()
            try:
                self.seen()  # a job that waits for it may be quicker
            except httpx.TransportError:
                return False
            return True

        wait_for(answers, 120, self.log.read_text)

    def kill(self) -> None:
        """End it as a power failure does."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(60)

    def seen(self) -> list[dict[str, Any]]:
        """Return every request for a picture since the start: its fields, outcome and steps."""
        return list(httpx.get(f"{self.url}/seen", timeout=60).json())

    def of(self, word: str) -> list[dict[str, Any]]:
        """Return those whose prompt holds a word."""
        return [one for one in self.seen() if word in one["fields"]["prompt"]]

    def last(self, word: str) -> dict[str, Any]:
        """Return the last of those; an outcome of `none` and no step where none has come yet."""
        return (self.of(word) or [{"outcome": "none", "steps": 0}])[-1]

    def open(self, gate: str) -> None:
        """Let the pictures go on whose prompt holds `hold=GATE`."""
        httpx.post(f"{self.url}/open", json=gate, timeout=60).raise_for_status()

    def answer(self, *statuses: int) -> None:
        """Have the next requests answered so."""
        httpx.post(f"{self.url}/answers", json=statuses, timeout=60).raise_for_status()

    def edit(self, fields: dict[str, str], files: list[bytes]) -> Image.Image:
        """Ask for a picture as any client does, and return it."""
        named = [("image", (f"{place}.png", file)) for place, file in enumerate(files)]
        headers = {"Authorization": f"Bearer {self.key}"}
        reply = httpx.post(
            f"{self.url}/v1/images/edits", data=fields, files=named, headers=headers, timeout=120
        )
        file = base64.b64decode(reply.json()["data"][0]["b64_json"])
        return Image.open(io.BytesIO(file))


def _pipeline(checkpoint: str, packages: str) -> Any:
    sys.path[:0] = [packages, str(ROOT / "model_repository" / "tryon" / "1")]
    from diffusion.torchvision_import import declare_operators

    declare_operators()
    import torch
    from diffusers import QwenImageEditPlusPipeline
    from diffusers.pipelines.qwenimage import pipeline_qwenimage_edit_plus as sizes

    torch.set_num_threads(1)
    sizes.VAE_IMAGE_SIZE = sizes.CONDITION_IMAGE_SIZE = SIDE * SIDE
    pipeline = QwenImageEditPlusPipeline.from_pretrained(checkpoint, local_files_only=True)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


if __name__ == "__main__":
    own_port, folder, libraries, own_key = sys.argv[1:]
    server = EditServer(_pipeline(folder, libraries), own_key)
    uvicorn.run(server.app, host="127.0.0.1", port=int(own_port), log_level="warning")
