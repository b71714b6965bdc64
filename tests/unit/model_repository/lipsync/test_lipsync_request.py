"""What requests and configurations may say."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lipsync_errors import RefusedError
from lipsync_request import (
    Command,
    check_audio,
    check_frames,
    check_tenant,
    mouth_output,
    parse_command,
)
from lipsync_settings import ROOM, read_settings

from gateway.model_config import parameters, read_config
from launcher.layout import LIPSYNC_ROOM

CONFIG = Path(__file__).resolve().parents[4] / "model_repository" / "lipsync" / "config.pbtxt"
PARAMETERS = parameters(read_config(CONFIG))


def code(call, *arguments) -> str:
    with pytest.raises(RefusedError) as caught:
        call(*arguments)
    assert str(caught.value).startswith(f"{caught.value.code}: ")
    return caught.value.code


def test_commands() -> None:
    load = parse_command(b'{"op": "load", "tenant": "a", "path": "/a.onnx", "force": true}')
    assert load == Command("load", "a", "/a.onnx", True)
    assert parse_command(b'{"op": "unload", "tenant": "a"}') == Command("unload", "a")
    assert parse_command(b'{"op": "stats"}') == Command("stats")


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b"{}",
        b'{"op": "erase"}',
        b'{"op": "load", "tenant": "a", "path": "a.onnx"}',
        b'{"op": "load", "path": "/a.onnx"}',
        b'{"op": "load", "tenant": 5, "path": "/a.onnx"}',
        b'{"op": "load", "tenant": "a", "path": "/a\\u0000.onnx"}',
        b'{"op": "load", "tenant": "a", "path": "/a.onnx", "force": 1}',
        b'{"op": "unload"}',
        b"\xff",
        b"[" * 5000,
    ],
)
def test_other_commands_are_refused(text: bytes) -> None:
    assert code(parse_command, text) == "command_invalid"


@given(st.binary(max_size=60))
def test_no_command_raises_anything_else(text: bytes) -> None:
    with contextlib.suppress(RefusedError):
        parse_command(text)


@pytest.mark.parametrize("raw", [None, b"", b"\xff\xfe"])
def test_a_tenant_is_needed(raw: bytes | None) -> None:
    assert code(check_tenant, raw) == "command_invalid"


@pytest.mark.parametrize(
    "shape", [(0, 6, 320, 320), (3, 6, 320, 320), (1, 5, 320, 320), (1, 6, 319, 320), (6, 320, 320)]
)
def test_other_frames_are_refused(shape: tuple[int, ...]) -> None:
    assert code(check_frames, {"FRAMES_FP32": np.zeros(shape, np.float32)}, 2) == "frames_invalid"


def test_exactly_one_kind_of_frames() -> None:
    frame = np.zeros((1, 3, 320, 320), np.uint8)
    assert check_frames({"FRAMES_UINT8": frame}, 2) is frame
    assert code(check_frames, {}, 2) == "frames_invalid"
    both = {"FRAMES_UINT8": frame, "FRAMES_FP32": frame}
    assert code(check_frames, both, 2) == "frames_invalid"


def test_audio_is_one_block_or_one_per_frame() -> None:
    for blocks in (1, 4):
        block = np.zeros((blocks, 32, 16, 16), np.float32)
        assert check_audio(block, 4) is block
    assert code(check_audio, np.zeros((2, 32, 16, 16), np.float32), 4) == "audio_invalid"
    assert code(check_audio, np.zeros((1, 16, 32, 16), np.float32), 4) == "audio_invalid"
    assert code(check_audio, None, 4) == "audio_invalid"


def test_one_output_is_made() -> None:
    assert mouth_output(["TIMING", "MOUTH_UINT8"]) == "MOUTH_UINT8"
    assert mouth_output(["MOUTH_UINT8", "MOUTH_FP16", "MOUTH_FP32", "TIMING"]) == "MOUTH_FP32"
    assert mouth_output([]) == "MOUTH_FP32"


def test_the_committed_configuration_is_valid(tmp_path: Path) -> None:
    settings = read_settings(PARAMETERS, tmp_path)
    assert (settings.device, settings.index, settings.blob_folder) == ("auto", 0, None)
    assert settings.mask.area == (slice(5, 306), slice(5, 311))


def test_the_installation_says_what_kind_of_device_and_the_configuration_which(
    tmp_path: Path,
) -> None:
    own = {"device": "cpu", "mask": "5,5,314,309", "blob_folder": "/blobs"}
    (tmp_path / "settings.json").write_text(json.dumps(own))
    settings = read_settings({**PARAMETERS, "device": "auto:2"}, tmp_path)
    assert (settings.device, settings.index) == ("cpu", 2)
    assert settings.blob_folder == Path("/blobs")
    assert settings.mask.bottom == 309


def test_what_is_planned_for_a_shared_card_comes_by_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ROOM == LIPSYNC_ROOM, "the launcher's name for it"
    assert read_settings(PARAMETERS, tmp_path).device_room == 0
    monkeypatch.setenv(ROOM, '{"0": 20000000000, "2": 7}')
    rooms = {
        device: read_settings({**PARAMETERS, "device": device}, tmp_path).device_room
        for device in ("auto", "auto:1", "cuda:2")
    }
    assert rooms == {"auto": 20_000_000_000, "auto:1": 0, "cuda:2": 7}
    for wrong in ("[]", "3e9", '{"0": "7"}', "no JSON"):
        monkeypatch.setenv(ROOM, wrong)
        with pytest.raises(ValueError, match=r"."):
            read_settings(PARAMETERS, tmp_path)


@pytest.mark.parametrize(
    ("key", "value"),
    [("device", "tpu"), ("queue_size", "0"), ("workers", "-1"), ("mask", "1"), ("loads", "x")],
)
def test_other_parameters_are_refused(key: str, value: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_settings({**PARAMETERS, key: value}, tmp_path)
