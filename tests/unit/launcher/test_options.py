from __future__ import annotations

from pathlib import Path

import pytest

from gateway.settings import Settings
from gateway.settings.triton import TritonSettings
from launcher.errors import LauncherError
from launcher.layout import environment, find_wheel
from launcher.options import ServerOptions, Tls, command_line, complete_configs, options_from
from launcher.selftest import REPOSITORY


def line(**fields: object) -> list[str]:
    fields = {"socket": Path("/run/p/triton:8001"), **fields}
    options = ServerOptions(repository=Path("models"), **fields)  # type: ignore[arg-type]
    return command_line(
        options, find_wheel(), Path("/backends"), "prefix-", environment(find_wheel())
    )


def test_defaults_are_explicit_control_at_a_socket() -> None:
    arguments = line()
    assert "--model-control-mode=explicit" in arguments
    assert f"--model-repository={Path('models').resolve()}" in arguments
    assert {"--grpc-address=unix:/run/p/triton", "--grpc-port=8001"} <= set(arguments)
    assert "--allow-http=false" in arguments
    assert "--metrics-address=127.0.0.1" in arguments
    assert "--backend-config=python,shm-region-prefix-name=prefix-" in arguments
    assert not [part for part in arguments if "restricted" in part or "trace" in part]
    assert not [part for part in arguments if "model-config-name" in part]


def test_ports_are_opened_only_where_they_are_named() -> None:
    arguments = line(host="10.0.0.7", grpc_port=8001, http_port=8000)
    assert {"--grpc-address=10.0.0.7", "--grpc-port=8001"} <= set(arguments)
    assert {"--allow-http=true", "--http-address=10.0.0.7", "--http-port=8000"} <= set(arguments)
    assert not [part for part in arguments if "ssl" in part]


def test_certificates_close_a_port(tmp_path: Path) -> None:
    tls = Tls(tmp_path / "ca", tmp_path / "certificate", tmp_path / "key", "name")
    arguments = line(grpc_port=8001, tls=tls)
    assert "--grpc-use-ssl-mutual=true" in arguments
    assert f"--grpc-server-key={tmp_path / 'key'}" in arguments
    assert not [part for part in line(tls=tls) if "ssl" in part], "a socket needs none"


@pytest.mark.parametrize("name", ["triton", "triton:", "triton:x", "triton:0", "triton:65536"])
def test_a_socket_that_triton_cannot_name_is_told(name: str) -> None:
    settings = Settings(triton=TritonSettings(url=f"unix:/run/pentad/{name}"))
    with pytest.raises(LauncherError, match=r"triton\.url: triton.* must end"):
        options_from(settings, "default")


def test_profile_and_tracing() -> None:
    arguments = line(profile="openvino", trace_url="http://c:4318/v1/traces", trace_rate=10)
    assert "--model-config-name=openvino" in arguments
    assert "--trace-config=rate=10" in arguments
    assert "--trace-config=opentelemetry,url=http://c:4318/v1/traces" in arguments


COMPLETE = """
backend: "python"
input [ { name: "A" data_type: TYPE_STRING dims: [ 1 ] } ]
output [ { name: "B" data_type: TYPE_FP32 dims: [ 1 ] } ]
"""
COMPLETION_OFF = "--disable-auto-complete-config"


def asked_to_complete(tmp_path: Path, configs: dict[str, str]) -> bool:
    for name, text in configs.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    options = ServerOptions(repository=tmp_path, socket=Path("/run/p/triton:8001"))
    return COMPLETION_OFF not in command_line(
        options, find_wheel(), Path("/backends"), "prefix-", {}
    )


def test_complete_models_are_not_completed(tmp_path: Path) -> None:
    profiles = {"a/config.pbtxt": COMPLETE, "a/configs/openvino.pbtxt": COMPLETE}
    assert not asked_to_complete(tmp_path, profiles)


@pytest.mark.parametrize(
    "incomplete",
    [
        'backend: "onnxruntime"',
        COMPLETE.replace("backend", "# backend"),
        COMPLETE.replace("output", "input"),
        COMPLETE.replace("dims: [ 1 ]", ""),
        COMPLETE + "{",
        "input: 1 output: 1 backend: 2",
    ],
)
@pytest.mark.parametrize("file", ["b/config.pbtxt", "a/configs/openvino.pbtxt"])
def test_one_incomplete_configuration_is_completed(
    tmp_path: Path, incomplete: str, file: str
) -> None:
    assert asked_to_complete(tmp_path, {"a/config.pbtxt": COMPLETE, file: incomplete})


def test_models_that_are_not_there_yet_may_need_completion(tmp_path: Path) -> None:
    assert asked_to_complete(tmp_path, {})
    (tmp_path / "a").mkdir()
    assert asked_to_complete(tmp_path, {}), "a model without a configuration"


def test_our_own_models_need_no_completion() -> None:
    assert complete_configs([Path(__file__).parents[3] / "model_repository", REPOSITORY])
