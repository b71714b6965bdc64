"""Real scores against the bert-score library and against committed values."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np

from export.samples import varied_pairs
from launcher.server import TritonServer
from tests.support.checkpoints import write_checkpoint
from tests.support.text_models import ROOT, TextModels, bert_scorer, checkpoint

GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "bertscore.json"
TOLERANCE = 1e-5


def library_scores(pairs: list[tuple[str, str]]) -> np.ndarray:
    """P, R, F1 [n, 3]; not-a-number (a text of special tokens only) as 0."""
    candidates, references = map(list, zip(*pairs, strict=True))
    scores = bert_scorer(checkpoint(), 6).score(candidates, references)
    return np.nan_to_num(np.stack([score.numpy() for score in scores], axis=1))


def test_equals_the_library_request_by_request(text_models: TextModels) -> None:
    pairs = varied_pairs(200)
    for start in (0, 100):
        request = pairs[start : start + 100]
        difference = np.abs(text_models.score(request) - library_scores(request))
        assert difference.max() <= TOLERANCE


def test_empty_and_blank_texts_score_zero(text_models: TextModels) -> None:
    pairs = [("", "a text"), ("a text", ""), ("", ""), ("  \t\n", "a text"), ("a text", "a text")]
    scores = text_models.score(pairs)
    np.testing.assert_array_equal(scores[:4], 0)
    np.testing.assert_allclose(scores[4], 1, atol=1e-5)


def test_scores_are_always_numbers(text_models: TextModels) -> None:
    scores = text_models.score([("[SEP]", "a text"), ("[CLS] [SEP]", "[SEP]")])
    assert np.isfinite(scores).all()


def test_precision_and_recall_swap_with_the_texts(text_models: TextModels) -> None:
    pairs = varied_pairs(40, seed=5)
    forward = text_models.score(pairs)
    backward = text_models.score([(right, left) for left, right in pairs])
    np.testing.assert_allclose(forward[:, 0], backward[:, 1], atol=TOLERANCE)
    np.testing.assert_allclose(forward[:, 2], backward[:, 2], atol=TOLERANCE)


def test_golden_values(text_models: TextModels) -> None:
    golden = json.loads(GOLDEN.read_text())
    pairs = [(case["candidate"], case["reference"]) for case in golden["cases"]]
    expected = np.array([case["scores"] for case in golden["cases"]])
    np.testing.assert_allclose(text_models.score(pairs), expected, atol=golden["tolerance"])


def test_a_second_model_on_deberta(exported_models: Path, tmp_path: Path) -> None:
    """The path of microsoft/deberta-xlarge-mnli, on a small random checkpoint."""
    folder = write_checkpoint(tmp_path / "tiny-deberta", "deberta")
    repository = tmp_path / "models"
    for name in ("bertscore", "token_encoder"):
        shutil.copytree(exported_models / name, repository / name)
    environment = {**os.environ, "PENTAD_PATHS__REPOSITORY": str(repository)}
    command = [sys.executable, "-m", "export", "bertscore", "--checkpoint", str(folder)]
    command += ["--layer", "3", "--as", "deberta"]
    subprocess.run(command, cwd=ROOT, env=environment, check=True)
    log = tmp_path / "triton.log"
    with TritonServer.on_free_ports(repository, log=log) as server:
        models = TextModels(server)
        models.load("token_encoder_deberta", "bertscore_deberta", "token_encoder", "bertscore")
        pairs = varied_pairs(60)
        candidates, references = map(list, zip(*pairs, strict=True))
        library = bert_scorer(str(folder), 3).score(candidates, references)
        expected = np.nan_to_num(np.stack([score.numpy() for score in library], axis=1))
        got = models.score(pairs, model="bertscore_deberta")
        assert models.score(pairs[:2]).shape == (2, 3)
        models.close()
    assert np.abs(got - expected).max() <= TOLERANCE
