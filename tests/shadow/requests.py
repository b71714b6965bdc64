"""What is replayed: recorded requests, or samples for each old server."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PICTURES = Path(__file__).resolve().parents[2] / "docs" / "pictures"
SERVICES = ("iot", "text", "tryon", "vision")
FORMER_NAMES = {"vton": "tryon"}


class BadRecordingError(ValueError):
    """A recorded line cannot be read; the message says which and why."""


@dataclass
class Request:
    """One request.

    Attributes:
        method: HTTP method.
        path: below the servers' addresses, query included.
        json: JSON body.
        form: form fields.
        files: form files, name to path.
    """

    method: str
    path: str
    json: Any = None
    form: dict[str, str] = field(default_factory=dict)
    files: dict[str, Path] = field(default_factory=dict)

    def arguments(self) -> dict[str, Any]:
        """Return what httpx is called with, beside the address."""
        keywords: dict[str, Any] = {}
        if self.json is not None:
            keywords["json"] = self.json
        if self.form:
            keywords["data"] = self.form
        if self.files:
            keywords["files"] = {
                name: (path.name, path.read_bytes(), "application/octet-stream")
                for name, path in self.files.items()
            }
        return keywords

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


def recorded(file: Path) -> Iterator[Request]:
    """Yield the requests of a file: one JSON object with Request's fields a line.

    Raises:
        BadRecordingError: a line is no such object. Files are relative to the recording.
    """
    for number, line in enumerate(file.read_text("utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
            files = {name: file.parent / path for name, path in entry.pop("files", {}).items()}
            request = Request(**entry, files=files)
        except (ValueError, TypeError, AttributeError) as error:
            raise BadRecordingError(f"{file}:{number}: {error}") from None
        if lacking := [str(path) for path in files.values() if not path.is_file()]:
            raise BadRecordingError(f"{file}:{number}: no such file: {', '.join(lacking)}")
        yield request


def samples(service: str) -> list[Request]:
    """Return requests of the service's documented API, good and bad ones.

    None of them changes anything on a server or takes a job. Lip-sync has its own.
    """
    makers = {"iot": _iot, "text": _text, "tryon": _tryon, "vision": _vision}
    return makers[service]() if service in makers else []


def _text() -> list[Request]:
    pair = {"candidates": ["A man plays the guitar."], "references": ["Someone plays guitar."]}
    return [
        Request("GET", "/health"),
        Request("GET", "/info"),
        Request("GET", "/status"),
        Request("POST", "/embed", {"texts": ["The weather is lovely today.", "", "Rain."]}),
        Request("POST", "/embed", {"texts": []}),
        Request("POST", "/bertscore", pair),
        Request("POST", "/bertscore", {**pair, "references": []}),
        Request("POST", "/embed", {"texts": "no list"}),
    ]


def _vision() -> list[Request]:
    return [
        Request("GET", "/health"),
        Request("POST", "/infer", files={"file": PICTURES / "chelsea.jpg"}),
        Request("POST", "/infer"),
        Request("GET", "/metrics/gpu?samples=1"),
        Request("GET", "/metrics/gpu?samples=0"),
    ]


def _iot() -> list[Request]:
    face = base64.b64encode((PICTURES / "astronaut.jpg").read_bytes()).decode()
    images = [{"pose": "front", "data": face}]
    return [
        Request("GET", "/iot/health"),
        Request("POST", "/iot/vectorizer", {"employee_id": "shadow", "images": images}),
        Request("POST", "/iot/vectorizer", {"employee_id": "shadow", "images": []}),
        Request("POST", "/iot/vectorizer", {"images": images}),
    ]


def _tryon() -> list[Request]:
    return [
        Request("GET", "/health"),
        Request("GET", "/test"),
        Request("GET", "/gpu/status"),
        Request("GET", "/version"),
        Request("GET", "/metrics"),
    ]
