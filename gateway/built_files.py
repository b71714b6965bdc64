"""Files of a build that may be made while the gateway runs."""

from __future__ import annotations

from pathlib import Path

from starlette.staticfiles import StaticFiles


class BuiltFiles(StaticFiles):
    """Static files whose folder may be missing: each of them is 404 until it is there."""

    def __init__(self, build: Path) -> None:
        super().__init__(directory=build, check_dir=False)

    async def check_config(self) -> None:
        """Accept a missing folder, which is an error in Starlette's class."""
