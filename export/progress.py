"""Progress bars of downloads and exports."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    SpinnerColumn,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.progress import (
    Progress as Bars,
)
from rich.table import Column


class Progress:
    """Bars on standard error while it is open; on a pipe only finished steps are written."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._bars = Bars(
            SpinnerColumn(finished_text="✔"),
            TextColumn("{task.description}", table_column=Column(no_wrap=True, max_width=44)),
            BarColumn(bar_width=12),
            TaskProgressColumn(table_column=Column(min_width=4)),
            TimeElapsedColumn(table_column=Column(min_width=7)),
            TextColumn("{task.fields[note]}", table_column=Column(no_wrap=True, max_width=24)),
            console=self._console,
            disable=not self._console.is_terminal,
            transient=True,
        )
        self._downloaded = 0

    def __enter__(self) -> Progress:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()
        if self._downloaded and self._console.is_terminal:
            size = f"{self._downloaded / 2**20:.0f} MiB downloaded"
            self._console.print(f"{'weights':<10} ✔ {size}", highlight=False)

    @property
    def is_watched(self) -> bool:
        """Whether a person sees the bars."""
        return self._console.is_terminal

    @contextmanager
    def busy(self, what: str) -> Iterator[None]:
        """Show a step of unknown length."""
        task = self._bars.add_task(what, total=None, note="")
        yield
        self._finish(task, what)

    @contextmanager
    def bytes(self, what: str, total: int) -> Iterator[Callable[[int], None]]:
        """Show a step of `total` bytes; call what is yielded with each number of bytes done."""
        task = self._bars.add_task(what, total=total, note="")
        yield lambda done: self._bars.advance(task, done)
        self._downloaded += total
        self._finish(task, what)

    @contextmanager
    def steps(self, what: str, total: int) -> Iterator[Callable[[str], None]]:
        """Show a job of `total` steps; call what is yielded with a word on each finished one."""
        task = self._bars.add_task(what, total=total, note="")
        yield lambda note: self._bars.update(task, advance=1, note=note)
        self._finish(task, what)

    def note(self, text: str) -> None:
        """Write a line that stays."""
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)

    def _finish(self, task: TaskID, what: str) -> None:
        self._bars.update(task, total=1, completed=1, note="")
        if not self._console.is_terminal:
            self._console.print(f"✔ {what}", highlight=False)
