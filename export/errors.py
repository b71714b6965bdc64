"""The one error of this package."""

from __future__ import annotations


class ExportError(Exception):
    """An export that cannot be made; the message is one sentence for the operator."""
