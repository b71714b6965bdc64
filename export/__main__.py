"""`python -m export`: makes the artefacts that the switched-on services need."""

from __future__ import annotations

import argparse
import sys

from export.catalogue import SERVICE_MODELS
from export.errors import ExportError
from export.pair import export_pair, is_current
from export.progress import Progress
from export.source import Source, named, packaged
from export.task import TASKS
from gateway.settings import load_settings
from gateway.settings.triton import PathSettings


def main(arguments: list[str] | None = None) -> int:
    """Runs the command line and returns the exit status."""
    options = _parser().parse_args(arguments)
    settings = load_settings()
    models = options.models or _models_of(options.services or list(settings.services))
    try:
        if unknown := set(models) - set(TASKS):
            raise ExportError(
                f"unknown model {', '.join(sorted(unknown))}; known: {', '.join(TASKS)}"
            )
        if options.checkpoint and len(models) != 1:
            raise ExportError("--checkpoint needs exactly one MODEL")
        source = named(options.checkpoint, options.layer) if options.checkpoint else packaged()
        with Progress() as progress:
            for model in models:
                made = _export(model, source, settings.paths, options, progress)
                print(f"{model}: {'written' if made else 'up to date'}", file=sys.stderr)
    except ExportError as error:
        print(f"export: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m export", description=__doc__)
    parser.add_argument(
        "models",
        nargs="*",
        metavar="MODEL",
        help=f"models to make with their encoders ({', '.join(TASKS)}); "
        "default: those of the services",
    )
    parser.add_argument(
        "--services",
        nargs="+",
        choices=sorted(SERVICE_MODELS),
        help="services to make models for; default: those of the configuration",
    )
    parser.add_argument("--force", action="store_true", help="make them anew")
    parser.add_argument(
        "--checkpoint",
        metavar="DIR_OR_HUB_NAME",
        help="another encoder; a name that is no folder is fetched from the hub",
    )
    parser.add_argument(
        "--layer",
        type=int,
        metavar="N",
        help="hidden layer that bertscore compares (deberta-xlarge-mnli: 40)",
    )
    parser.add_argument(
        "--as",
        dest="suffix",
        metavar="NAME",
        help="write MODEL_NAME and its encoder beside the default models",
    )
    return parser


def _models_of(services: list[str]) -> list[str]:
    return [model for service in services for model in SERVICE_MODELS.get(service, ())]


def _export(
    model: str, source: Source, paths: PathSettings, options: argparse.Namespace, progress: Progress
) -> bool:
    """Exports one model with its encoder; False when nothing had to be done."""
    task = TASKS[model]
    if options.suffix:
        task = task.named(options.suffix, paths.repository)
    if not options.force and is_current(task, source, paths.repository):
        return False
    dimensions = export_pair(task, source, paths.repository, paths.cache, progress)
    if options.suffix:
        task.set_dimensions(paths.repository, dimensions)
    return True


if __name__ == "__main__":
    sys.exit(main())
