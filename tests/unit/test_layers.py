"""Which room may know which: no arrow runs up, none from one service to another, none in a circle.

A room is a folder or a file directly in `gateway/`; each service in `gateway/services/` is one.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from gateway.services import registry

ROOT = Path(__file__).resolve().parents[2]
SERVICES = {f"services.{name}" for name in registry.SERVICES}
PLAIN = {"services.registry", "capacity.facts"}
"""Modules of plain data, rooms of their own, which everybody may read."""
FLOORS: list[set[str]] = [
    PLAIN,
    {"settings", "errors", "lifecycle", "memory", "pictures", "privacy", "sightings"}
    | {"standard_streams", "visible_cards", "large_work", "lookups", "model_config"},
    {"placement"},
    {"telemetry", "private_files", "sockets"},
    {"admission", "security", "triton", "workers"},
    {"health"},
    {"context"},
    {"http"},
    SERVICES,
    {"app", "capacity"},
    {"server"},
    {"documents"},
    {"__main__", "cli"},
]
"""Rooms from the ground up: each may import those of lower floors."""
PACKAGES = [{"gateway"}, {"export", "launcher"}, {"supply", "embedded"}]
"""The same for the packages at the top of the tree."""


def modules(package: Path) -> dict[str, Path]:
    """Return the modules of a package by their dotted names."""
    found = {}
    for file in package.rglob("*.py"):
        parts = file.relative_to(package.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return found


def imports(source: str, known: Mapping[str, object]) -> Iterator[str]:
    """Yield which of the ``known`` modules a module imports, also inside of its functions."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                name = whole if whole in known else node.module
                yield from (name,) if name in known else ()


def room(module: str) -> str:
    """Return the room of a module of the gateway."""
    _, *parts = module.split(".")
    if len(parts) > 1:
        service = ".".join(parts[:2])
        return service if service in {*SERVICES, *PLAIN} else parts[0]
    return parts[0] if parts else ""


def arrows(files: Mapping[str, Path]) -> dict[str, set[str]]:
    """Return what each module imports, itself left out."""
    return {
        name: set(imports(file.read_text(encoding="utf-8"), files)) - {name}
        for name, file in files.items()
    }


def upward(graph: Mapping[str, set[str]]) -> list[str]:
    """Return the imports that do not lead to a lower floor, as `importer -> imported`."""
    floor = {name: number for number, names in enumerate(FLOORS) for name in names}
    return sorted(
        f"{importer} -> {imported}"
        for importer, targets in graph.items()
        for imported in targets
        if room(importer) != room(imported) and room(imported) not in ("", "services")
        if floor[room(importer)] <= floor[room(imported)]
    )


@pytest.fixture(scope="module")
def gateway() -> dict[str, set[str]]:
    return arrows(modules(ROOT / "gateway"))


def test_every_room_has_a_floor(gateway: dict[str, set[str]]) -> None:
    assert {room(name) for name in gateway} == {"", "services"}.union(*FLOORS)


def test_no_arrow_runs_up_or_from_service_to_service(gateway: dict[str, set[str]]) -> None:
    assert upward(gateway) == []


def test_no_relative_import_hides_a_room() -> None:
    for file in (ROOT / "gateway").rglob("*.py"):
        assert "\nfrom ." not in file.read_text(encoding="utf-8"), file


def test_no_modules_import_one_another(gateway: dict[str, set[str]]) -> None:
    try:
        TopologicalSorter(gateway).prepare()
    except CycleError as error:
        pytest.fail(f"a circle: {' -> '.join(error.args[1])}")


def floors(graph: Mapping[str, set[str]], package: str) -> int:
    """Return over how many floors the modules of a package stand on one another."""
    heights: dict[str, int] = {}
    for name in TopologicalSorter(graph).static_order():
        below = [heights[one] for one in graph[name] if one.startswith(f"{package}.")]
        heights[name] = 1 + max(below, default=0)
    return max(height for name, height in heights.items() if name.startswith(f"{package}."))


@pytest.mark.parametrize(
    ("package", "most"),
    [("gateway.services.lipsync.tenants", 6), ("gateway.services.tryon.jobs", 6)],
)
def test_a_concept_is_not_cut_into_many_storeys(
    gateway: dict[str, set[str]], package: str, most: int
) -> None:
    assert floors(gateway, package) <= most


def test_packages_know_those_below_alone() -> None:
    files = {name: modules(ROOT / name) for names in PACKAGES for name in names}
    known = {name: path for found in files.values() for name, path in found.items()}
    floor = {name: number for number, names in enumerate(PACKAGES) for name in names}
    for package, found in files.items():
        for name, file in found.items():
            for target in imports(file.read_text(encoding="utf-8"), known):
                other = target.split(".")[0]
                assert other == package or floor[other] < floor[package], f"{name} -> {target}"


@pytest.mark.parametrize(
    ("importer", "imported"),
    [
        ("gateway.services.text.service", "gateway.services.iot.service"),
        ("gateway.triton.client", "gateway.health.state"),
        ("gateway.http.body", "gateway.services.vision.uploads"),
        ("gateway.health.monitor", "gateway.context"),
    ],
)
def test_an_arrow_that_runs_up_is_seen(importer: str, imported: str) -> None:
    assert upward({importer: {imported}}) == [f"{importer} -> {imported}"]


def test_imports_inside_of_functions_count() -> None:
    known = {"gateway.app": 0, "gateway.http": 0, "gateway.http.body": 0}
    source = "def f():\n    from gateway.http import body\n    import gateway.app\n"
    assert set(imports(source, known)) == {"gateway.http.body", "gateway.app"}
