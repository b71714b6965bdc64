"""Opens a tenant by the path of its ONNX file, importing it first when that has to be done."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import stat
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from lipsync_errors import RefusedError

from tenants.blob import Manifest, OpenBlob, file_digest, file_size, is_usable, read_manifest

FOLDER = ".pentad"
"""Beside a tenant's file."""

Importer = Callable[[Path, Path, str], None]
"""Imports a file to a folder in a layout; raises RefusedError."""


class NotImportedError(Exception):
    """There is no import that may be used as it is."""


class TenantStore:
    """Imports on disk, of one layout."""

    def __init__(self, layout: str, importer: Importer, folder: Path | None = None) -> None:
        """Prepare a store.

        Args:
            layout: One of tenants.layout's.
            importer: Makes an import.
            folder: Where imports go; None is `.pentad` beside each tenant's file or, where that
                cannot be written, a folder in the user's cache.
        """
        self._layout = layout
        self._import = importer
        self._folder = folder
        self._lock = threading.Lock()
        self._verified: dict[Path, tuple[int, int, int]] = {}

    def open(
        self, path: Path, *, force: bool = False, may_import: bool = True
    ) -> tuple[OpenBlob, bool]:
        """Return the tenant's weights, and whether they had to be imported now.

        Callers of one tenant wait for each other, in other processes too, so it is imported once.
        Sizes, times and machine are compared each time. The weights' checksum is compared when
        this process meets a blob first, and with `force`, which also reads the sources' content.

        Raises:
            RefusedError: tenant_file_missing, tenant_file_invalid or tenant_contract.
            NotImportedError: They had to be imported, or somebody imports them now, and this
                caller may not.
        """
        path = Path(os.path.abspath(path))
        file_size(path)
        folder = self._place(path)
        with _locked(folder, wait=may_import):
            manifest = self._current(path, folder, force)
            imported = manifest is None
            if manifest is None:
                if not may_import:
                    raise NotImportedError
                self._import(path, folder, self._layout)
                manifest = self._current(path, folder, False)
            if manifest is None:
                raise RefusedError("tenant_file_invalid", "the file changed while it was imported")
            return OpenBlob(folder, manifest), imported

    def _current(self, path: Path, folder: Path, force: bool) -> Manifest | None:
        """Return the manifest, when it may be used as it is."""
        manifest = read_manifest(folder, self._layout)
        if manifest is None or not is_usable(folder, self._layout, manifest):
            return None
        if not _from(manifest, path, with_content=force):
            return None
        blob = folder / manifest.blob
        status = blob.stat()
        seen = (status.st_ino, status.st_size, status.st_mtime_ns)
        with self._lock:
            known = self._verified.get(blob) == seen and not force
        if not known:
            if file_digest(blob) != manifest.blob_sha256:
                return None
            with self._lock:
                self._verified[blob] = seen
        return manifest

    def _place(self, path: Path) -> Path:
        """Folder of a tenant's imports."""
        digest = hashlib.sha256(os.fsencode(path)).hexdigest()[:12]
        candidates = (
            [self._folder / f"{path.name}-{digest}"]
            if self._folder
            else [path.parent / FOLDER / path.name]
        )
        if not self._folder and (cache := state_folder()):
            candidates.append(cache / f"{path.name}-{digest}")
        for folder in candidates:
            with contextlib.suppress(OSError):
                folder.mkdir(parents=True, exist_ok=True)
                if os.access(folder, os.W_OK):
                    return folder
        raise RefusedError("tenant_file_invalid", "no folder for its import can be written")


def state_folder() -> Path | None:
    """Where imports go when a tenant's own folder is read-only: the user's cache folder.

    Without one a folder for temporary things; None where somebody else may have put that there.
    """
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    if os.path.isdir(base) or os.access(os.path.dirname(base), os.W_OK):
        return Path(base, "pentad", "lipsync")
    folder = Path(tempfile.gettempdir(), f"pentad-lipsync-{os.getuid()}")
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        status = folder.lstat()
    except OSError:
        return None
    ours = stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid()
    return folder if ours and not status.st_mode & 0o077 else None


@contextlib.contextmanager
def _locked(folder: Path, *, wait: bool) -> Iterator[None]:
    with (folder / "lock").open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise NotImportedError from None
        yield


def _from(manifest: Manifest, path: Path, *, with_content: bool) -> bool:
    """Whether the import was made from the files that are there now."""
    sources = manifest.sources
    if not sources or sources[0]["name"] != path.name:
        return False
    for source in sources:
        file = path.with_name(source["name"])
        try:
            status = file.stat()
            same = (status.st_size, status.st_mtime_ns) == (source["bytes"], source["modified_ns"])
            if not same or (with_content and file_digest(file) != source["sha256"]):
                return False
        except OSError:
            return False
    return True
