"""TLS and mutual TLS of the gRPC port; renewed certificates are used without a restart."""

from __future__ import annotations

import logging
from pathlib import Path

import grpc

from gateway.settings.lipsync import TlsSettings

log = logging.getLogger(__name__)


def credentials(settings: TlsSettings) -> grpc.ServerCredentials | None:
    """Return the port's credentials; None where no certificate is configured.

    Raises:
        ValueError: a file cannot be read.
    """
    if settings.certificate is None or settings.key is None:
        return None
    files = _Files(settings.key, settings.certificate, settings.client_ca)
    try:
        first = files.configuration()
    except OSError as error:
        raise ValueError(f"lipsync.server.tls: {error.strerror}") from None
    credentials: grpc.ServerCredentials = grpc.dynamic_ssl_server_credentials(
        first,
        files.changed,  # type: ignore[arg-type]  # None, which stands for no change, is allowed
        require_client_authentication=settings.client_ca is not None,
    )
    return credentials


class _Files:
    """Key, certificate chain and, if any, the authorities of client certificates."""

    def __init__(self, key: Path, chain: Path, authorities: Path | None) -> None:
        self._key, self._chain, self._authorities = key, chain, authorities
        self._stamps: list[int] = []

    def configuration(self) -> grpc.ServerCertificateConfiguration:
        """Read the files.

        Raises:
            OSError: one cannot be read.
        """
        self._stamps = self._read_stamps()
        pair = self._key.read_bytes(), self._chain.read_bytes()
        authorities = self._authorities.read_bytes() if self._authorities else None
        return grpc.ssl_server_certificate_configuration([pair], authorities)

    def changed(self) -> grpc.ServerCertificateConfiguration | None:
        """Return the files' contents if they have changed; called at every handshake."""
        try:
            if self._read_stamps() == self._stamps:
                return None
            configuration = self.configuration()
        except OSError as error:
            log.error("certificates not reloaded", extra={"error_type": type(error).__name__})
            return None
        log.info("certificates reloaded")
        return configuration

    def _read_stamps(self) -> list[int]:
        files = (self._key, self._chain, self._authorities)
        return [file.stat().st_mtime_ns for file in files if file]
