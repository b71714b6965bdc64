"""Who may call what."""

from gateway.security.keys import KeyRing

__all__ = ["KeyRing"]
