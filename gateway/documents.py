"""The OpenAPI documents of all ports, without a running gateway: `python -m gateway openapi`."""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from pathlib import Path

from gateway.app import assemble
from gateway.http.openapi import Schema
from gateway.lifecycle import Lifecycle
from gateway.server import build_context
from gateway.services.registry import NAMES
from gateway.settings import Settings, load_settings
from gateway.triton import connect


def run(settings: Settings, port: int | None, *, defaults: bool) -> int:
    """Print the document of a port, the main one where none is named; 2: it has none.

    ``defaults`` is for the settings of who configures nothing.
    """
    with tempfile.TemporaryDirectory() as folder:
        if defaults:
            settings = default_settings(Path(folder))
        try:
            documents = asyncio.run(all_documents(settings, Path(folder)))
        except ValueError as error:
            sys.stderr.write(f"openapi: {error}\n")
            return 2
    port = port or settings.server.port
    if port not in documents:
        known = ", ".join(map(str, sorted(documents)))
        sys.stderr.write(f"openapi: no document for port {port}; there are {known}\n")
        return 2
    sys.stdout.write(as_text(documents[port]))
    return 0


def as_text(document: Schema) -> str:
    """Return a document as it is printed: the same for the same configuration."""
    return json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def default_settings(folder: Path) -> Settings:
    """Return the settings of who configures nothing, with every service.

    Args:
        folder: for an empty file.
    """
    empty = folder / "empty.yaml"
    empty.write_text("{}")
    return load_settings(empty, {}).model_copy(update={"services": list(NAMES)})


async def all_documents(settings: Settings, state: Path) -> dict[int, Schema]:
    """Return the documents by port.

    Args:
        settings: what is configured.
        state: a folder that takes the place of the configured state, which is left alone.
    """
    paths = settings.paths.model_copy(update={"state": state})
    settings = settings.model_copy(update={"paths": paths})
    context = build_context(settings, connect(settings.triton))
    assembly = assemble(context, Lifecycle())
    return {port: app.openapi() for port, app in assembly.documented.items()}
