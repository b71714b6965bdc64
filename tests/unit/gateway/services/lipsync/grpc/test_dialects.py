"""The wire of InferBatch against the real protobuf classes of both dialects."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from google.protobuf.message import DecodeError
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.services.lipsync.grpc import inference_pb2
from gateway.services.lipsync.grpc.dialects import Dialect, failure, parse_request, success
from gateway.services.lipsync.grpc.wire import MAX_FIELDS, MalformedError, fields, varint
from tests.support.lipsync_protos import descriptors, messages

INT32 = st.integers(-(2**31), 2**31 - 1)
BLOB = st.binary(max_size=40)
ADDITIONS = {
    "frame_format": st.integers(0, 4),
    "output_format": st.integers(0, 4),
    "input_channels": INT32,
    "audio_per_frame": st.booleans(),
    "output_block": st.booleans(),
}
COMMON: dict[str, Any] = {
    "model_id": st.text(max_size=20),
    "visual_frames": BLOB,
    "audio_features": BLOB,
    "raw_audio": BLOB,
    **ADDITIONS,
}
V1 = st.fixed_dictionaries({**COMMON, "batch_size": INT32.filter(bool)})
V2 = st.fixed_dictionaries({**COMMON, "batch_size": INT32, "sample_rate": INT32}).filter(
    lambda found: found["batch_size"] or found["audio_features"] or found["sample_rate"]
)
NAMES = tuple(COMMON)


def check(fields_given: dict[str, Any], dialect: Dialect) -> None:
    message = messages(dialect.value).InferBatchRequest(**fields_given)
    found = parse_request(message.SerializeToString())
    assert found.dialect is dialect
    assert found.batch_size == fields_given["batch_size"]
    for name in NAMES:
        assert getattr(found, name) == fields_given[name], name


@given(V1)
def test_v1_is_read_as_its_own_classes_wrote_it(fields_given: dict[str, Any]) -> None:
    check(fields_given, Dialect.V1)


@given(V2)
def test_v2_is_read_as_its_own_classes_wrote_it(fields_given: dict[str, Any]) -> None:
    check(fields_given, Dialect.V2)


@given(st.binary(max_size=60), st.sampled_from([1, 2]))
@example(b"\x0b\x0c", 1)  # a group
@example(b"\x0b\x14", 1)  # a group that ends as another
@example(b"\x20" + b"\xff" * 10, 1)  # a varint without end
@example(b"\x20" + b"\xff" * 9 + b"\x01", 1)  # -1 with a sign that fills 64 bits
@example(b"\x0a\x01\xff", 1)  # not UTF-8
@example(b"\x12\x05ab", 2)  # truncated
@example(b"\x07", 1)
@example(b"\x00\x00", 1)
@example(b"\x80\x80\x80\x80\x80\x01\x00", 1)
def test_any_bytes_are_read_or_refused_as_protobuf_does(raw: bytes, dialect: int) -> None:
    try:
        expected = messages(dialect).InferBatchRequest.FromString(raw)
    except DecodeError:
        expected = None
    try:
        found = parse_request(raw)
    except MalformedError:
        assert expected is None
        return
    assert expected is not None
    if found.dialect.value == dialect:
        assert found.model_id == expected.model_id
        assert found.batch_size == expected.batch_size
        assert found.audio_features == expected.audio_features
        assert found.input_channels == expected.input_channels


@given(V1, st.integers(0, 200))
def test_a_truncated_request_is_never_something_else_than_an_error_or_a_request(
    fields_given: dict[str, Any], cut: int
) -> None:
    raw = messages(1).InferBatchRequest(**fields_given).SerializeToString()
    try:
        parse_request(raw[:cut])
    except MalformedError:
        with pytest.raises(DecodeError):
            messages(1).InferBatchRequest.FromString(raw[:cut])


def test_the_tensors_are_views_of_the_message() -> None:
    raw = messages(1).InferBatchRequest(visual_frames=b"x" * 100, batch_size=1).SerializeToString()
    assert parse_request(raw).visual_frames.obj is raw


def test_a_million_tiny_fields_are_refused_early() -> None:
    with pytest.raises(MalformedError, match="too many"):
        list(fields(memoryview(b"\x08\x01" * (MAX_FIELDS + 1))))
    assert len(list(fields(memoryview(b"\x08\x01" * MAX_FIELDS)))) == MAX_FIELDS


@pytest.mark.parametrize(
    ("raw", "dialect"),
    [
        (b"", Dialect.UNKNOWN),
        (b"\x0a\x01m", Dialect.UNKNOWN),
        (b"\x1a\x01x", Dialect.UNKNOWN),  # 3: audio_features or raw_audio
        (b"\x20\x01", Dialect.V1),
        (b"\x22\x01x", Dialect.V2),
        (b"\x28\x01", Dialect.V2),
        (b"\x30\x01", Dialect.V2),
        (b"\x20\x01\x28\x01", Dialect.V1),
        (b"\x22\x01x\x20\x01", Dialect.V1),
        (b"\xa0\x01\x01", Dialect.UNKNOWN),  # 20: an addition tells nothing
    ],
)
def test_dialect(raw: bytes, dialect: Dialect) -> None:
    assert parse_request(raw).dialect is dialect


FLOAT = st.floats(0, 1e6, width=32)


@given(
    st.sampled_from([Dialect.V1, Dialect.V2]),
    st.lists(st.binary(min_size=1, max_size=300), min_size=1, max_size=5),
    FLOAT,
    FLOAT,
    st.integers(0, 2**31 - 1),
    st.booleans(),
)
def test_an_answer_has_the_bytes_that_the_dialects_own_classes_write(
    dialect: Dialect, blobs: list[bytes], spent: float, audio: float, device: int, block: bool
) -> None:
    kind = messages(dialect.value)
    expected = kind.InferBatchResponse(
        success=True, inference_time_ms=spent, audio_processing_ms=audio, gpu_id=device
    )
    if block:
        expected.output_block = b"".join(blobs)
    else:
        expected.outputs.extend(kind.RawMouthRegion(data=blob) for blob in blobs)
    views = [memoryview(blob) for blob in blobs]
    found = success(
        dialect, views, inference_ms=spent, audio_ms=audio, device=device, one_block=block
    )
    assert found == expected.SerializeToString(deterministic=True)


@given(st.sampled_from([Dialect.V1, Dialect.V2]), st.text(max_size=300))
def test_a_failure_has_the_bytes_of_its_dialect(dialect: Dialect, words: str) -> None:
    expected = messages(dialect.value).InferBatchResponse(error=words)
    assert failure(dialect, words) == expected.SerializeToString()


@given(st.text(min_size=1, max_size=300))
def test_a_failure_of_unknown_dialect_is_read_by_both(words: str) -> None:
    for dialect in (1, 2):
        found = messages(dialect).InferBatchResponse.FromString(failure(Dialect.UNKNOWN, words))
        assert (found.success, found.error) == (False, words)


@given(st.integers(0, 2**63 - 1))
def test_varint_is_read_back(number: int) -> None:
    ((_, _, found),) = fields(memoryview(b"\x08" + varint(number)))
    assert found == number


def test_the_generated_code_is_that_of_the_proto_file() -> None:
    (expected,) = copy.deepcopy(descriptors("inference.proto")).file
    found = type(expected)()
    inference_pb2.DESCRIPTOR.CopyToProto(found)
    for file in (expected, found):
        for message in file.message_type:
            for one in message.field:
                one.ClearField("json_name")
    assert found == expected


def test_the_dialects_differ_in_infer_batch_alone() -> None:
    (one,), (two,) = descriptors("inference.proto").file, descriptors("inference_v2.proto").file
    changed = {"InferBatchRequest", "InferBatchResponse"}

    def rest(file: Any) -> list[Any]:
        return [message for message in file.message_type if message.name not in changed]

    assert rest(one) == rest(two)
    assert one.service == two.service
    assert one.enum_type == two.enum_type


def test_additions_have_the_same_new_numbers_in_both_dialects() -> None:
    numbers = []
    for dialect in (1, 2):
        found = messages(dialect).InferBatchRequest.DESCRIPTOR.fields
        numbers.append({one.name: one.number for one in found if one.number >= 20})
    numbers[0].pop("raw_audio")  # an addition to V1 alone: V2 always had it
    assert numbers[0] == numbers[1]
    assert set(numbers[0]) == set(ADDITIONS)
