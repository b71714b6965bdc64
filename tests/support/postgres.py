"""A PostgreSQL server of Debian's package, on a free port and in a folder of its own."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

import psycopg
import pytest

from launcher.server import free_ports
from requirements.debian import postgresql_programs

USER = "postgres"  # made by the package; the server refuses to run as root


def binaries() -> Path:
    """Return the programs' folder, or skip; `make test` installs them where it can."""
    programs = postgresql_programs()
    if programs is None:
        pytest.skip("no PostgreSQL is installed (Debian: apt-get install postgresql)")
    return programs


@contextmanager
def postgres(
    host: str = "127.0.0.1", within: AbstractContextManager[None] | None = None
) -> Iterator[str]:
    """Run a server for the block and yield the SQLAlchemy URL of an empty database.

    Args:
        host: address that it listens at; its own network may connect.
        within: what it is started in, such as a network namespace.
    """
    programs = binaries()
    folder = Path(tempfile.mkdtemp(prefix="pentad-postgres-"))
    account = {}
    if os.geteuid() == 0:
        owner = pwd.getpwnam(USER)
        os.chown(folder, owner.pw_uid, owner.pw_gid)
        account = {"user": USER, "group": owner.pw_gid, "extra_groups": []}
    data, (port,) = folder / "data", free_ports(1)
    make = [programs / "initdb", "-D", data, "-U", USER, "-A", "trust", "--no-sync", "-E", "UTF8"]
    subprocess.run(make, check=True, capture_output=True, cwd=folder, **account)
    with (data / "pg_hba.conf").open("a") as rules:
        rules.write("host all all samenet trust\n")
    options = {
        "port": port, "listen_addresses": host, "unix_socket_directories": folder,
        "fsync": "off",  # the machine does not crash in these tests, only processes do
        "max_connections": 60,
    }  # fmt: skip
    command = [programs / "postgres", "-D", data]
    for name, value in options.items():
        command += ["-c", f"{name}={value}"]
    log = folder / "log"
    with log.open("wb") as output, within or nullcontext():
        server = subprocess.Popen(command, stdout=output, stderr=output, cwd=folder, **account)
    try:
        address = f"{USER}@{host}:{port}/{USER}"
        _wait(server, f"postgresql://{address}", log)
        yield f"postgresql+psycopg://{address}"
    finally:
        server.send_signal(signal.SIGINT)  # fast shutdown
        server.wait(60)
        shutil.rmtree(folder, ignore_errors=True)


def _wait(server: subprocess.Popen[bytes], url: str, log: Path) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end and server.poll() is None:
        try:
            psycopg.connect(url, connect_timeout=10).close()
            return
        except psycopg.OperationalError:
            time.sleep(0.05)
    raise AssertionError(log.read_text(errors="replace")[-2000:])
