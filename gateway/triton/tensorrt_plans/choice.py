"""Which configuration a model is loaded with: its plan's where that is the right one, else ONNX's.

The gateway names the configuration itself, whatever ``--model-config-name`` Triton was started
with, so a plan that is missing, half-written, stale or foreign is never what Triton opens.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gateway.model_config import read_config
from gateway.triton.tensorrt_plans.declared import PlanDeclaration, declaration_file, declared
from gateway.triton.tensorrt_plans.key import GRAPH, KEY, PLAN, PlanRecord, file_sha256, read_record

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Choice:
    """A configuration to load.

    Attributes:
        plan: digest of the plan's key; empty for ONNX.
    """

    config: dict[str, Any]
    plan: str = ""


@dataclass
class PlanChooser:
    """Looks into the model repository, which Triton must share.

    Attributes:
        repository: ``paths.repository``.
        longest: the largest variable dimension that requests of a model may have, where the
            configuration can raise it beyond a plan's shapes.
    """

    repository: Path
    longest: dict[str, int] = field(default_factory=dict)
    _rejected: set[str] = field(default_factory=set)
    _digests: dict[Path, tuple[tuple[int, int], str]] = field(default_factory=dict)
    _told: set[str] = field(default_factory=set)
    _lacking: dict[str, str] = field(default_factory=dict)

    def choose(self, model: str) -> Choice | None:
        """Return what to load a model with; None where it has no plan: as the repository says.

        Reads files; a graph or plan that has not changed is hashed once. Where something cannot be
        read it is ONNX too: left to Triton, any plan that lies there might be loaded.
        """
        try:
            wanted = declared(self.repository, model)
            if wanted is None:
                return None
            record, reason = self._usable(wanted)
            self._lacking[model] = reason
            if record is not None:
                config = read_config(declaration_file(self.repository, model))
                return Choice(config, record.key.digest)
        except (OSError, ValueError) as error:
            reason = str(error)
            self._lacking[model] = "declaration, graph or plan cannot be read"
        self._tell(model, reason)
        try:
            return Choice(read_config(self.repository / model / "config.pbtxt"))
        except (OSError, ValueError) as error:
            self._tell(model, str(error))
            return None

    def lacking(self, model: str) -> str:
        """Return why the last choice was not a plan, without paths; empty where it was."""
        return self._lacking.get(model, "")

    def most_rows(self, model: str) -> int:
        """Return the rows that a model's plan takes at once; 0 where none can be chosen."""
        try:
            wanted = declared(self.repository, model)
        except (OSError, ValueError):
            return 0
        return min(tensor.largest[0] for tensor in wanted.inputs.values()) if wanted else 0

    def reject(self, choice: Choice) -> None:
        """Never choose this plan again: Triton could not load it."""
        self._rejected.add(choice.plan)

    def _usable(self, wanted: PlanDeclaration) -> tuple[PlanRecord | None, str]:
        """Return the key file of a plan that may be loaded, or why there is none."""
        folder = self.repository / wanted.model / "1"
        record = read_record(folder / KEY)
        if record is None or not (folder / PLAN).is_file():
            return None, "no plan yet; `python -m export plans` builds it"
        key = record.key
        if key.digest in self._rejected:
            return None, "Triton could not load the plan"
        if self.longest.get(wanted.model, 0) > wanted.longest:
            return None, "the plan's shapes are too small for what requests may send"
        if key.profile != wanted.profile or key.precision not in wanted.precisions:
            return None, "the plan was built for another configuration"
        if key.onnx_sha256 != self._digest(folder / GRAPH):
            return None, "the plan was built from another graph"
        if record.plan_sha256 != self._digest(folder / PLAN):
            return None, "the plan is not the one that its key file describes"
        return record, ""

    def _digest(self, file: Path) -> str:
        facts = file.stat()
        stamp = (facts.st_mtime_ns, facts.st_size)
        if self._digests.get(file, ((), ""))[0] != stamp:
            self._digests[file] = (stamp, file_sha256(file))
        return self._digests[file][1]

    def _tell(self, model: str, reason: str) -> None:
        """Log a reason once."""
        if f"{model}: {reason}" not in self._told:
            self._told.add(f"{model}: {reason}")
            log.info("model runs without a plan", extra={"model": model, "reason": reason})
