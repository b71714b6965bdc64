"""What plans are judged on."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing

from export.errors import ExportError
from export.tensorrt.golden import IDS, MASK, compare, feeds
from gateway.plans.declared import Guard, PlanDeclaration, Range

GUARD = Guard("cosine", 0.9999)


def encoder(name: str, *shapes: tuple[int, int]) -> PlanDeclaration:
    one = Range(*shapes)
    return PlanDeclaration(name, ("FP16",), {IDS: one, MASK: one}, GUARD)


def write_tokenizer(folder: Path, max_tokens: int) -> None:
    """A tokenizer of words, with a mark at both ends."""
    tokenizer = Tokenizer(WordLevel({"[UNK]": 0, "[CLS]": 1, "[SEP]": 2, "the": 3}, "[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    (folder / "1").mkdir(parents=True)
    tokenizer.save(str(folder / "1" / "tokenizer.json"))
    (folder / "1" / "metadata.json").write_text(json.dumps({"max_tokens": max_tokens}))


@pytest.mark.parametrize(
    ("model", "caller"),
    [("sentence_encoder", "text_embedding"), ("token_encoder_wide", "bertscore_wide")],
)
def test_texts_are_read_by_the_callers_tokenizer(model: str, caller: str, tmp_path: Path) -> None:
    write_tokenizer(tmp_path / caller, 16)
    found = list(feeds(encoder(model, (1, 1), (8, 8), (40, 16)), tmp_path))
    assert [one[IDS].shape for one in found] == [(1, 1), (8, 8), (40, 16)]
    for one in found:
        assert one[IDS].dtype == one[MASK].dtype == np.int64
        assert (one[MASK][:, 0] == 1).all()
        assert (one[IDS][:, 0] == 1).all()
        assert (one[IDS][one[MASK] == 0] == 0).all()
        assert (np.diff(one[MASK], axis=1) <= 0).all()
    assert (found[2][MASK].sum(axis=1) == 16).any()
    assert (found[2][MASK].sum(axis=1) < 16).any()


def test_texts_longer_than_the_plan_takes(tmp_path: Path) -> None:
    write_tokenizer(tmp_path / "text_embedding", 32)
    with pytest.raises(ExportError, match="32 tokens"):
        list(feeds(encoder("sentence_encoder", (1, 1), (8, 8), (8, 16)), tmp_path))


def test_an_encoder_that_nobody_calls(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="no model is known"):
        list(feeds(encoder("other_encoder", (1, 1), (1, 1), (1, 1)), tmp_path))
    with pytest.raises(ExportError, match="cannot be read"):
        list(feeds(encoder("token_encoder", (1, 1), (1, 1), (1, 1)), tmp_path))


def test_pictures_and_noise(tmp_path: Path) -> None:
    picture = Range((1, 8, 8, 3), (2, 8, 16, 3), (4, 16, 16, 3))
    noise = Range((1, 1, 80, 16), (2, 1, 80, 16), (4, 1, 80, 16))
    for shapes, kind in ((picture, np.uint8), (noise, np.float32)):
        found = list(feeds(PlanDeclaration("m", ("FP16",), {"x": shapes}, GUARD), tmp_path))
        assert [one["x"].shape for one in found] == [
            shapes.smallest,
            shapes.tuned,
            shapes.largest,
        ]
        assert {one["x"].dtype for one in found} == {np.dtype(kind)}
        assert all(one["x"].std() > 0 for one in found)


def test_padding_does_not_count() -> None:
    mask = np.array([[1, 1, 0]])
    expected = np.ones((1, 3, 4), np.float32)
    got = expected.copy()
    got[0, 2] = -5
    assert compare(GUARD, {MASK: mask}, [expected], [got]) == pytest.approx(1)
    got[0, 1] *= -1
    assert compare(GUARD, {MASK: mask}, [expected], [got]) == pytest.approx(-1)


def test_the_worst_of_all_outputs_counts() -> None:
    one, other = np.ones((2, 4), np.float32), np.ones((2, 4), np.float32)
    bent = other.copy()
    bent[1, 0] = 1.5
    near = Guard("difference", 0.1)
    assert compare(near, {}, [one, other], [one, bent]) == pytest.approx(0.5)
    assert compare(GUARD, {}, [one, other], [one, bent]) < 0.99
    bent[1, 0] = np.nan
    assert np.isnan(compare(near, {}, [one, other], [one, bent]))
    assert np.isnan(compare(GUARD, {}, [one, other], [one, bent]))
    with pytest.raises(ExportError, match="gives"):
        compare(near, {}, [one], [one[:1]])


def test_confidences_are_compared_and_rows_are_counted() -> None:
    guard, rows = Guard("confidence", 0.02), np.full((2, 1), 2, np.int32)
    logits = np.array([[20.0, 20.0, -5.0], [1.0, 0.0, 0.0]], np.float32)
    same = logits + np.float32(3)  # softmax does not see what all logits share
    assert compare(guard, {}, [logits, rows], [same, rows]) == pytest.approx(0, abs=1e-6)
    other = logits.copy()
    other[0, 0] += 0.1
    expected = 1 / (1 + np.exp(-0.1)) - 0.5
    assert compare(guard, {}, [logits, rows], [other, rows]) == pytest.approx(expected, abs=1e-6)
    assert compare(guard, {}, [logits, rows], [logits, rows + 1]) == float("inf")
    other[1, 1] = np.nan
    assert np.isnan(compare(guard, {}, [logits, rows], [other, rows]))
