"""Web pages that may call without a key: those of this server and of allowed origins.

A browser sends `Sec-Fetch-Site`, or at least `Origin`, with everything that a page may do to
another site unasked. Programs send neither. The rules are those of Go's `CrossOriginProtection`;
see also the Fetch Metadata specification.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from fastapi.routing import APIRoute
from starlette.datastructures import Headers
from starlette.routing import BaseRoute, Match
from starlette.types import Scope

from gateway.errors import GatewayError
from gateway.security.paths import route_path

READING = ("GET", "HEAD", "OPTIONS")
OWN = ("same-origin", "none")  # a page of this server; a person, not a page
UNASKED_TYPES = ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data")
JSON_TYPE = "application/json"


class ForeignPageError(GatewayError):
    """A page of another origin wants to change or to show something."""

    status, reason = 403, "foreign_page"
    default_detail = (
        "Pages of other origins may not do this; server.cors.allow_origins names those that may"
    )


class ContentTypeError(GatewayError):
    """A body of a type that any page may send, where JSON is documented."""

    status, reason = 415, "content_type"
    default_detail = "This takes JSON: send Content-Type: application/json"


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
    """Refuses what pages of other origins do without asking first.

    Args:
        origins: whose pages may call.
        routes: of the application; their documents say which take JSON.
    """

    def __init__(self, origins: Origins, routes: Sequence[BaseRoute]) -> None:
        self._origins = origins
        self._routes = routes

    def check(self, scope: Scope, headers: Headers) -> None:
        """Let a request pass that needs no key.

        Raises:
            ForeignPageError: a page of an origin that is not allowed changes something, or embeds
                an answer.
            ContentTypeError: JSON by a type that needs no preflight.
        """
        reading = scope["method"] in READING
        foreign = _embeds(headers) if reading else _is_foreign(headers)
        if foreign:
            allowed = self._origins.of(route_path(scope))
            if "*" not in allowed and headers.get("origin") not in allowed:
                raise ForeignPageError
        if not reading and _comes_unasked(headers) and self._wants_json(scope):
            raise ContentTypeError

    def _wants_json(self, scope: Scope) -> bool:
        for route in self._routes:
            if isinstance(route, APIRoute) and route.matches(scope)[0] is Match.FULL:
                body = (route.openapi_extra or {}).get("requestBody", {})
                return JSON_TYPE in body.get("content", {})
        return False


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


def _comes_unasked(headers: Headers) -> bool:
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    return kind in UNASKED_TYPES and headers.get("content-length") != "0"
