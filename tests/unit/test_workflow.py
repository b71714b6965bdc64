"""The workflow for GitHub runs what .ci/run runs, layer by layer."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
import yaml

from tests.conftest import LAYERS, ROOT
from tests.support.containers import COMPOSE, DOCKERFILES, compose

FILE = ROOT / ".github" / "workflows" / "ci.yml"


@pytest.fixture
def commands() -> dict[str, list[str]]:
    """Commands of each job, with those that its matrix puts in."""
    jobs = yaml.safe_load(FILE.read_text())["jobs"]
    return {name: list(_commands(job)) for name, job in jobs.items()}


def _commands(job: dict[str, Any]) -> Iterator[str]:
    rows = job.get("strategy", {}).get("matrix", {}).get("include", [{}])
    for step in job["steps"]:
        command = step.get("run")
        if command == "${{ matrix.run }}":
            yield from (row["run"] for row in rows)
        elif command:
            yield command


def test_githubs_schema_holds() -> None:
    schemas = pytest.importorskip(
        "check_jsonschema.builtin_schemas", reason="check-jsonschema (PyPI) is not installed"
    )
    jsonschema = pytest.importorskip("jsonschema")
    schema = schemas.get_builtin_schema("vendor.github-workflows")
    # YAML 1.1 reads the key `on` as true.
    content: dict[Any, Any] = yaml.safe_load(FILE.read_text())
    content["on"] = content.pop(True)
    errors = list(jsonschema.Draft7Validator(schema).iter_errors(json.loads(json.dumps(content))))
    assert not errors, errors[0].message


def test_every_verb_of_the_own_ci_is_run(commands: dict[str, list[str]]) -> None:
    own = re.findall(r"^make (\S+)", (ROOT / ".ci" / "run").read_text(), re.M)
    words = [shlex.split(command) for job in commands.values() for command in job]
    run = {after for line in words for word, after in pairwise(line) if word == "make"}
    assert own
    assert set(own) <= run
    makefile = (ROOT / "Makefile").read_text()
    for verb in run:
        assert re.search(rf"^{verb}:", makefile, re.M), verb


def test_every_layer_is_run(commands: dict[str, list[str]]) -> None:
    everything = "\n".join(one for many in commands.values() for one in many)
    for layer in LAYERS:
        # No GPU there; the job `images` runs the real images; the others have targets.
        if layer not in ("gpu", "vlm", "netns", "containers"):
            assert f"PYTEST_ARGS=tests/{layer}\n" in everything + "\n"
    assert "make test-vlm" in everything
    assert "make test-netns" in everything


def test_the_images_are_built_and_started(commands: dict[str, list[str]]) -> None:
    everything = "\n".join(commands["images"])
    for name in ("docker/triton.Dockerfile", "docker/compose.yaml", "docker/versions.env"):
        assert name in everything
        assert (ROOT / name).is_file()
    budget = re.search(
        r"^GATEWAY_MB = (\d+)$", (ROOT / "tests/containers/test_images.py").read_text(), re.M
    )
    assert budget
    assert f"-le {budget[1]}000000" in everything
    secrets = set(re.findall(r"docker/secrets/([\w.-]+)", everything))
    compose = yaml.safe_load((ROOT / "docker" / "compose.cpu.yaml").read_text())
    needed = {
        name
        for service in compose["services"].values()
        if "profiles" not in service
        for name in service.get("secrets", [])
    }
    assert secrets == needed


def test_a_tag_publishes_every_image_with_its_bill_of_materials() -> None:
    content: dict[Any, Any] = yaml.safe_load(FILE.read_text())
    assert content[True]["push"]["tags"] == ["v*"]
    job = content["jobs"]["publish"]
    assert job["if"] == "startsWith(github.ref, 'refs/tags/v')"
    assert set(job["needs"]) == content["jobs"].keys() - {"publish"}, "only what passed"
    rows = job["strategy"]["matrix"]["include"]
    assert {row["file"] for row in rows} == {f"docker/{path.name}" for path in DOCKERFILES}
    (build,) = (step["with"] for step in job["steps"] if "build-push" in step.get("uses", ""))
    assert (build["push"], build["sbom"], build["provenance"]) == (True, True, "mode=max")
    given = set(re.findall(r"^(\w+)=", build["build-args"], re.M))
    for path in DOCKERFILES:
        assert set(re.findall(r"^ARG (\w+)$", path.read_text(), re.M)) <= given
    names = {service["image"] for path in COMPOSE for service in compose(path)["services"].values()}
    own = {name.split(":")[0] for name in names if name.startswith("pentad-")}
    assert {row["image"] for row in rows} == own
