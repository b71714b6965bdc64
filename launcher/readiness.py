"""Asks the gateway how its services are, and shows the answer."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

_STYLES = {"ready": "green", "loading": "yellow", "down": "red", "missing": "red"}
_COLUMNS = {"Service": 7, "Access": 10, "State": 8, "Models and engines": 33, "URLs": 31}
"""Columns with their largest widths: the console cuts them to its own."""
UNSETTLED = {"loading", "starting"}


def fetch(host: str, port: int, timeout: float = 2.0) -> dict[str, Any] | None:
    """Return the body of `/readyz`, whatever its status; None while the gateway does not answer."""
    connection = http.client.HTTPConnection(host, port, timeout=timeout)
    try:
        connection.request("GET", "/readyz")
        body = json.loads(connection.getresponse().read())
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        connection.close()
    return body if isinstance(body, dict) else None


def settled(report: dict[str, Any]) -> bool:
    """Whether every service is ready, or known not to become so by itself."""
    services = report.get("services", {}).values()
    if not report.get("triton", {}).get("live"):  # the supervisor is about to start it again
        return False
    return report.get("status") not in UNSETTLED and all(
        service.get("state") not in UNSETTLED for service in services
    )


def show(report: dict[str, Any], console: Console, doors: Mapping[str, str] | None = None) -> None:
    """Print one table: services, who may call, states, models, engines, URLs, and warnings.

    Args:
        report: The body of `/readyz`.
        console: Where to.
        doors: Who may call, in words, by service and for `metrics`.
    """
    callers = doors or {}
    lines = [f"/metrics and /services: {callers['metrics']}"] if "metrics" in callers else []
    lines += report.get("triton", {}).get("warnings", [])
    caption = "\n".join(lines) or None
    table = Table(title="Pentad", title_justify="left", caption=caption, caption_justify="left")
    for column, width in _COLUMNS.items():
        table.add_column(column, overflow="fold", max_width=width)
    for name, service in report.get("services", {}).items():
        state = str(service.get("state"))
        style = _STYLES.get(state, "")
        shown = f"[{style}]{state}[/]" if style else state
        if detail := service.get("detail"):
            shown += f"\n{detail}"
        models = "\n".join(_model(model) for model in service.get("models") or [])
        urls = "\n".join(service.get("urls", []))
        table.add_row(name, callers.get(name, ""), shown, models or "none", urls)
        table.add_section()
    console.print(table)


def _model(model: Mapping[str, Any]) -> str:
    """Return two lines on a model: its task and name, and below how it runs."""
    canary = model.get("canary_ms")
    took = "" if canary is None else f", {canary:.0f} ms"
    engine = model.get("engine") or "no engine yet"
    name = escape(f"{model.get('task', '')}: {model.get('name') or 'none'}")
    return f"{name}\n  [dim]{escape(engine)}{took}[/]"


def progress(report: dict[str, Any]) -> str:
    """Return in words how many models are ready."""
    models = [
        model
        for service in report.get("services", {}).values()
        for model in service.get("models") or ()
    ]
    ready = sum(model.get("state") == "ready" for model in models)
    return f"{ready} of {len(models)} ready"
