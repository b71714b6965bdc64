"""Loads encoder checkpoints and their tokenizers, and what they say of their sentence vectors."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from export.catalogue import FALLBACK_TOKENS
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
_UNBOUNDED = 100_000
"""Above this a tokenizer's `model_max_length` means "none" (transformers then says 1e30)."""


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


def load_encoder(source: str, layers: int | None = None) -> Any:
    """Return the encoder of a checkpoint in fp32 and evaluation mode.

    Args:
        source: Folder, or name on the model hub.
        layers: Keep only that many layers, the first ones; None keeps all.

    Raises:
        ExportError: It cannot be loaded, or has fewer layers.
    """
    import torch
    from transformers import AutoConfig, AutoModel

    try:
        config = AutoConfig.from_pretrained(source)
        if layers is not None:
            if not 1 <= layers <= config.num_hidden_layers:
                raise ExportError(
                    f"layer {layers} of {source} does not exist: "
                    f"the encoder has {config.num_hidden_layers}"
                )
            config.num_hidden_layers = layers
        model = AutoModel.from_pretrained(
            source, config=config, attn_implementation="eager", dtype=torch.float32
        )
    except (OSError, ValueError) as error:
        raise ExportError(f"{source} is not a loadable encoder checkpoint") from error
    if getattr(model, "decoder", None) is not None and getattr(model, "encoder", None) is not None:
        model = model.encoder  # bert-score scores the encoder of an encoder-decoder
    return model.eval()


def load_classifier(source: str) -> Any:
    """Return a cross-encoder in fp32 and evaluation mode: a sequence classifier of one label.

    Raises:
        ExportError: It cannot be loaded, or is none.
    """
    import torch
    from transformers import AutoConfig, AutoModelForSequenceClassification

    try:
        config = AutoConfig.from_pretrained(source)
        names = config.architectures or []
        if not any(name.endswith("ForSequenceClassification") for name in names):
            raise ExportError(
                f"{source} is no sequence classifier but {', '.join(names) or 'none'}"
            )
        if config.num_labels != 1:
            raise ExportError(f"{source} has {config.num_labels} labels: one score is needed")
        activation(config)
        model = AutoModelForSequenceClassification.from_pretrained(
            source, config=config, attn_implementation="eager", dtype=torch.float32
        )
    except (OSError, ValueError) as error:
        raise ExportError(f"{source} is not a loadable classifier checkpoint") from error
    return model.eval()


def activation(config: Any) -> str:
    """Return what makes a cross-encoder's score of its logit: `sigmoid` or `identity`.

    sentence-transformers writes it into a checkpoint's configuration, under another name before
    release 4, and takes a sigmoid where nothing is written.

    Raises:
        ExportError: Something else.
    """
    declared = (getattr(config, "sentence_transformers", None) or {}).get("activation_fn")
    declared = declared or getattr(config, "sbert_ce_default_activation_function", None)
    names = {None: "sigmoid", "Sigmoid": "sigmoid", "Identity": "identity"}
    name = declared and declared.rpartition(".")[2]
    if name not in names:
        raise ExportError(f"the activation {declared} is not known: Sigmoid and Identity are")
    return names[name]


def load_tokenizer(source: str, *, for_matching: bool = False) -> Any:
    """Return the tokenizer of a checkpoint, as transformers sets it up.

    Args:
        source: Folder, or name on the model hub.
        for_matching: As bert-score uses it: RoBERTa's and GPT-2's see a space before the text.

    Raises:
        ExportError: It cannot be loaded or has no Rust implementation.
    """
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(source)
        if for_matching and type(tokenizer).__name__.startswith(("Roberta", "GPT2")):
            tokenizer = AutoTokenizer.from_pretrained(source, add_prefix_space=True)
    except (OSError, ValueError) as error:
        raise ExportError(f"{source} has no loadable tokenizer") from error
    if not tokenizer.is_fast:
        raise ExportError(f"the tokenizer of {source} cannot be written as tokenizer.json")
    return tokenizer


def usable_length(tokenizer: Any, model: Any | None = None) -> int:
    """Longest sequence in tokens, specials included, for tokenizer and position table.

    DeBERTa's tokenizers name no usable maximum (bert-score then fails with "int too big to
    convert"); `FALLBACK_TOKENS` is taken instead.
    """
    limits = [tokenizer.model_max_length]
    if model is not None:
        limits.append(getattr(model.config, "max_position_embeddings", _UNBOUNDED))
    usable = [limit for limit in limits if 0 < limit < _UNBOUNDED]
    if not 0 < tokenizer.model_max_length < _UNBOUNDED:
        usable.append(FALLBACK_TOKENS)
    return int(min(usable))


def tokenizer_json(tokenizer: Any) -> str:
    """`tokenizer.json` without the truncation and padding that checkpoints carry along."""
    description = json.loads(tokenizer.backend_tokenizer.to_str())
    description["truncation"] = None
    description["padding"] = None
    return json.dumps(description, ensure_ascii=False)


def special_ids(tokenizer: Any) -> dict[str, int]:
    """Ids of the special tokens that batching and matching need to know."""
    return {
        "pad_token_id": int(tokenizer.pad_token_id),
        "cls_token_id": int(tokenizer.cls_token_id),
        "sep_token_id": int(tokenizer.sep_token_id),
    }


def allow_hub(source: str) -> None:
    """Keep transformers off the network unless `source` has to come from the model hub."""
    if Path(source).is_dir():
        os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TQDM_DISABLE", "1")
