"""The requests in work, which `/status` shows as jobs."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import cached_property
from typing import Any


@dataclass
class ActiveRequest:
    """A request in work; ``progress`` is the share of its chunks that are done, 0..1."""

    type: str
    items: int
    model: str
    started_at: datetime = field(default_factory=lambda: datetime.now(timezone.utc))
    progress: float = 0.0

    @cached_property
    def id(self) -> str:
        """UUID4, made when somebody looks: most requests are done before."""
        return str(uuid.uuid4())

    def as_json(self) -> dict[str, Any]:
        """Return the documented fields."""
        return {
            "id": self.id,
            "type": self.type,
            "started_at": self.started_at.isoformat(timespec="microseconds"),
            "items": self.items,
            "model": self.model,
            "progress": self.progress,
        }


class ActiveRequests:
    """Requests in work, oldest first."""

    def __init__(self) -> None:
        self._requests: dict[int, ActiveRequest] = {}

    @contextmanager
    def track(self, kind: str, items: int, model: str) -> Iterator[ActiveRequest]:
        """Show a request for the duration of the block."""
        request = ActiveRequest(kind, items, model)
        self._requests[id(request)] = request
        try:
            yield request
        finally:
            del self._requests[id(request)]

    def as_json(self) -> list[dict[str, Any]]:
        """Return ``active_jobs``."""
        return [request.as_json() for request in self._requests.values()]
