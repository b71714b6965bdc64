"""Where Triton wants an instance, where it really computes, and how the gateway learns of it."""

from __future__ import annotations

import contextlib
import json
import logging
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

FOLDER = "PENTAD_ENGINES"
"""Environment variable: the folder of the reports; without it none is written."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Placement:
    """What Triton says of an instance.

    Attributes:
        kind: CPU, GPU, AUTO or MODEL.
        device: Index of the GPU among those that Triton sees.
        group: Name of the instance, which begins with that of its group.
    """

    kind: str
    device: int = 0
    group: str = ""

    @classmethod
    def of(cls, args: Mapping[str, str]) -> Placement:
        """Return what the arguments of `initialize` say."""
        device = int(args.get("model_instance_device_id") or 0)
        name = args.get("model_instance_name", "")
        return cls(args["model_instance_kind"].removeprefix("KIND_"), max(0, device), name)

    @property
    def wants_gpu(self) -> bool:
        """Whether NVIDIA's backends would take a GPU."""
        return self.kind in ("GPU", "AUTO")


CPU_ONLY = Placement("CPU")


@dataclass(frozen=True)
class Computed:
    """Where an instance computes.

    Attributes:
        provider: cpu, cuda, or tensorrt for what its kernels run in.
        device: cpu or cuda:N.
        reason: Why that is not what was asked for, in words for people, without paths; else empty.
    """

    provider: str = "cpu"
    device: str = "cpu"
    reason: str = ""


ON_CPU = Computed()


class Report:
    """A file that says where this process computes, as long as it lives.

    The folder is Pentad's own; `gateway.health.engine` reads it.
    """

    def __init__(self, model: str, backend: str, computed: Computed, version: str = "") -> None:
        """Write it, where the launcher named a folder.

        Args:
            model: Name of it.
            backend: Name of it.
            computed: Where the instance computes.
            version: Of the engine's library.
        """
        folder = os.environ.get(FOLDER)
        self._file = Path(folder, f"{model}.{os.getpid()}.json") if folder else None
        if self._file is None:
            return
        scratch = self._file.with_suffix(".new")
        content = json.dumps({"backend": backend, "version": version, **asdict(computed)})
        try:
            self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            scratch.write_text(content, encoding="utf-8")
            scratch.replace(self._file)
        except OSError as error:  # a full disk is no reason not to serve
            log.warning("%s: where it computes cannot be written: %s", model, error.strerror)

    def remove(self) -> None:
        """Remove it; safe to repeat."""
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.unlink(missing_ok=True)
