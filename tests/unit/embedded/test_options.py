from __future__ import annotations

from pathlib import Path

from embedded.layout import find_wheel
from embedded.options import ServerOptions, command_line


def line(**fields: object) -> list[str]:
    options = ServerOptions(repository=Path("models"), **fields)  # type: ignore[arg-type]
    return command_line(options, find_wheel(), Path("/backends"), "prefix-")


def test_defaults_are_explicit_control_on_loopback() -> None:
    arguments = line()
    assert "--model-control-mode=explicit" in arguments
    assert f"--model-repository={Path('models').resolve()}" in arguments
    for service in ("http", "grpc", "metrics"):
        assert f"--{service}-address=127.0.0.1" in arguments
    assert "--backend-config=python,shm-region-prefix-name=prefix-" in arguments
    assert not [part for part in arguments if "restricted" in part or "trace" in part]
    assert not [part for part in arguments if "model-config-name" in part]


def test_admin_key_restricts_both_protocols() -> None:
    arguments = line(admin_key="k")
    assert "--grpc-restricted-protocol=model-repository:triton-admin-key=k" in arguments
    assert "--http-restricted-api=model-repository:triton-admin-key=k" in arguments


def test_profile_and_tracing() -> None:
    arguments = line(profile="openvino", trace_url="http://c:4318/v1/traces", trace_rate=10)
    assert "--model-config-name=openvino" in arguments
    assert "--trace-config=rate=10" in arguments
    assert "--trace-config=opentelemetry,url=http://c:4318/v1/traces" in arguments
