"""Command line: `python -m launcher run | triton | check`."""

from __future__ import annotations

import signal

if __name__ == "__main__" and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C among the imports: no traceback

import argparse
import os
import socket
import sys
import tempfile
from pathlib import Path

from gateway.privacy import silence_libraries
from gateway.private_files import close_to_others, open_to_others, own_files_only, usable_state
from gateway.settings import ConfigError, Settings, load_settings
from gateway.sockets import activated
from gateway.standard_streams import as_command, say
from gateway.visible_cards import count_in_bus_order
from launcher import leftovers, stale_plans
from launcher.checks import all_checks
from launcher.errors import LauncherError
from launcher.lock import LauncherLock
from launcher.open_doors import metrics_door, open_doors
from launcher.selftest import MODEL, REPOSITORY, check_round_trip
from launcher.server import TritonServer
from launcher.supervisor import Supervisor


def main(arguments: list[str] | None = None, prog: str = "python -m launcher") -> int:
    """Run one command; return the exit status: 0, 1 for a failure, 2 for a bad configuration."""
    parser = argparse.ArgumentParser(prog=prog, description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("run", help="check, then run Triton and the gateway until a signal")
    commands.add_parser("triton", help="run only Triton")
    commands.add_parser("check", help="only check whether this machine can run it")
    command = parser.parse_args(arguments).command
    own_files_only()
    silence_libraries()
    count_in_bus_order()
    try:
        settings = load_settings()
        return _check(settings) if command == "check" else _run(settings, gateway=command == "run")
    except ConfigError as error:
        say(f"configuration: {error}")
        return 2
    except LauncherError as error:
        say(f"error: {error}")
        return 1
    except OSError as error:
        say(f"error: {error.strerror or error}{f' ({error.filename})' if error.filename else ''}")
        return 1


def _run(settings: Settings, *, gateway: bool) -> int:
    state = settings.paths.state
    usable_state(state)
    lock = LauncherLock(state)
    try:
        leftovers.remove_stale(state)  # before the ports are looked at: it may hold them
        sockets = _handed_over() if gateway else []
        ports = {sock.getsockname()[1] for sock in sockets}
        for _, check in all_checks(settings, gateway=gateway, taken=ports):
            check()
        close_to_others(settings)
        if settings.triton.start or not gateway:
            stale_plans.retire(settings)
        return Supervisor(settings, lock, gateway=gateway, sockets=sockets).run()
    finally:
        lock.release()


def _handed_over() -> list[socket.socket]:
    try:
        return activated(os.environ, os.getpid())
    except ValueError as error:
        raise LauncherError(str(error)) from None


def _check(settings: Settings) -> int:
    failed = False
    checks = all_checks(settings)
    if settings.triton.start:
        checks.append(("round trip through Triton", _round_trip))
    for name, check in checks:
        try:
            print(f"ok      {name}: {check()}")
        except LauncherError as error:
            failed = True
            print(f"FAILED  {name}: {error}")
    doors = open_doors(settings, triton=settings.triton.start)
    if settings.triton.start and metrics_door(settings) not in doors:
        doors.append(metrics_door(settings))
    for sentence in doors:
        print(f"warning other users: {sentence}")
    return int(failed)


def _round_trip() -> str:
    with tempfile.TemporaryDirectory(prefix="pentad-") as folder:
        state = Path(folder)
        with TritonServer.on_free_ports(
            REPOSITORY, state=state, log=state / "log", load_models=(MODEL,)
        ) as server:
            exposed = any(open_to_others(region) for region in leftovers.regions(server.shm_prefix))
            check_round_trip(server)
    known = "a known tensor came back unchanged"
    return f"{known}, but other users can read Triton's shared memory" if exposed else known


if __name__ == "__main__":
    sys.exit(as_command(main))
