"""A sixth service is added to a copy of the tree exactly as the page says, and called there."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[4]
PAGE = ROOT / "docs/development/add-a-service.md"
BLOCK = re.compile(
    r"(?:^`(?P<file>[\w/.]+)`:\n\n)?^```(?P<kind>\w+)\n(?P<code>.*?)^```$", re.M | re.S
)
CALL = """
import asyncio, json, sys
from pathlib import Path
from tests.support.gateway import running_gateway

async def main():
    async with running_gateway(Path(sys.argv[1]), services=["text", "tokens"]) as gateway:
        good = await gateway.main.post("/tokens/count", json={"texts": ["two words", "one"]})
        bad = await gateway.main.post("/tokens/count", json={"texts": []})
        services = (await gateway.main.get("/services")).json()["services"]
        document = (await gateway.main.get("/openapi.json")).json()
        print(json.dumps({
            "good": good.json(), "bad": bad.status_code,
            "states": {one["name"]: one["state"] for one in services},
            "paths": [path for path in document["paths"] if path.startswith("/tokens")],
        }))

asyncio.run(main())
"""


def blocks() -> Iterator[tuple[str, str, str]]:
    """Yield file, kind and code of the page's blocks; no file named: the one before."""
    file = ""
    for found in BLOCK.finditer(PAGE.read_text(encoding="utf-8")):
        file = found["file"] or file
        yield file, found["kind"], found["code"]


def inserted(source: str, diff: str) -> str:
    """Return a file with the added lines of a diff behind its one line of context."""
    context, *added = diff.splitlines()
    assert source.count(f"\n{context[1:]}\n") == 1, context
    lines = "".join(f"{line[1:]}\n" for line in added)
    return source.replace(f"\n{context[1:]}\n", f"\n{context[1:]}\n{lines}")


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("tree")
    ignored = shutil.ignore_patterns("__pycache__")
    for name in ("gateway", "tests/support"):
        shutil.copytree(ROOT / name, root / name, ignore=ignored)
    for file, kind, code in blocks():
        path = root / file
        if kind == "diff":
            path.write_text(inserted(path.read_text(encoding="utf-8"), code), encoding="utf-8")
        else:
            assert not path.exists()
            path.parent.mkdir(exist_ok=True)
            path.write_text(code, encoding="utf-8")
    return root


def run(copy: Path, *command: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(copy)}
    done = subprocess.run(
        [sys.executable, *command], cwd=copy, env=environment, check=True, capture_output=True,
        text=True,
    )  # fmt: skip
    return done.stdout


def test_the_new_service_answers(copy: Path, tmp_path: Path) -> None:
    told = json.loads(run(copy, "-c", CALL, str(tmp_path)))
    assert told == {
        "good": {"counts": [4, 3]},
        "bad": 422,
        "states": {"text": "ready", "tokens": "ready"},
        "paths": ["/tokens/count"],
    }


def test_settings_and_keys_know_it(copy: Path, tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    key = "{name: a, key: key-of-tokens, services: [tokens]}"
    file.write_text(f"services: [tokens]\nsecurity: {{keys: [{key}]}}\n")
    run(copy, "-m", "gateway", "--config", str(file), "config", "--check")
    assert "`tokens.triton_model`" in run(copy, "-m", "gateway", "config", "--markdown")


def test_at_most_six_existing_files_are_changed() -> None:
    changed = {file for file, kind, _ in blocks() if kind == "diff"}
    assert changed == {"gateway/services/registry.py", "gateway/settings/tree.py"}
    listed = re.findall(r"^\| `([\w/.-]+)` \|", PAGE.read_text(encoding="utf-8"), re.M)
    assert changed < set(listed)
    assert len(listed) <= 6
    assert all((ROOT / name).is_file() for name in listed)


def test_nothing_else_lists_the_services() -> None:
    """Files outside of the page's table name all five services only where they are generated."""
    listed = set(re.findall(r"^\| `([\w/.-]+)` \|", PAGE.read_text(encoding="utf-8"), re.M))
    names = re.compile(r"""["'\[]iot["']?,\s*["']?lipsync["']?,\s*["']?text["']?,""")
    places = ("gateway", "export", "launcher", "supply", "docker", "dashboard/src")
    tracked = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", *places, "*.yaml", "*.ts"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout.splitlines()  # fmt: skip
    found = [
        name for name in tracked
        if (ROOT / name).is_file() and names.search((ROOT / name).read_text(errors="ignore"))
    ]  # fmt: skip
    assert set(found) <= listed
