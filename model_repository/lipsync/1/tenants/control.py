"""Loads and unloads tenants, beside the threads that compute frames. No Triton.

Who is loaded is decided elsewhere; this carries it out, reports what was measured, and takes
nothing away that is in use.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from lipsync_errors import RefusedError, TenantMemoryError, UnsuitableTenantError
from lipsync_request import Command

from tenants.blob import OpenBlob
from tenants.store import NotImportedError, TenantStore
from tenants.table import Resident, TenantTable

Answer = Callable[[dict[str, Any]], None]
Refuse = Callable[[BaseException], None]
Backing = tuple[Any, TenantStore]
"""An engine, and the imports in its layout."""


class TenantControl:
    """The commands of one device."""

    def __init__(
        self,
        table: TenantTable,
        backings: list[Backing],
        loads: int,
        imports: int,
        frame_limit: int,
        counted: Callable[[str], None] = lambda outcome: None,
    ) -> None:
        """Prepare the threads.

        Args:
            table: Of the device; weights in it are pairs of engine and its weights.
            backings: By preference; a tenant that the first does not run goes to the next.
            loads: Loads at once.
            imports: Imports at once, beside them: a tenant that was imported before waits for no
                import of another.
            frame_limit: Reported to callers.
            counted: Told the outcome of every load: loaded, imported or failed.
        """
        self._table = table
        self._backings = backings
        self._frame_limit = frame_limit
        self._counted = counted
        self._lock = threading.Lock()
        self._loading: dict[str, threading.Lock] = {}
        self._pool = ThreadPoolExecutor(loads, thread_name_prefix="control")
        self._imports = ThreadPoolExecutor(imports, thread_name_prefix="import")

    def submit(self, command: Command, answer: Answer, refuse: Refuse) -> None:
        """Carries out a load or an unload; calls `answer` or `refuse` once.

        A load runs in the background. An unload is answered by whoever is the last to use the
        tenant, so it needs no thread that waits.
        """
        if command.op == "load":
            self._pool.submit(self._load_and_answer, command, answer, refuse, False)
        elif not self._table.remove(command.tenant, lambda: answer({"unloaded": True})):
            answer({"unloaded": False})

    def close(self) -> None:
        """Wait for the loads under way."""
        self._pool.shutdown(wait=True)
        self._imports.shutdown(wait=True)

    def load(self, command: Command, may_import: bool = True) -> dict[str, Any]:
        """Make a tenant resident; a second caller waits for the first and load nothing.

        Raises:
            RefusedError: The file is refused, or there is no memory.
            NotImportedError: It had to be imported first, and may not be, or somebody loads it.
        """
        begin = time.monotonic()
        with self._lock:
            lock = self._loading.setdefault(command.tenant, threading.Lock())
        with _held(lock, wait=may_import):
            resident = self._table.get(command.tenant)
            imported = False
            if resident is None or command.force or resident.facts["path"] != command.path:
                resident, imported = self._load(command, may_import)
                self._table.install(resident)
                self._counted("imported" if imported else "loaded")
        return {
            **self._facts(resident),
            "load_ms": (time.monotonic() - begin) * 1e3,
            "imported": imported,
            "frame_limit": self._frame_limit,
        }

    def stats(self) -> dict[str, dict[str, Any]]:
        """Figures of every resident tenant by id."""
        return {
            row.tenant: {
                **self._facts(row),
                "loaded_unix_ms": int(row.loaded * 1e3),
                "frames": row.frames,
                "in_flight": row.references,
            }
            for row in self._table.rows()
        }

    def _load_and_answer(
        self, command: Command, answer: Answer, refuse: Refuse, may_import: bool
    ) -> None:
        try:
            report = self.load(command, may_import)
        except NotImportedError:
            self._imports.submit(self._load_and_answer, command, answer, refuse, True)
        except Exception as error:
            self._counted("failed")
            refuse(error)
        else:
            answer(report)

    def _load(self, command: Command, may_import: bool) -> tuple[Resident, bool]:
        first, *others = self._backings
        why = ""
        try:
            blob, imported, engine, weights = self._open(first, command, may_import)
        except UnsuitableTenantError as error:
            if not others:
                raise
            why = f" ({error.reason})"
            blob, imported, engine, weights = self._open(others[0], command, may_import)
        facts = {
            "path": command.path,
            "graph": blob.manifest.graph,
            "engine": getattr(weights, "engine", engine.name) + why,
            "memory_bytes": weights.memory_bytes,
        }
        return Resident(command.tenant, (engine, weights), facts), imported

    def _open(
        self, backing: Backing, command: Command, may_import: bool
    ) -> tuple[OpenBlob, bool, Any, Any]:
        engine, store = backing
        path = Path(command.path)
        try:
            blob, imported = store.open(path, force=command.force, may_import=may_import)
            return blob, imported, engine, engine.load(blob)
        except MemoryError:
            raise TenantMemoryError from None
        except OSError as error:  # files that vanish, descriptors or mappings that are used up
            reason = f"it cannot be read ({error.strerror})"
            raise RefusedError("tenant_file_invalid", reason) from None

    @staticmethod
    def _facts(resident: Resident) -> dict[str, Any]:
        return {key: resident.facts[key] for key in ("memory_bytes", "graph", "engine")}


@contextlib.contextmanager
def _held(lock: threading.Lock, *, wait: bool) -> Iterator[None]:
    if not lock.acquire(blocking=wait):
        raise NotImportedError
    try:
        yield
    finally:
        lock.release()
