"""What another user of the machine finds of a running Triton: nothing that opens."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from tritonclient import grpc
from tritonclient.utils import InferenceServerException

from gateway.settings.triton import TritonSettings
from gateway.triton import TritonClient
from gateway.triton.status import UnavailableError
from launcher import leftovers
from launcher.options import Tls
from launcher.selftest import MODEL, REPOSITORY, check_round_trip
from launcher.server import TritonServer, free_ports

NOBODY = 65534
KNOCK = (
    "import socket, sys\n"
    "door = socket.socket(socket.AF_UNIX)\n"
    "try:\n"
    "    door.connect(sys.argv[1])\n"
    "except PermissionError:\n"
    "    sys.exit(13)\n"
)
LOOK = "import sys\ntry:\n    open(sys.argv[1])\nexcept PermissionError:\n    sys.exit(13)\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TritonServer]:
    """Started under the umask that most shells have."""
    log = tmp_path_factory.mktemp("log") / "triton.log"
    before = os.umask(0o022)
    try:
        with TritonServer.on_free_ports(REPOSITORY, log=log, load_models=(MODEL,)) as running:
            yield running
    finally:
        os.umask(before)


def family(server: TritonServer) -> list[psutil.Process]:
    found = leftovers.processes(server.shm_prefix)
    assert len(found) >= 2, "tritonserver and a stub"
    return found


def test_it_listens_to_nobody_but_readers_of_its_metrics(server: TritonServer) -> None:
    listening = {
        found.laddr.port
        for process in family(server)
        for found in process.net_connections("inet")
        if found.status == psutil.CONN_LISTEN
    }
    assert listening == {server.options.metrics_port}


def test_no_argument_is_a_key(server: TritonServer) -> None:
    for process in family(server):
        line = " ".join(process.cmdline())
        assert "restricted" not in line
        assert "key" not in line


def test_shared_memory_and_socket_are_this_users(server: TritonServer) -> None:
    regions = leftovers.regions(server.shm_prefix)
    assert regions
    check_round_trip(server)
    assert server.options.socket
    for path in (*regions, server.options.socket, server.options.socket.parent):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_somebody_else_is_kept_out(server: TritonServer) -> None:
    assert server.options.socket
    tries = [(KNOCK, server.options.socket)]
    tries += [(LOOK, region) for region in leftovers.regions(server.shm_prefix)]
    for program, target in tries:
        python = os.path.realpath(sys.executable)
        command = [python, "-I", "-S", "-c", program, str(target)]
        assert subprocess.run(command, check=False, cwd="/").returncode == 0, "its owner may"
        theirs = subprocess.run(command, check=False, cwd="/", user=NOBODY, group=NOBODY)
        assert theirs.returncode == 13, target


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two self-signed ones, made by the command of docs/operations/deploy.md."""
    folder = tmp_path_factory.mktemp("certificates")
    for name in ("pentad", "other"):
        command = [
            *("openssl", "req", "-x509", "-newkey", "ec"),
            *("-pkeyopt", "ec_paramgen_curve:prime256v1"),
            *("-nodes", "-days", "825", "-subj", "/CN=pentad-triton"),
            *("-addext", "subjectAltName=DNS:pentad-triton"),
            *("-keyout", str(folder / f"{name}.key"), "-out", str(folder / f"{name}.crt")),
        ]
        subprocess.run(command, check=True, capture_output=True)
    return {path.name: path for path in folder.iterdir()}


def settings(url: str, files: dict[str, Path], name: str) -> TritonSettings:
    return TritonSettings(
        url=url,
        tls_ca_file=files["pentad.crt"],
        tls_certificate_file=files[f"{name}.crt"],
        tls_key_file=files[f"{name}.key"],
    )


async def test_a_port_with_certificates_takes_their_holder_alone(
    certificates: dict[str, Path], tmp_path: Path
) -> None:
    own, key = certificates["pentad.crt"], certificates["pentad.key"]
    (port,) = free_ports(1)
    with TritonServer.on_free_ports(
        REPOSITORY,
        log=tmp_path / "log",
        grpc_port=port,
        tls=Tls(own, own, key, "pentad-triton"),
    ) as server:
        check_round_trip(server)
        url = server.grpc_url
        client = TritonClient(settings(url, certificates, "pentad"))
        await client.load(MODEL)
        assert await client.ready_models() == {MODEL}
        await client.close()
        stranger = TritonClient(settings(url, certificates, "other"))
        with pytest.raises(UnavailableError):
            await stranger.load(MODEL)
        await stranger.close()
        with grpc.InferenceServerClient(url) as plain, pytest.raises(InferenceServerException):
            plain.is_server_live(client_timeout=5)
        arguments = " ".join(server.process.args)  # type: ignore[arg-type]
        assert key.read_text() not in arguments


async def test_a_certificate_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    none = tmp_path / "none"
    missing = TritonSettings(tls_ca_file=none, tls_certificate_file=none, tls_key_file=none)
    with pytest.raises(ValueError, match=r"triton\.tls_ca_file: No such file"):
        TritonClient(missing)
