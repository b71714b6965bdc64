"""docs/operations/gpu.md tells of every plan what its configuration says."""

from __future__ import annotations

import re
from pathlib import Path

from gateway.__main__ import _parser
from gateway.capacity import facts
from gateway.capacity.machine import from_file
from gateway.plans.declared import declared

ROOT = Path(__file__).resolve().parents[4]


def test_precisions_and_guards() -> None:
    page = (ROOT / "docs" / "operations" / "gpu.md").read_text()
    rows = dict(re.findall(r"^\| ([\w, ]+) \| (.+) \|$", page, re.M))
    told = {name: row for names, row in rows.items() for name in names.split(", ")}
    models = [path.parent.name for path in (ROOT / "model_repository").glob("*/config.pbtxt")]
    plans = [plan for model in models if (plan := declared(ROOT / "model_repository", model))]
    assert len(plans) >= 6
    for plan in plans:
        precisions, guard = told[plan.model].split(" | ")
        assert precisions.startswith(", ".join(plan.precisions))
        assert f"{plan.guard.bound:f}".rstrip("0") in guard


def test_memory() -> None:
    page = (ROOT / "docs" / "operations" / "gpu.md").read_text()
    assert f"{facts.CONTEXT // 2**20} MiB for each process" in page
    assert f"{facts.GPU_SLOTS} slots of {facts.SLOT / 1e9:.0f} GB" in page
    assert f"{facts.TENANT_ON_GPU / 1e6:.1f} MB a tenant" in page
    assert f"{facts.TENANT_ON_CPU / 1e6:.1f} MB a tenant" in page
    assert f"{facts.KEPT_FREE:.0%}".replace("%", " %") + " of every memory" in page


def test_the_described_machine(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "operations" / "gpu.md").read_text()
    (block,) = re.findall(r"```yaml\n(.*?)```", page, re.S)
    file = tmp_path / "machine.yaml"
    file.write_text(block)
    found = from_file(file)
    assert [gpu.memory_gb for gpu in found.gpus] == [96, 24]


def test_the_commands_take_their_options() -> None:
    page = (ROOT / "docs" / "operations" / "gpu.md").read_text()
    commands = re.findall(r"^    python -m gateway (plan.*?)(?:  +#.*)?$", page, re.M)
    assert len(commands) == 3
    for command in commands:
        _parser("gateway").parse_args(command.split())
