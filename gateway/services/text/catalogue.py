"""Names clients may ask for, and the models behind them."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.errors import BadRequestError
from gateway.health.state import ModelState
from gateway.settings.text import TextModel


@dataclass(frozen=True)
class Entry:
    """A catalogue entry with the live state of its models."""

    name: str
    settings: TextModel
    model: ModelState


class Catalogue:
    """The models of one task.

    Args:
        task: ``embed`` or ``bertscore``.
        models: entries by name.
        default: name used when a request names none.
    """

    def __init__(self, task: str, models: dict[str, TextModel], default: str) -> None:
        self.entries = [
            Entry(name, entry, ModelState(task, entry.triton_model, (entry.encoder,)))
            for name, entry in models.items()
        ]
        self._by_name = {
            name: entry for entry in self.entries for name in (entry.name, *entry.settings.aliases)
        }
        self._default = default

    @property
    def names(self) -> list[str]:
        """Every name that a request may use."""
        return list(self._by_name)

    def find(self, name: str, lang: str = "") -> Entry:
        """Return the entry for a name, or for a language when the name is empty.

        Raises:
            BadRequestError: neither is in the catalogue; the detail lists what is.
        """
        if name:
            if name not in self._by_name:
                known = ", ".join(sorted(self._by_name))
                raise BadRequestError(f"Unknown model; available models: {known}")
            return self._by_name[name]
        default = self._by_name[self._default]
        if not lang or self._speaks(default, lang):
            return default
        for entry in self.entries:
            if self._speaks(entry, lang):
                return entry
        known = ", ".join(sorted({lang for e in self.entries for lang in e.settings.languages}))
        raise BadRequestError(f"No model for this lang; available languages: {known}")

    @staticmethod
    def _speaks(entry: Entry, lang: str) -> bool:
        languages = entry.settings.languages
        primary = lang.lower().replace("_", "-").partition("-")[0]
        return "*" in languages or lang in languages or primary in languages
