"""Command line: `python -m launcher.container prepare | plans | serve | shm`.

`prepare` fills the volume with the models and becomes the exporter; `serve` becomes tritonserver,
with the flags of the embedded server; `plans` becomes the builder of TensorRT plans; `shm` prints
what `--shm-size` must be.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

from gateway.privacy import silence_libraries
from gateway.private_files import close_to_others, own_files_only
from gateway.settings import ConfigError, Settings, load_settings
from gateway.visible_cards import count_in_bus_order
from launcher import door, stale_plans
from launcher.container.invocation import invocation
from launcher.container.repository_copy import link_environments, refresh
from launcher.errors import LauncherError
from launcher.guard import keep_modes
from launcher.leftovers import clear_regions
from launcher.open_doors import open_doors
from launcher.options import options_from
from launcher.shm_budget import MIB, check_shm, container_bytes

SOURCE = Path(__file__).resolve().parents[2] / "model_repository"
"""The models as the image brings them, without artefacts."""
FITS = [sys.executable, "-m", "gateway", "plan"]
EXPORT = [sys.executable, "-m", "export"]


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return the exit status, unless it becomes another program."""
    parser = argparse.ArgumentParser(prog="python -m launcher.container", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("prepare", help="copy the models to paths.repository, then export")
    commands.add_parser("plans", help="build TensorRT plans for this machine's GPU")
    commands.add_parser("serve", help="run tritonserver")
    shm = commands.add_parser("shm", help="print the shared memory that the container needs")
    shm.add_argument("--devices", type=int, default=1, help="lip-sync devices (GPUs)")
    options = parser.parse_args(arguments)
    own_files_only()
    silence_libraries()
    count_in_bus_order()
    try:
        settings = load_settings()
        if options.command == "shm":
            regions = settings.lipsync.shared_memory_mb * MIB
            print(f"{container_bytes(SOURCE, regions, options.devices) // MIB}m")
        elif options.command == "prepare":
            _prepare(settings)
        elif options.command == "plans":
            os.execv(sys.executable, [*EXPORT, "plans"])  # noqa: S606
        else:
            if subprocess.run(FITS, check=False).returncode == 1:
                return 1  # it has said what does not fit
            command, variables = invocation(settings)
            _tell_what_is_open(settings)
            stale_plans.retire(settings)
            clear_regions()  # of a tritonserver that was killed: the volume still has them
            _look_at_shm(settings)
            keep_modes()
            os.execve(command[0], command, variables)  # noqa: S606 (it gets the signals itself)
    except ConfigError as error:
        print(f"configuration: {error}", file=sys.stderr)
        return 2
    except LauncherError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _tell_what_is_open(settings: Settings) -> None:
    close_to_others(settings)
    socket = options_from(settings, "default").socket
    if settings.embedded.grpc_port is None and socket is not None:
        door.prepare(socket)
    for sentence in open_doors(settings, triton=True):
        print(f"warning: {sentence}", file=sys.stderr)


def _look_at_shm(settings: Settings) -> None:
    """Warns only: it counts all models, also those that will not be loaded here."""
    profile = settings.embedded.profile
    try:
        check_shm(settings.paths.repository, "default" if profile == "auto" else profile)
    except LauncherError as error:
        print(f"warning: {error}", file=sys.stderr)


def _prepare(settings: Settings) -> None:
    repository = settings.paths.repository
    refresh(SOURCE, repository)
    link_environments(repository, settings.tryon.model.engine)
    os.execv(sys.executable, EXPORT)  # noqa: S606


if __name__ == "__main__":
    sys.exit(main())
