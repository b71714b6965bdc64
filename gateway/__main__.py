"""Command line: `python -m gateway serve | config [--check] | capacity | openapi`."""

from __future__ import annotations

import os
import signal

# NumPy reads it when it is imported. A second thread of OpenBLAS waits for work by spinning: with
# one stream's sound it took half a core from the models.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
if __name__ == "__main__" and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C among the imports: no traceback

import argparse
import socket
import sys
from collections.abc import Sequence
from itertools import chain

import yaml

from gateway.capacity.command import add_arguments, run
from gateway.privacy import silence_libraries
from gateway.private_files import close_to_others, own_files_only, usable_state
from gateway.settings import ConfigError, Settings, load_settings
from gateway.sockets import ListenError, activated, listening
from gateway.standard_streams import as_command, say
from gateway.workers import Worker, supervise

FILE = "YAML file (default: $PENTAD_CONFIG, then config.yaml)"


def _parser(prog: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=prog, description=__doc__)
    parser.add_argument("--config", help=FILE)
    commands = parser.add_subparsers(dest="command", required=True)
    serve = commands.add_parser("serve", help="run the gateway")
    serve.add_argument("--worker", type=Worker.parse, help=argparse.SUPPRESS)
    config = commands.add_parser("config", help="print the configuration, secrets hidden")
    config.add_argument("--check", action="store_true", help="only say whether it is valid")
    config.add_argument("--markdown", action="store_true", help="print the reference of all keys")
    plan = commands.add_parser(
        "capacity", aliases=["plan"], help="say whether a machine is large enough"
    )
    add_arguments(plan)
    document = commands.add_parser("openapi", help="print an API document")
    document.add_argument("--port", type=int, help="of that port (default: the main one)")
    document.add_argument("--defaults", action="store_true", help="whatever is configured here")
    for command in (serve, config, plan, document):
        command.add_argument("--config", default=argparse.SUPPRESS, help=FILE)
    return parser


def _serve(settings: Settings, args: argparse.Namespace) -> int:
    try:
        usable_state(settings.paths.state)
        if not args.worker:
            close_to_others(settings)
        sockets = args.worker.adopt() if args.worker else activated(os.environ, os.getpid())
        return _run(settings, args, sockets)
    except ListenError as error:
        say(f"gateway: cannot listen on {error.strerror}")
        return 1
    except OSError as error:
        say(f"gateway: {error.strerror or error}")
        return 1
    except ValueError as error:
        say(f"gateway: {error}")
        return 2


def _run(settings: Settings, args: argparse.Namespace, handed_over: Sequence[socket.socket]) -> int:
    if settings.server.workers > 1 and not args.worker:
        sockets = list(chain.from_iterable(listening(settings, handed_over).values()))
        return supervise(settings.server.workers, args.config, sockets)
    import uvloop

    from gateway.server import serve
    from gateway.telemetry.log import configure_logging

    configure_logging(settings.telemetry)
    uvloop.run(serve(settings, handed_over))
    return 0


def _check(settings: Settings) -> int:
    from gateway.settings.doors import configured_keys, twins
    from gateway.settings.keys import KeysFileError

    try:
        keys = configured_keys(settings)
    except KeysFileError as error:
        print(f"configuration: security.keys_file: {error}", file=sys.stderr)
        return 2
    for sentence in twins(keys):
        print(f"configuration: note: {sentence}")
    print("; ".join(("configuration: valid", *settings.moved)))
    return 0


def main(argv: list[str] | None = None, prog: str = "python -m gateway") -> int:
    """Run one command; 2 means the configuration is wrong."""
    args = _parser(prog).parse_args(argv)
    own_files_only()
    silence_libraries()
    try:
        settings = load_settings(args.config)
        if args.command == "serve":
            return _serve(settings, args)
    except ConfigError as error:
        say(f"configuration: {error}")
        return 2
    if args.command in ("capacity", "plan"):
        return run(settings, args)
    if args.command == "openapi":
        from gateway import documents

        return documents.run(settings, args.port, defaults=args.defaults)
    if args.markdown:
        from gateway.settings.reference import reference

        print(reference())
    elif args.check:
        return _check(settings)
    else:
        print(yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False), end="")
    return 0


if __name__ == "__main__":
    sys.exit(as_command(main))
