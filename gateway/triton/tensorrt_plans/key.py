"""What a plan was made from and for: the file beside it, which decides whether it is used.

A plan runs only with the TensorRT version that built it and on GPUs of the model it was built on
(https://docs.nvidia.com/deeplearning/tensorrt/latest/inference-library/advanced.html, "Version
Compatibility" and "Hardware Compatibility"). Another model of the same compute capability has
another number of cores and other memory: an L4's plan loads on an L40S with a warning, slow, or not
at all.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

GRAPH = "model.onnx"
PLAN = "model.plan"
KEY = "plan.json"


@dataclass(frozen=True)
class PlanKey:
    """Everything that must be equal for a plan to be the right one.

    Attributes:
        tensorrt: version that builds and runs it, ``10.16.1.11``.
        gpu: name of the GPUs as the driver gives it, ``NVIDIA L40S``.
        compute_capability: of the GPUs, ``8.9``.
        precision: that it was built in.
        profile: its shapes (:attr:`PlanDeclaration.profile`).
    """

    onnx_sha256: str
    tensorrt: str
    gpu: str
    compute_capability: str
    precision: str
    profile: str

    @property
    def digest(self) -> str:
        """A name for the plan, 32 hexadecimal digits."""
        text = json.dumps(asdict(self), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    def differences(self, other: PlanKey) -> list[str]:
        """Names of the fields in which two keys differ."""
        mine, its = asdict(self), asdict(other)
        return [name for name in mine if mine[name] != its[name]]


@dataclass(frozen=True)
class PlanRecord:
    """The key file.

    Attributes:
        plan_sha256: of the plan's bytes.
        measured: figures of its acceptance, for people.
    """

    key: PlanKey
    plan_sha256: str
    measured: dict[str, Any]

    def write(self, file: Path) -> None:
        """Write it as JSON."""
        file.write_text(json.dumps(asdict(self), indent=1, sort_keys=True) + "\n")


def read_record(file: Path) -> PlanRecord | None:
    """Return a key file; None where there is none or it is not one."""
    try:
        content = json.loads(file.read_text())
        return PlanRecord(
            PlanKey(**content["key"]), content["plan_sha256"], dict(content["measured"])
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def file_sha256(file: Path) -> str:
    """Return the digest of a file.

    Raises:
        OSError: it cannot be read.
    """
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while block := stream.read(2**20):
            digest.update(block)
    return digest.hexdigest()
