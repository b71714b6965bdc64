"""`python -m export`: makes the artefacts that the switched-on services need."""

from __future__ import annotations

import signal

if __name__ == "__main__" and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C among the imports: no traceback

import argparse
import sys

from export import repository
from export.errors import ExportError
from export.lipsync import command
from export.lipsync.audio_encoder import MODEL as AUDIO_ENCODER
from export.progress import Progress
from export.selection import FACES, MODELS, add_options, named_models, select
from export.tensorrt import COMMAND as PLANS
from export.tryon import demo
from gateway.services.registry import NAMES, SERVICES
from gateway.settings import Settings, load_settings
from gateway.standard_streams import as_command


def main(arguments: list[str] | None = None, prog: str = "python -m export") -> int:
    """Run the command line and return the exit status."""
    words = sys.argv[1:] if arguments is None else arguments
    if command.concerns(words, MODELS):
        return command.main(words)
    if words[:1] == [PLANS]:
        from export.tensorrt import command as plans  # late: it brings Triton's client

        return plans.main(words[1:])
    if words[:1] == [demo.COMMAND]:
        return demo.main(words[1:])
    if words[:1] == [repository.COMMAND]:
        return repository.main(words[1:])
    options = _parser(prog).parse_args(words)
    settings = load_settings()
    models = named_models(options.models) or _models_of(
        options.services or list(settings.services), settings
    )
    try:
        exports = select(models, options, settings)
        written = 0
        with Progress() as progress:
            for model, export in zip(models, exports, strict=True):
                current = not options.force and export.is_current()
                if not current:
                    export.make(progress)
                    written += 1
                if not progress.is_watched:
                    print(f"{model}: {'up to date' if current else 'written'}", file=sys.stderr)
        if progress.is_watched:
            print(f"{'exports':<10} ✔ {len(models)} models, {written} written", file=sys.stderr)
    except ExportError as error:
        print(f"export: {error}", file=sys.stderr)
        return 1
    return 0


def _parser(prog: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=prog, description=__doc__)
    parser.add_argument(
        "models",
        nargs="*",
        metavar="MODEL",
        help=f"models to make with what they call ({', '.join((*MODELS, FACES))}); "
        f"default: those of the services; `{command.IMPORT} FILE...` imports tenants, "
        f"`{command.DEMO}` writes some, `{demo.COMMAND} FOLDER` writes pictures to try on, "
        f"`{PLANS}` makes TensorRT plans, `{repository.COMMAND} FOLDER` copies the repository",
    )
    parser.add_argument(
        "--services",
        nargs="+",
        choices=NAMES,
        help="services to make models for; default: those of the configuration",
    )
    parser.add_argument("--force", action="store_true", help="make them anew")
    parser.add_argument(
        "--as",
        dest="suffix",
        metavar="NAME",
        help="write MODEL_NAME and what it calls beside the default models",
    )
    add_options(parser)
    return parser


def _models_of(services: list[str], settings: Settings) -> list[str]:
    models = [model for service in services for model in SERVICES[service].exports]
    if settings.lipsync.encoder_file(settings.paths.state) is None:  # an audio encoder is optional
        models = [model for model in models if model != AUDIO_ENCODER]
    return models


if __name__ == "__main__":
    sys.exit(as_command(main))
