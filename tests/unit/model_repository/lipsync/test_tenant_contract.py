"""Files of anybody: what is wrong is said, in bounded memory, and nothing else happens."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from lipsync_errors import RefusedError
from onnx import TensorProto, helper
from tenants.contract import fix_batch, read_model


def refusal(path: Path) -> str:
    with pytest.raises(RefusedError) as caught:
        read_model(path)
    assert str(path.parent) not in str(caught.value)
    return caught.value.code


@pytest.fixture
def changed(tenant: Path, tmp_path: Path) -> Callable[..., Path]:
    """The tenant's file with something changed in the model."""

    def change(edit: Callable[[onnx.ModelProto], None]) -> Path:
        model = onnx.load(str(tenant))
        edit(model)
        file = tmp_path / "changed.onnx"
        file.write_bytes(model.SerializeToString())
        return file

    return change


def test_a_good_file_is_read_and_its_batch_fixed(tenant: Path) -> None:
    model, files = read_model(tenant)
    assert files == [tenant]
    fix_batch(model)
    dims = [dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim]
    assert dims == [1, 6, 320, 320]


def test_files_that_are_none(tenant: Path, tmp_path: Path) -> None:
    assert refusal(tmp_path / "missing.onnx") == "tenant_file_missing"
    assert refusal(tmp_path) == "tenant_file_missing"
    for content in (b"", b"PK\x03\x04 not a model", b"hello\n" * 1000):
        file = tmp_path / "file.onnx"
        file.write_bytes(content)
        assert refusal(file) in ("tenant_file_invalid", "tenant_contract")
    whole = tenant.read_bytes()
    for share in (0.1, 0.5, 0.9, 0.999):
        file.write_bytes(whole[: int(len(whole) * share)])
        assert refusal(file) == "tenant_file_invalid"


@pytest.mark.parametrize("location", ["/etc/passwd", "../weights.bin", "sub/weights.bin", "", "."])
def test_external_data_elsewhere_is_refused(location: str, changed: Callable[..., Path]) -> None:
    def poison(model: onnx.ModelProto) -> None:
        tensor = model.graph.initializer[0]
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value=location)

    assert refusal(changed(poison)) == "tenant_file_invalid"


def test_external_data_through_a_link_is_refused(
    changed: Callable[..., Path], tmp_path: Path
) -> None:
    (tmp_path / "link.bin").symlink_to("/etc/hostname")

    def poison(model: onnx.ModelProto) -> None:
        tensor = model.graph.initializer[0]
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="link.bin")

    assert refusal(changed(poison)) == "tenant_file_invalid"


def test_external_data_beside_the_file_is_read(tenant: Path, tmp_path: Path) -> None:
    file = tmp_path / "outside.onnx"
    onnx.save(
        onnx.load(str(tenant)),
        str(file),
        save_as_external_data=True,
        location="outside.bin",
        size_threshold=100,
    )
    model, files = read_model(file)
    assert files == [file, tmp_path / "outside.bin"]
    expected = onnx.load(str(tenant)).graph.initializer
    assert [tensor.raw_data for tensor in model.graph.initializer] == [
        tensor.raw_data for tensor in expected
    ]
    (tmp_path / "outside.bin").write_bytes(b"\0" * 100)
    assert refusal(file) == "tenant_file_invalid"


def test_a_tensor_that_says_it_is_giant_is_refused(changed: Callable[..., Path]) -> None:
    def poison(model: onnx.ModelProto) -> None:
        tensor = model.graph.initializer[0]
        del tensor.dims[:]
        tensor.dims.extend([2**20, 2**20, 2**10])

    assert refusal(changed(poison)) == "tenant_file_invalid"


def test_a_tensor_with_too_little_data_is_refused(changed: Callable[..., Path]) -> None:
    def poison(model: onnx.ModelProto) -> None:
        tensor = model.graph.initializer[0]
        tensor.raw_data = tensor.raw_data[: len(tensor.raw_data) // 4]

    assert refusal(changed(poison)) == "tenant_file_invalid"


def test_other_interfaces_are_refused_in_words(changed: Callable[..., Path]) -> None:
    def rename(model: onnx.ModelProto) -> None:
        for node in model.graph.node:
            for slot, name in enumerate(node.input):
                node.input[slot] = "image" if name == "input" else name
        model.graph.input[0].name = "image"

    with pytest.raises(RefusedError, match=r"tenant_contract: inputs are 'image', 'audio'"):
        read_model(changed(rename))

    def other_audio(model: onnx.ModelProto) -> None:
        (value,) = [value for value in model.graph.input if value.name == "audio"]
        value.type.CopyFrom(helper.make_tensor_type_proto(TensorProto.FLOAT, (1, 16, 32, 32)))

    with pytest.raises(RefusedError, match=r"tenant_contract: audio must be .* it is \[1, 16, 32"):
        read_model(changed(other_audio))

    def batch_of_four(model: onnx.ModelProto) -> None:
        shape = (4, 6, 320, 320)
        model.graph.input[0].type.CopyFrom(helper.make_tensor_type_proto(TensorProto.FLOAT, shape))

    assert refusal(changed(batch_of_four)) == "tenant_contract"

    def half(model: onnx.ModelProto) -> None:
        model.graph.output[0].type.tensor_type.elem_type = TensorProto.FLOAT16

    assert refusal(changed(half)) == "tenant_contract"

    def foreign(model: onnx.ModelProto) -> None:
        model.graph.node[0].domain = "evil.corp"

    assert refusal(changed(foreign)) == "tenant_contract"
