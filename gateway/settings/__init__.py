"""The configuration: one tree, read from `config.yaml` and the environment."""

from gateway.settings.loader import ConfigError, load_settings
from gateway.settings.tree import Settings

__all__ = ["ConfigError", "Settings", "load_settings"]
