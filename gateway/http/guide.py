"""Serves the built documentation: files without secrets, open to anybody who reaches the port."""

from __future__ import annotations

from pathlib import Path

from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import Scope

from gateway.errors import NotFoundError
from gateway.http.built_files import BuiltFiles
from gateway.security.browser import own_scripts

PATH = "/docs/guide"
OPEN_PATHS = (PATH, f"{PATH}/*")


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
            response.headers.update(await run_in_threadpool(_policy, Path(file)))
        else:
            response.headers["Cache-Control"] = "no-cache"
        return response

    def _missing(self) -> str:
        built = (Path(str(self.directory)) / "index.html").is_file()
        return "No such page" if built else "The guide is not built; `make docs` builds it"


def _policy(page: Path) -> dict[str, str]:
    return own_scripts(page.read_bytes())


def add_guide(app: FastAPI, build: Path) -> None:
    """Add the routes of the guide to the application of the main port.

    Args:
        app: the application.
        build: folder that `mkdocs build` wrote; it may be built later.
    """

    @app.get(PATH, include_in_schema=False)
    async def first_page(request: Request) -> Response:
        # Links are relative to the page; the base stays right with and without a prefix.
        return RedirectResponse(f"{request.scope.get('root_path', '')}{PATH}/index.html", 307)

    app.mount(PATH, _Guide(build))
