"""What a checkpoint's files say of its sentence vectors, in the forms of several releases."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from export.checkpoint import SentenceConfig, sentence_config
from export.errors import ExportError

KINDS = ("Transformer", "Pooling", "Normalize")


def write(
    folder: Path,
    pooling: dict[str, Any],
    kinds: tuple[str, ...] = KINDS,
    **files: dict[str, Any],
) -> str:
    modules = [
        {"idx": place, "path": f"{place}_{kind}" if place else "", "type": f"a.models.{kind}"}
        for place, kind in enumerate(kinds)
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    return str(folder)


def test_a_plain_encoder(tmp_path: Path) -> None:
    assert sentence_config(str(tmp_path)) == SentenceConfig()
    assert SentenceConfig().facts() == {}


@pytest.mark.parametrize(
    ("pooling", "mode"),
    [
        ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}, "cls"),
        ({"pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True}, "mean"),
        ({"pooling_mode": "cls", "include_prompt": True}, "cls"),
        ({"pooling_mode": "mean"}, "mean"),
    ],
)
def test_poolings(tmp_path: Path, pooling: dict[str, Any], mode: str) -> None:
    assert sentence_config(write(tmp_path, pooling)).pooling == mode


@pytest.mark.parametrize(
    ("pooling", "kinds", "words"),
    [
        ({"pooling_mode_max_tokens": True}, KINDS, "pools by pooling_mode_max_tokens"),
        (
            {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": True},
            KINDS,
            r"pools by \['cls', 'mean'\]",
        ),
        ({"pooling_mode": ["mean", "cls"]}, KINDS, "pools by"),
        ({"pooling_mode": "lasttoken"}, KINDS, "pools by lasttoken"),
        ({}, KINDS, "pools by nothing"),
        ({"pooling_mode": "mean", "include_prompt": False}, KINDS, "prompts out of the pooling"),
        ({"pooling_mode": "mean"}, ("Transformer", "Pooling", "Dense"), "Transformer, Pooling, De"),
        ({"pooling_mode": "mean"}, ("StaticEmbedding", "Pooling"), "StaticEmbedding"),
    ],
)
def test_what_cannot_be_exported(
    tmp_path: Path, pooling: dict[str, Any], kinds: tuple[str, ...], words: str
) -> None:
    with pytest.raises(ExportError, match=words):
        sentence_config(write(tmp_path, pooling, kinds))


def test_prompts_and_lengths(tmp_path: Path) -> None:
    prompts = {"query": "query: ", "document": "", "passage": "passage: "}
    told = sentence_config(
        write(
            tmp_path,
            {"pooling_mode": "mean"},
            ("Transformer", "Pooling"),
            config_sentence_transformers={"prompts": prompts, "default_prompt_name": "passage"},
            sentence_bert_config={"max_seq_length": 77},
        )
    )
    assert (told.max_tokens, told.normalized) == (77, False)
    assert told.facts() == {
        "prompts": prompts,
        "default_prompt_name": "passage",
        "normalized": False,
    }


def test_a_default_prompt_that_is_not_there_is_none(tmp_path: Path) -> None:
    files = {"prompts": {"query": None}, "default_prompt_name": "passage"}
    place = write(tmp_path, {"pooling_mode": "cls"}, config_sentence_transformers=files)
    assert sentence_config(place).facts() == {"prompts": {"query": ""}}
