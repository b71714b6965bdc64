"""The engine `remote`: Qwen-Image-Edit by a server that runs it already.

It speaks OpenAI's `POST /v1/images/edits` with the fields that vLLM-Omni and SGLang add to it. No
such server tells how far a picture is, so no progress is told within one.
"""

from __future__ import annotations

import logging
import random
import threading
import time

from diffusion.result_restore import finished
from tryon_engine import EngineJob, EngineResult, TryonEngine
from tryon_errors import InputError, PipelineError
from tryon_images import encode, flatten, floored_size, resized
from tryon_request import JobOptions
from tryon_settings import TryonSettings

from remote.answer import first_model, most_bytes, read_picture
from remote.client import (
    LOOK,
    BrokenOffError,
    ImageEditClient,
    NotReachedError,
    Reply,
    UnusableAnswerError,
)

log = logging.getLogger("tryon")

NO_PROMPT = " "
"""What Qwen's own pipeline takes as the negative prompt; without one vLLM-Omni computes no
guidance, whatever its scale."""
GUIDANCE_OFF = 1.0
PROBE_PAUSE = 5.0
"""Seconds between looks whether the server is there, while no job asks it."""
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 15.0
"""Seconds before a server is asked again that cannot be reached or is busy, doubled each time."""
LONGEST_RETRY_AFTER = 60.0
BUSY = (408, 425, 429, 503)
"""The server has not begun: it is asked again until the job's deadline."""
BROKEN_OFF = (502, 504)
"""A proxy lost the server, which may have been at work."""
REFUSED_KEY = (401, 403)
REFUSED_INPUT = (400, 413, 422)


class RemoteEngine(TryonEngine):
    """See TryonEngine; the server warms itself up, and the memory is its own."""

    name = "remote"
    unused = ("garment_photo_type", "mode")

    def __init__(self, settings: TryonSettings) -> None:
        super().__init__(settings)
        self._server = settings.remote
        self._client: ImageEditClient | None = None
        self._absent: str | None = "the server has not answered yet"
        self._asking = threading.Event()
        self._stopping = threading.Event()
        self._prober = threading.Thread(target=self._probe, name="tryon-remote", daemon=True)
        self.model = settings.remote.model or "unknown"

    def absent(self) -> str | None:
        """See TryonEngine."""
        return self._absent

    def load(self) -> None:
        """See TryonEngine; a server that is not there is waited for, and no error."""
        if not self._server.url:
            raise PipelineError("the engine remote needs remote_url")
        self._client = ImageEditClient(self._server)
        super().load()
        self._look()
        self._prober.start()

    def generate(self, job: EngineJob) -> EngineResult:
        """See TryonEngine.

        Raises:
            InputError: The server refuses the pictures or the options.
            PipelineError: It fails, breaks off too often or answers something else.
        """
        size = floored_size(job.person.size)
        person = resized(job.person, size)
        pictures = [encode(picture, "png") for picture in (person, flatten(job.garment))]
        self._asking.set()
        try:
            body = self._answer(job, self._fields(job.options, size), pictures, most_bytes(size))
        finally:
            self._asking.clear()
        made = read_picture(body, size)
        return finished(person, made, self._networks, job.options)

    def unload(self) -> None:
        """See TryonEngine."""
        self._stopping.set()
        if self._prober.is_alive():
            self._prober.join()
        self._client = None
        super().unload()

    def _fields(self, options: JobOptions, size: tuple[int, int]) -> dict[str, str]:
        fields = {
            "model": self._server.model,
            "prompt": options.prompt,
            "n": "1",
            "size": f"{size[0]}x{size[1]}",
            "seed": str(options.seed),
            "response_format": "b64_json",
            "output_format": "png",
        }
        if options.steps is not None:
            fields["num_inference_steps"] = str(options.steps)
        if options.cfg is not None:
            fields["true_cfg_scale"] = str(options.cfg)
        if options.cfg is None or options.cfg > GUIDANCE_OFF:
            fields["negative_prompt"] = NO_PROMPT
        return {name: value for name, value in fields.items() if value}

    def _answer(
        self, job: EngineJob, fields: dict[str, str], pictures: list[bytes], limit: int
    ) -> bytes:
        """Return the body of a 200, asking again as long as that makes sense.

        Raises:
            TryonError: See `generate`, or the job is cancelled or late.
        """
        assert self._client is not None  # noqa: S101 (load comes first)
        broken, pause = 0, FIRST_PAUSE
        while True:
            job.watch.check()
            asked: float | None = None
            try:
                reply = self._client.edit(fields, pictures, limit, job.watch.check)
            except NotReachedError:
                self._now_absent("the server cannot be reached")
            except UnusableAnswerError as error:
                raise PipelineError(f"the server's answer is {error}") from None
            except BrokenOffError:
                broken = self._broken_off(broken)
            else:
                asked = reply.retry_after
                if reply.status == 200:
                    self._now_present()
                    return reply.body
                broken = self._judged(reply, broken)
            _rest(job, pause if asked is None else min(asked, LONGEST_RETRY_AFTER))
            pause = min(2 * pause, LONGEST_PAUSE)

    def _judged(self, reply: Reply, broken: int) -> int:
        """Return how often the server has broken off, if it shall be asked again.

        Raises:
            TryonError: It shall not.
        """
        status = reply.status
        if status in REFUSED_KEY:
            self._now_absent(f"the server refuses the key ({status})")
            return broken
        self._now_present()
        log.warning("tryon: the remote server answered %d", status)
        if status in BUSY:
            return broken
        if status in BROKEN_OFF:
            return self._broken_off(broken)
        if status in REFUSED_INPUT:
            raise InputError(f"the server refuses the pictures or the options ({status})")
        raise PipelineError(f"the server answered {status}")

    def _broken_off(self, broken: int) -> int:
        """Count one more time, after which the server may have been ended by the job itself.

        Raises:
            PipelineError: It was the last.
        """
        log.warning("tryon: the remote server broke off")
        if broken + 1 >= self._server.attempts:
            raise PipelineError("the server broke off, and was asked often enough")
        return broken + 1

    def _probe(self) -> None:
        while not self._stopping.wait(PROBE_PAUSE):
            if not self._asking.is_set():  # else the job tells, and a busy server may be slow
                self._look()

    def _look(self) -> None:
        """Ask for the server's models; what is no such list is a sign of life all the same."""
        assert self._client is not None  # noqa: S101 (load comes first)
        try:
            reply = self._client.models()
        except (NotReachedError, BrokenOffError):
            self._now_absent("the server cannot be reached")
        except UnusableAnswerError:
            self._now_present()
        except PipelineError as error:
            self._now_absent(error.words)
        else:
            if reply.status in REFUSED_KEY:
                self._now_absent(f"the server refuses the key ({reply.status})")
            elif reply.status >= 500:
                self._now_absent(f"the server is not ready ({reply.status})")
            else:
                self.model = self._server.model or first_model(reply.body) or self.model
                self._now_present()

    def _now_absent(self, words: str) -> None:
        if self._absent != words:
            log.error("tryon: %s", words)
        self._absent = words

    def _now_present(self) -> None:
        if self._absent is not None:
            log.info("tryon: the remote server answers")
        self._absent = None


def _rest(job: EngineJob, seconds: float) -> None:
    """Wait, and by chance up to half as long again: several nodes may ask one server.

    Raises:
        TryonError: The job is cancelled or late.
    """
    end = time.monotonic() + seconds * random.uniform(1, 1.5)  # noqa: S311
    while time.monotonic() < end:
        job.watch.check()
        time.sleep(LOOK)
