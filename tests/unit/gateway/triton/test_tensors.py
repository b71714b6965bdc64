"""Between Python values and Triton's binary tensors."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.triton.tensors import text_tensor, to_array


@given(st.lists(st.text(), max_size=8))
def test_text_round_trip(texts: list[str]) -> None:
    texts = [text.encode("utf-8", "ignore").decode() for text in texts]  # JSON brings no surrogates
    tensor = text_tensor(texts)
    assert tensor.shape == (len(texts), 1)
    found = to_array(tensor.datatype, tensor.shape, tensor.data)
    assert [item.decode() for item in found[:, 0]] == texts


def test_the_wire_format_is_tritons() -> None:
    # https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_binary_data.md
    assert text_tensor(["é", ""]).data == b"\x02\x00\x00\x00\xc3\xa9\x00\x00\x00\x00"


def test_numbers() -> None:
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    np.testing.assert_array_equal(to_array("FP32", [2, 3], values.tobytes()), values)
    flags = np.array([True, False])
    np.testing.assert_array_equal(to_array("BOOL", [2], flags.tobytes()), flags)


def test_refusals() -> None:
    with pytest.raises(ValueError, match="BF16"):
        to_array("BF16", [1], b"\x00\x00")
    with pytest.raises(ValueError, match="reshape"):
        to_array("FP32", [2], b"\x00\x00\x00\x00")
