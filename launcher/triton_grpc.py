"""How the launcher itself asks the Triton that it has started."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import grpc
from tritonclient.grpc import InferenceServerClient
from tritonclient.utils import InferenceServerException

from launcher.errors import LauncherError
from launcher.options import ServerOptions, Tls


@contextlib.contextmanager
def connected(options: ServerOptions) -> Iterator[InferenceServerClient]:
    """Yield a client that is closed when the block ends.

    Raises:
        LauncherError: A certificate cannot be read, or Triton answers a call with an error.
    """
    # A fresh connection each time: the server may have been started again at its address.
    channel: list[tuple[str, int | str]] = [
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.enable_http_proxy", 0),
    ]
    proof = None
    if options.tls is not None and options.grpc_port is not None:
        channel.append(("grpc.ssl_target_name_override", options.tls.server_name))
        proof = _proof(options.tls)
    with InferenceServerClient(options.address, creds=proof, channel_args=channel) as triton:
        try:
            yield triton
        except InferenceServerException as error:
            raise LauncherError(f"Triton answered {error}") from None


def _proof(tls: Tls) -> grpc.ChannelCredentials:
    try:
        ca, key, certificate = (
            file.read_bytes() for file in (tls.ca_file, tls.key_file, tls.certificate_file)
        )
    except OSError as error:
        raise LauncherError(f"triton.tls_*_file: {error.strerror}") from None
    return grpc.ssl_channel_credentials(ca, key, certificate)
