"""The command on small random checkpoints: parity is checked inside, folders come out right."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnxruntime
import pytest

from export import parity, samples
from export.__main__ import main
from export.artefacts import STAMP
from export.checkpoint import activation, usable_length
from export.errors import ExportError
from export.folders import derived_name
from export.source import named
from gateway.model_config import load
from tests.support.checkpoints import write_checkpoint, write_cross_encoder

REPOSITORY = Path(__file__).resolve().parents[3] / "model_repository"
CODE = ("*.pbtxt", "configs/*.pbtxt", "1/*.py")


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The committed part of the model repository, in a copy."""
    for pattern in CODE:
        for file in REPOSITORY.glob(f"*/{pattern}"):
            copy = tmp_path / "models" / file.relative_to(REPOSITORY)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_text(file.read_text())
    monkeypatch.setenv("PENTAD_PATHS__REPOSITORY", str(tmp_path / "models"))
    monkeypatch.setenv("PENTAD_PATHS__CACHE", str(tmp_path / "cache"))
    return tmp_path / "models"


@pytest.fixture(scope="module", params=["bert", "deberta", "deberta-v2"])
def checkpoint(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp(request.param) / "tiny", request.param)


def test_bertscore_of_any_architecture(
    checkpoint: Path, repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["bertscore", "--checkpoint", str(checkpoint), "--layer", "3", "--as", "tiny"]
    assert main(command) == 0
    caller, encoder = repository / "bertscore_tiny", repository / "token_encoder_tiny"
    facts = json.loads((caller / "1" / "metadata.json").read_text())
    assert (facts["layer"], facts["dimensions"], facts["max_tokens"]) == (3, 64, 512)
    assert facts["parity_max_difference"] <= parity.TOLERANCE
    tokenizer = json.loads((caller / "1" / "tokenizer.json").read_text())
    assert tokenizer["truncation"] is None
    assert tokenizer["padding"] is None
    assert load(caller / "config.pbtxt").parameters["encoder"].string_value == encoder.name
    (output,) = load(encoder / "config.pbtxt").output
    assert list(output.dims) == [-1, 64]
    assert (caller / "1" / "text_rows.py").is_file()
    assert not (caller / "1" / "text_rows.py").is_symlink()
    assert not (repository / "bertscore" / "1" / "metadata.json").exists()
    stamp = (encoder / "1" / STAMP).stat().st_mtime_ns
    assert main(command) == 0
    assert "up to date" in capsys.readouterr().err
    assert (encoder / "1" / STAMP).stat().st_mtime_ns == stamp


@pytest.mark.parametrize("architecture", ["bert", "roberta"])
def test_a_cross_encoder(architecture: str, tmp_path: Path, repository: Path) -> None:
    folder = write_cross_encoder(tmp_path / "tiny", architecture)
    assert main(["reranking", "--checkpoint", str(folder), "--as", "tiny"]) == 0
    caller, encoder = repository / "reranking_tiny", repository / "cross_encoder_tiny"
    facts = json.loads((caller / "1" / "metadata.json").read_text())
    assert (facts["activation"], facts["max_tokens"]) == ("sigmoid", 512)
    assert "dimensions" not in facts
    assert 'string_value: "cross_encoder_tiny"' in (caller / "config.pbtxt").read_text()
    assert (encoder / "1" / "model.onnx").is_file()
    graph = onnxruntime.InferenceSession(str(encoder / "1" / "model.onnx"))
    ids = np.ones((1, 4), np.int64)
    logits = [
        graph.run(None, {"input_ids": ids, "attention_mask": ids, "token_type_ids": types})[0]
        for types in (np.zeros_like(ids), ids)
    ]
    assert (logits[0] != logits[1]) == (architecture == "bert")


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({}, "sigmoid"),
        (
            {"sentence_transformers": {"activation_fn": "torch.nn.modules.linear.Identity"}},
            "identity",
        ),
        (
            {"sentence_transformers": {"activation_fn": "torch.nn.Sigmoid", "version": "5"}},
            "sigmoid",
        ),
        ({"sbert_ce_default_activation_function": "torch.nn.modules.linear.Identity"}, "identity"),
        ({"sbert_ce_default_activation_function": "torch.nn.Tanh"}, None),
    ],
)
def test_a_cross_encoders_activation(config: dict[str, object], told: str | None) -> None:
    if told:
        assert activation(SimpleNamespace(**config)) == told
    else:
        with pytest.raises(ExportError, match="Tanh is not known"):
            activation(SimpleNamespace(**config))


def test_what_is_no_cross_encoder(
    tmp_path: Path, repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    encoder = write_checkpoint(tmp_path / "encoder", "bert")
    many = write_cross_encoder(tmp_path / "many", "bert", num_labels=3)
    for folder, words in ((encoder, "no sequence classifier but BertModel"), (many, "3 labels")):
        assert main(["reranking", "--checkpoint", str(folder), "--as", "tiny"]) == 1
        assert words in capsys.readouterr().err
    assert main(["reranking"]) == 1
    assert "reranking needs --checkpoint" in capsys.readouterr().err


def test_a_wrong_graph_is_refused_and_leaves_nothing(
    tmp_path: Path,
    repository: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = write_checkpoint(tmp_path / "tiny", "bert")
    monkeypatch.setattr(parity, "TOLERANCE", 0.0)
    command = ["bertscore", "--checkpoint", str(folder), "--layer", "2", "--as", "tiny"]
    assert main(command) == 1
    assert "differs from its model" in capsys.readouterr().err
    assert list((repository / "token_encoder_tiny" / "1").iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing"], "unknown model nothing"),
        (["--checkpoint", "x"], "exactly one MODEL"),
        (["bertscore", "--checkpoint", "{empty}", "--layer", "1"], "no config.json"),
        (["bertscore", "--as", "../x", "--checkpoint", "hub/name"], "--as takes"),
    ],
)
def test_mistakes_are_told_in_one_line(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    repository: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main([part.replace("{empty}", str(tmp_path)) for part in arguments]) == 1
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert message in line


def test_a_layer_that_does_not_exist(
    tmp_path: Path, repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_checkpoint(tmp_path / "tiny", "bert")
    command = ["bertscore", "--checkpoint", str(folder), "--as", "tiny"]
    assert main([*command, "--layer", "5"]) == 1
    assert "the encoder has 4" in capsys.readouterr().err
    assert main(command) == 1
    assert "--layer is needed" in capsys.readouterr().err


def test_a_changed_checkpoint_has_another_digest(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "tiny", "bert")
    before = named(str(folder), 1)
    (folder / "tokenizer_config.json").write_text("{}")
    assert named(str(folder), 1).sha256 != before.sha256


def test_lengths_without_a_usable_maximum() -> None:
    class Tokenizer:
        model_max_length = int(1e30)

    assert usable_length(Tokenizer()) == 512
    Tokenizer.model_max_length = 128
    assert usable_length(Tokenizer()) == 128


def test_names_of_further_models() -> None:
    assert derived_name("bertscore", "deberta") == "bertscore_deberta"
    with pytest.raises(ExportError):
        derived_name("bertscore", "a/b")


def test_samples_are_reproducible_and_odd() -> None:
    assert samples.varied_texts(200) == samples.varied_texts(200)
    assert {"", "a", "😀"} <= set(samples.varied_texts(200))
    assert max(map(len, samples.varied_texts(200))) == 10_000
    assert len(samples.varied_pairs(200)) == 200


def test_cosines() -> None:
    left = np.array([[1, 0], [1, 1]], dtype=np.float32)
    right = np.array([[2, 0], [0, 3]], dtype=np.float32)
    np.testing.assert_allclose(parity.cosines(left, right), [1, np.sqrt(0.5)], rtol=1e-6)


def test_a_command_line_that_makes_nothing_reads_no_torch() -> None:
    """`make run` calls it each time, and torch takes longer than all else of it."""
    code = "import sys, export.__main__; print([one for one in sys.modules if one in sys.argv])"
    command = [sys.executable, "-c", code, "torch", "transformers", "onnxruntime"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "[]\n"
