"""What a checkpoint's own files say of its sentence vectors, as sentence-transformers stores it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from export.errors import ExportError

FILES = (
    "modules.json",
    "config_sentence_transformers.json",
    "sentence_bert_config.json",
    "1_Pooling/config.json",
)
"""Beside the encoder's own, where they usually are."""
POOLINGS = ("mean", "cls")
"""Those that the graph may end with."""
_LEGACY = {"pooling_mode_cls_token": "cls", "pooling_mode_mean_tokens": "mean"}
"""Switches of the pooling before release 6, by what they switch on."""


@dataclass(frozen=True)
class SentenceConfig:
    """How sentence vectors are made of an encoder's states.

    Attributes:
        pooling: One of `POOLINGS`.
        normalized: Whether the vectors have unit length.
        max_tokens: Truncation, in tokens with specials; None lets the tokenizer decide.
        prompts: Text in front of every text, by name.
        default_prompt_name: Of the one that is used where none is named.
    """

    pooling: str = "mean"
    normalized: bool = True
    max_tokens: int | None = None
    prompts: dict[str, str] = field(default_factory=dict)
    default_prompt_name: str | None = None

    def facts(self) -> dict[str, Any]:
        """Return what the caller has to know, where it differs from a plain encoder's."""
        declared = {"prompts": self.prompts, "default_prompt_name": self.default_prompt_name}
        facts = {name: value for name, value in declared.items() if value}
        return facts if self.normalized else {**facts, "normalized": False}


def sentence_config(place: str) -> SentenceConfig:
    """Read a checkpoint's files.

    Args:
        place: Folder or hub name. Without `modules.json`: the mean at unit length.

    Raises:
        ExportError: It has steps that the exported graph does not.
    """

    def read(name: str) -> Any:
        file = _file(place, name)
        return json.loads(Path(file).read_text(encoding="utf-8")) if file else None

    modules = read("modules.json")
    if modules is None:
        return SentenceConfig()
    kinds = [module["type"].rpartition(".")[2] for module in modules]
    if kinds[:2] != ["Transformer", "Pooling"] or kinds[2:] not in ([], ["Normalize"]):
        raise ExportError(
            f"{place} makes its vectors by {', '.join(kinds)}: Transformer, Pooling and Normalize "
            "can be exported"
        )
    config = read("config_sentence_transformers.json") or {}
    prompts = {name: text or "" for name, text in (config.get("prompts") or {}).items()}
    default = config.get("default_prompt_name")
    return SentenceConfig(
        pooling=_pooling(place, modules[1]["path"], read),
        normalized="Normalize" in kinds,
        max_tokens=(read("sentence_bert_config.json") or {}).get("max_seq_length"),
        prompts=prompts,
        default_prompt_name=default if default in prompts else None,
    )


def _pooling(place: str, folder: str, read: Callable[[str], Any]) -> str:
    config = read(f"{folder}/config.json") or {}
    switched = [
        _LEGACY.get(name, name)
        for name, on in config.items()
        if name.startswith("pooling_mode_") and on is True
    ]
    mode = config.get("pooling_mode", switched[0] if len(switched) == 1 else switched)
    if mode not in POOLINGS:
        raise ExportError(
            f"{place} pools by {mode or 'nothing'}: {' and '.join(POOLINGS)} are known"
        )
    if config.get("include_prompt") is False:
        raise ExportError(f"{place} leaves its prompts out of the pooling, which is not exported")
    return str(mode)


def _file(place: str, name: str) -> str | None:
    from transformers.utils import cached_file

    if Path(place).is_dir():
        file = Path(place, name)
        return str(file) if file.is_file() else None
    file_name: str | None = cached_file(
        place, name, _raise_exceptions_for_missing_entries=False,
        _raise_exceptions_for_connection_errors=False,
    )  # fmt: skip
    return file_name
