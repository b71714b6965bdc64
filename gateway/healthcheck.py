"""`python -m gateway.healthcheck URL`: a container's health check, standard library alone."""

from __future__ import annotations

import sys
import urllib.error
import urllib.request

TIMEOUT = 3.0  # seconds


def answers(url: str) -> bool:
    """Return whether an HTTP GET succeeds with 200."""
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT) as reply:  # noqa: S310 (the image's own)
            return bool(reply.status == 200)
    except (urllib.error.URLError, OSError):
        return False


if __name__ == "__main__":
    sys.exit(0 if answers(sys.argv[1]) else 1)
