"""`python -m export lipsync FILE…` and `python -m export lipsync-demo`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Collection
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from export.lipsync.importing import LAYOUTS, Imported, default_layouts, import_files
from export.progress import Progress
from gateway.settings import Settings, load_settings

IMPORT = "lipsync"
DEMO = "lipsync-demo"
PIPE_WIDTH = 160
"""Columns of the table where there is no terminal."""


def concerns(arguments: list[str], models: Collection[str]) -> bool:
    """Whether a command line is one of these two; `lipsync` without files is one of `models`."""
    words = [word for word in arguments[1:] if not word.startswith("-") and word not in models]
    return arguments[:1] == [DEMO] or (arguments[:1] == [IMPORT] and bool(words))


def main(arguments: list[str]) -> int:
    """Run a command line that `concerns` this module; return the exit status."""
    settings = load_settings()
    if arguments[0] == DEMO:
        parser = _demo_parser()
        options = parser.parse_args(arguments[1:])
        if options.width != 1 and not options.random:
            parser.error("a face needs the full width: say --random with another --width")
        return _demo(options, settings)
    return _import(_import_parser().parse_args(arguments[1:]), settings)


def _import_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"python -m export {IMPORT}",
        description="Validates tenants' ONNX files, folds and optimises them, compares a golden "
        "frame with the original, and writes what the lip-sync model maps into memory. Without "
        "this step the same happens when a tenant is first loaded.",
    )
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="ONNX files")
    parser.add_argument(
        "--layout",
        choices=(*LAYOUTS, "all"),
        help="blocked: for CPUs, half: for GPUs; default: what this machine needs",
    )
    parser.add_argument(
        "--force", action="store_true", help="compare contents, not sizes and times only"
    )
    parser.add_argument("--workers", type=int, metavar="N", help="default: one per core")
    return parser


def _demo_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"python -m export {DEMO}",
        description="Writes seeded tenants that give the face back with a mouth that opens with "
        "the sound, tenant_0001.onnx and so on. Nothing of them is trained.",
    )
    parser.add_argument("--tenants", type=int, default=2, metavar="N", help="default: 2")
    parser.add_argument(
        "--random", action="store_true", help="random weights, whose mouth is noise"
    )
    parser.add_argument(
        "--width",
        type=float,
        default=1.0,
        metavar="FACTOR",
        help="of the network; default: 1, the only one that shows a face",
    )
    parser.add_argument("--folder", type=Path, metavar="DIR", help="default: the demo's own")
    parser.add_argument("--seed", type=int, default=0, help="of the first tenant; default: 0")
    parser.add_argument(
        "--static", action="store_true", help="files that take one frame, not any number"
    )
    return parser


def _import(options: argparse.Namespace, settings: Settings) -> int:
    layouts = {None: default_layouts(), "all": LAYOUTS}.get(options.layout, (options.layout,))
    with Progress() as progress, progress.steps("import tenants", len(options.files)) as step:
        results = import_files(
            options.files,
            settings.paths.repository,
            layouts=layouts,
            blob_folder=settings.lipsync.blob_folder,
            force=options.force,
            workers=options.workers,
            done=lambda result: step(result.file.name),
        )
    console = Console(stderr=True, width=None if sys.stderr.isatty() else PIPE_WIDTH)
    console.print(_table(results))
    failed = sum(result.error is not None for result in results)
    print(f"{len(results) - failed} imported, {failed} refused", file=sys.stderr)  # noqa: T201
    return 1 if failed else 0


def _demo(options: argparse.Namespace, settings: Settings) -> int:
    # Imported late: it brings torch, which nothing else here needs.
    from export.lipsync.demo import write_tenants

    folder = options.folder or settings.lipsync.demo_folder(settings.paths.state)
    with Progress() as progress, progress.steps("write tenants", options.tenants) as step:
        write_tenants(
            folder,
            options.tenants,
            width=options.width,
            seed=options.seed,
            static_batch=options.static,
            face=not options.random,
            written=step,
        )
    print(folder)  # noqa: T201
    return 0


def _table(results: list[Imported]) -> Table:
    table = Table("tenant", "result", "graph", "MB", "max difference", "PSNR dB")
    for result in sorted(results, key=lambda outcome: outcome.error is None):
        if result.error:
            table.add_row(result.file.name, Text(result.error, style="red"))
            continue
        quality = result.quality or {}
        table.add_row(
            result.file.name,
            "imported" if result.new else "up to date",
            result.graph[:12],
            f"{result.memory_bytes / 1e6:.1f}",
            f"{quality['max_difference']:.1e}" if "max_difference" in quality else "",
            f"{quality['psnr_db']:.1f}" if "psnr_db" in quality else "",
        )
    return table
