"""Which tenants there are: an immutable catalogue out of the settings and the watched folder."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from gateway.errors import NotFoundError
from gateway.settings.lipsync import TENANT_ID, TenantSettings

SUFFIX = ".onnx"


class UnknownTenantError(NotFoundError):
    """No such tenant is configured.

    Attributes:
        words: as the old server put them into `error`.
    """

    reason = "tenant_unknown"

    def __init__(self, tenant: str) -> None:
        self.words = f"Failed to load model '{tenant}': model '{tenant}' not configured"
        super().__init__(f"There is no tenant '{tenant}'")


@dataclass(frozen=True)
class TenantEntry:
    """One tenant.

    Attributes:
        tenant: its id.
        path: its file as configured; what clients are shown.
        file: its file, absolute.
        pinned: never evicted.
        preferred: device it is placed on while that is up; None: any.
    """

    tenant: str
    path: str
    file: Path
    preload: bool = False
    pinned: bool = False
    preferred: int | None = None


class TenantCatalogue:
    """All tenants by id; never changes, a reload makes another one."""

    def __init__(self, entries: Iterable[TenantEntry] = ()) -> None:
        self._entries: Mapping[str, TenantEntry] = MappingProxyType({e.tenant: e for e in entries})

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[TenantEntry]:
        return iter(self._entries.values())

    def __contains__(self, tenant: object) -> bool:
        return tenant in self._entries

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TenantCatalogue) and self._entries == other._entries

    __hash__ = None  # type: ignore[assignment]

    def get(self, tenant: str) -> TenantEntry | None:
        """Return a tenant's entry, or None."""
        return self._entries.get(tenant)

    def entry(self, tenant: str) -> TenantEntry:
        """Return a tenant's entry.

        Raises:
            UnknownTenantError: no such tenant.
        """
        if tenant not in self._entries:
            raise UnknownTenantError(tenant)
        return self._entries[tenant]


def is_tenant_id(name: str) -> bool:
    """Whether a name may be a tenant's id: it is never a path, nor hidden."""
    return re.fullmatch(TENANT_ID, name) is not None


def configured(models: Mapping[str, TenantSettings], root: str) -> list[TenantEntry]:
    """Return the tenants that the configuration names.

    Raises:
        ValueError: a relative path leaves ``models_root``.
    """
    base = Path(root).absolute()
    entries = []
    for tenant, model in models.items():
        file = base / model.model_path  # an absolute path stands for itself
        if root and not Path(model.model_path).is_absolute() and not _is_below(file, base):
            raise ValueError(f"models.{tenant}.model_path leaves models_root")
        preferred = model.preferred_gpu
        entries.append(
            TenantEntry(
                tenant=tenant,
                path=model.model_path,
                file=file,
                preload=model.preload or model.pinned,
                pinned=model.pinned,
                preferred=None if preferred is None or preferred < 0 else preferred,
            )
        )
    return entries


def catalogued(
    models: Mapping[str, TenantSettings], root: str, folder: Path | None, tenants: Iterable[str]
) -> TenantCatalogue:
    """Return the catalogue of the configured tenants and those found in the watched folder.

    An id that both have is the configured one's.

    Args:
        models: configured tenants.
        root: `models_root`.
        folder: watched folder, or None.
        tenants: ids of the files in it that are complete.

    Raises:
        ValueError: as :func:`configured`.
    """
    entries = [
        TenantEntry(tenant, tenant + SUFFIX, (folder / (tenant + SUFFIX)).absolute())
        for tenant in tenants
        if folder is not None and tenant not in models
    ]
    return TenantCatalogue([*configured(models, root), *entries])


def _is_below(file: Path, base: Path) -> bool:
    parts: list[str] = []
    for part in file.relative_to(base).parts if file.is_relative_to(base) else ("..",):
        if part == "..":
            if not parts:
                return False
            parts.pop()
        elif part != ".":
            parts.append(part)
    return True
