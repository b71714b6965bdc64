"""Serves the built dashboard: files without secrets, open to anybody who reaches the port."""

from __future__ import annotations

from pathlib import Path

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.types import Scope

from gateway.built_files import BuiltFiles
from gateway.errors import NotFoundError
from gateway.security.browser import page_headers

PAGES = {"/": "index.html", "/index.html": "index.html", "/favicon.svg": "favicon.svg"}
OPEN_PATHS = (*PAGES, "/assets/*", "/samples/*")


class _Assets(BuiltFiles):
    """Files whose names hold their hash: a browser may keep them for ever."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        if response.status_code == 200:
            response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        return response


def add_dashboard(app: FastAPI, build: Path) -> None:
    """Add the routes of the dashboard to the application of the main port.

    Args:
        app: the application.
        build: folder that `vite build` wrote; it may be built later.
    """

    def page(path: str, name: str) -> None:
        @app.get(path, include_in_schema=False)
        async def send(request: Request) -> Response:
            file = build / name
            if not file.is_file():
                raise NotFoundError("The dashboard is not built; `make dashboard` builds it")
            return FileResponse(file, headers=page_headers())

    for path, name in PAGES.items():
        page(path, name)
    app.mount("/assets", _Assets(build / "assets"))
    app.mount("/samples", BuiltFiles(build / "samples"))
