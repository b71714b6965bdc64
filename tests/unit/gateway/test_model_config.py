"""config.pbtxt is read and written by protobuf's own text format."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway import model_config

ROOT = Path(__file__).resolve().parents[3]
CONFIG = """
# a comment with { brackets
backend: "onnxruntime"
max_batch_size: 4
input [ { name: "A", data_type: TYPE_INT64, dims: [ -1 ] } ,
        { name: "B" data_type: TYPE_STRING dims: 1 } ]
parameters { key: "x" value { string_value: "a b" } }
parameters [ { key: "y" value: { string_value: "\\"c\\" # d" } } ]
"""


def test_every_way_to_write_a_field_is_read() -> None:
    config = model_config.parse(CONFIG)
    assert (config.backend, config.max_batch_size) == ("onnxruntime", 4)
    assert [(tensor.name, list(tensor.dims)) for tensor in config.input] == [
        ("A", [-1]),
        ("B", [1]),
    ]
    values = {key: value.string_value for key, value in config.parameters.items()}
    assert values == {"x": "a b", "y": '"c" # d'}


@pytest.mark.parametrize("text", ["input {", "input [ 1", "backend:", "bakend: 1", "backend: 2"])
def test_what_is_no_configuration_is_refused_with_its_file(text: str, tmp_path: Path) -> None:
    file = tmp_path / "config.pbtxt"
    file.write_text(text)
    with pytest.raises(ValueError, match=f"^{file}: no model configuration: 1:"):
        model_config.read_config(file)


def test_only_unknown_fields_of_other_versions_are_passed_over() -> None:
    assert model_config.parse('bakend: "a" backend: "b"', of_any_version=True).backend == "b"
    with pytest.raises(ValueError, match="no model configuration"):
        model_config.parse("backend: 2", of_any_version=True)


@pytest.mark.parametrize(
    "file", sorted(ROOT.glob("model_repository/*/config.pbtxt")), ids=lambda file: file.parent.name
)
def test_what_is_written_says_the_same(file: Path) -> None:
    config = model_config.load(file)
    assert config.name == file.parent.name
    text = model_config.text_of(config)
    assert model_config.parse(text) == config
    assert model_config.text_of(model_config.parse(text)) == text, "it is the same each time"
