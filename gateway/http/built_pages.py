"""Serves what is built: the dashboard and the guide, files without secrets, open to anybody."""

from __future__ import annotations

from pathlib import Path

from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, RedirectResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from gateway.errors import NotFoundError
from gateway.security.browser import own_scripts, page_headers

PAGES = {"/": "index.html", "/index.html": "index.html", "/favicon.svg": "favicon.svg"}
"""The dashboard's, by path."""
GUIDE = "/docs/guide"
OPEN_PATHS = (*PAGES, "/assets/*", "/samples/*", GUIDE, f"{GUIDE}/*")


class BuiltFiles(StaticFiles):
    """Static files whose folder may be missing: each of them is 404 until it is there."""

    def __init__(self, build: Path) -> None:
        super().__init__(directory=build, check_dir=False)

    async def check_config(self) -> None:
        """Accept a missing folder, which is an error in Starlette's class."""


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


class _Guide(BuiltFiles):
    """The site that `make docs` writes, with the policy of the other pages."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        try:
            response = await super().get_response(path, scope)
        except HTTPException as error:
            if error.status_code != 404:
                raise
            raise NotFoundError(self._missing()) from None
        file = getattr(response, "path", None)
        if response.status_code == 200 and file and str(file).endswith(".html"):
            response.headers.update(
                await run_in_threadpool(lambda: own_scripts(Path(file).read_bytes()))
            )
        else:
            response.headers["Cache-Control"] = "no-cache"
        return response

    def _missing(self) -> str:
        built = (Path(str(self.directory)) / "index.html").is_file()
        return "No such page" if built else "The guide is not built; `make docs` builds it"


def add_guide(app: FastAPI, build: Path) -> None:
    """Add the routes of the guide to the application of the main port.

    Args:
        app: the application.
        build: folder that `mkdocs build` wrote; it may be built later.
    """

    @app.get(GUIDE, include_in_schema=False)
    async def first_page(request: Request) -> Response:
        # Links are relative to the page; the base stays right with and without a prefix.
        return RedirectResponse(f"{request.scope.get('root_path', '')}{GUIDE}/index.html", 307)

    app.mount(GUIDE, _Guide(build))
