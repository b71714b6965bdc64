"""Web pages that may call without a key: those of this server and of allowed origins.

A browser sends `Sec-Fetch-Site`, or at least `Origin`, with everything that a page may do to
another site unasked, whatever the type of its body. Programs send neither. The rules are those of
Go's `CrossOriginProtection`; see also the Fetch Metadata specification.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.types import Scope

from gateway.errors import GatewayError
from gateway.security.paths import route_path

READING = ("GET", "HEAD", "OPTIONS")
_BROWSERS = frozenset((b"origin", b"sec-fetch-site"))  # what tells a page from a program
OWN = ("same-origin", "none")  # a page of this server; a person, not a page


class ForeignPageError(GatewayError):
    """A page of another origin wants to change or to show something."""

    status, reason = 403, "foreign_page"
    default_detail = (
        "Pages of other origins may not do this; server.cors.allow_origins names those that may"
    )


@dataclass(frozen=True)
class Origins:
    """Whose pages may call a service.

    Attributes:
        named: origins that may call everything.
        documented: further ones, as the old server let them: `*` here holds for ``paths`` alone.
        paths: the old server's documented paths, relative to the service's root.
    """

    named: Sequence[str] = ()
    documented: Sequence[str] = ()
    paths: Collection[str] = ()

    def of(self, path: str) -> list[str]:
        """Return the origins whose pages may call a path."""
        return self.everywhere if self.is_new(path) else [*self.named, *self.documented]

    @property
    def everywhere(self) -> list[str]:
        """Origins whose pages may call every path."""
        return [*self.named, *(origin for origin in self.documented if origin != "*")]

    def is_new(self, path: str) -> bool:
        """Whether the old server did not have the path."""
        return (path.rstrip("/") or "/") not in self.paths


class PageGuard:
    """Refuses what pages of other origins do without asking first."""

    def __init__(self, origins: Origins) -> None:
        self._origins = origins

    def check(self, scope: Scope) -> None:
        """Let a request pass that needs no key.

        Raises:
            ForeignPageError: a page of an origin that is not allowed changes something, or embeds
                an answer.
        """
        if _BROWSERS.isdisjoint(name for name, _ in scope["headers"]):
            return
        headers = Headers(scope=scope)
        foreign = _embeds(headers) if scope["method"] in READING else _is_foreign(headers)
        if foreign:
            allowed = self._origins.of(route_path(scope))
            if "*" not in allowed and headers.get("origin") not in allowed:
                raise ForeignPageError


def _is_foreign(headers: Headers) -> bool:
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is not None:
        return site not in OWN
    if origin is None:
        return False
    return origin.partition("://")[2].lower() != headers.get("host", "").lower()


def _embeds(headers: Headers) -> bool:
    """Whether a page of another site wants a picture or a script of this server."""
    mode = headers.get("sec-fetch-mode")
    return mode == "no-cors" and headers.get("sec-fetch-site") == "cross-site"
