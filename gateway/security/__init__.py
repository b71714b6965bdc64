"""Who may call what."""

from gateway.security.keys import KEY_HEADER, KeyRing, presented_keys

__all__ = ["KEY_HEADER", "KeyRing", "presented_keys"]
