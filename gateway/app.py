"""The applications of all ports: the services of the registry, and the gateway's own routes."""

from __future__ import annotations

from importlib import import_module

from gateway.context import Context
from gateway.http import built_pages
from gateway.http.application import DOCS_FILES
from gateway.http.assembly import Assembly, Checks
from gateway.http.openai_models import add_listing
from gateway.http.operations import operations_application
from gateway.lifecycle import Lifecycle
from gateway.services.registry import SERVICES


def assemble(context: Context, lifecycle: Lifecycle) -> Assembly:
    """Build every enabled service and the applications of all ports.

    A service's module `assembly` is imported here alone, and only where it is switched on.

    Raises:
        ValueError: what is configured for a service cannot be used.
        OSError: a folder that a service needs cannot be written.
    """
    assembly = Assembly(context, lifecycle)
    for name in SERVICES:
        if name in context.settings.services:
            import_module(f"gateway.services.{name}.assembly").add(assembly)
    if assembly.model_lists and "/v1" not in assembly.applications:
        add_listing(assembly)
    root = operations_application(context, lifecycle, assembly.urls, assembly.applications)
    settings = context.settings
    open_paths = (*settings.security.open_paths, *built_pages.OPEN_PATHS, DOCS_FILES)
    assembly.finish(root, Checks(settings.server.max_body_bytes, open_paths=open_paths))
    return assembly
