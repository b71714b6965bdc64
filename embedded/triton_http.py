"""The few calls of Triton's HTTP API that the launcher makes itself."""

from __future__ import annotations

import http.client
import json
from typing import Any

from embedded.errors import EmbeddedError
from embedded.options import ADMIN_HEADER


def call(
    url: str, path: str, body: Any = None, *, admin_key: str | None = None, timeout: float = 60.0
) -> Any:
    """POSTs JSON and returns the decoded answer.

    Args:
        url: host:port of the HTTP service.
        path: Path below it, such as `/v2/models/x/infer`.
        body: Sent as JSON; an empty object by default.
        admin_key: Value of the restricted API's header.
        timeout: Seconds.

    Raises:
        EmbeddedError: No answer, or an error.
    """
    headers = {"Content-Type": "application/json"}
    if admin_key:
        headers[ADMIN_HEADER] = admin_key
    host, _, port = url.rpartition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=timeout)
    try:
        connection.request("POST", path, json.dumps(body or {}), headers)
        response = connection.getresponse()
        text = response.read()
    except (OSError, http.client.HTTPException) as error:
        raise EmbeddedError(f"Triton did not answer {path}: {error}") from error
    finally:
        connection.close()
    if response.status != 200:
        raise EmbeddedError(f"Triton answered {path} with {response.status}: {text[:300]!r}")
    return json.loads(text) if text else None
