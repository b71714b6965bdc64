"""The documentation's examples, the dashboard and the logs of the running containers."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import av
import pytest
from playwright.sync_api import Browser, expect

from tests.support.browser import Tab
from tests.support.container_stack import ADDRESS, AUTH_TOKEN, MAIN, ContainerStack
from tests.support.containers import ROOT
from tests.support.waiting import wait_for

EXAMPLE = re.compile(r"```bash\n(curl.*?)```\n(?:\n```json\n(.*?)```)?", re.S)
PAGES = ("faces", "lipsync", "text", "tryon", "vision")
TITLES = ("IoT", "Lip-sync", "Text", "Try-on", "Vision")
START_SECONDS = 5.0


def keys_of(value: object) -> object:
    """Return the names in a JSON answer, lists by their first element."""
    if isinstance(value, dict):
        return {key: keys_of(item) for key, item in value.items()}
    return [keys_of(value[0])] if isinstance(value, list) and value else None


@pytest.mark.parametrize("page", PAGES)
def test_the_first_example_of_a_service(
    stack: ContainerStack, demo: Path, tmp_path: Path, page: str
) -> None:
    """As the page has it; the address and the client's key come from curl's own configuration."""
    if page == "lipsync":  # whoever comes to its first curl has run the client
        client = [sys.executable, str(ROOT / "examples" / "lipsync_client.py")]
        client += ["--address", f"{ADDRESS}:50051", "--key", stack.key]
        subprocess.run(client, cwd=tmp_path, check=True, timeout=180)
        with av.open(str(tmp_path / "mouth.mp4")) as video:
            assert next(video.decode(video=0)).to_ndarray(format="rgb24").shape == (320, 320, 3)
    text = (ROOT / "docs" / "services" / f"{page}.md").read_text(encoding="utf-8")
    command, shown = EXAMPLE.findall(text)[0]
    (tmp_path / ".curlrc").write_text(f'header = "X-API-Key: {stack.key}"\nfail-with-body\n')
    done = subprocess.run(
        ["bash", "-c", command.replace("localhost:", f"{ADDRESS}:")],
        cwd=ROOT, env={"PATH": "/usr/bin:/bin", "CURL_HOME": str(tmp_path)},
        capture_output=True, text=True, timeout=180,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert keys_of(json.loads(done.stdout)) == keys_of(json.loads(re.sub(r", …", "", shown)))


def test_a_result_goes_to_its_receiver_signed(stack: ContainerStack, demo: Path) -> None:
    """Out of the containers' network, with the secret that the volume keeps."""
    (job,) = stack.ended([stack.submit(demo, 5)])
    (sent,) = stack.received(job["job_id"])
    assert sent.signed_by((stack.volume("state") / "tryon" / "webhook.secret").read_text().strip())
    assert sent.headers["x-internal-auth"] == stack.project.environment["gateway"][AUTH_TOKEN]


def test_the_dashboard(stack: ContainerStack, browser: Browser) -> None:
    tab = Tab(browser, MAIN, color_scheme="light")
    page = tab.open("services")
    page.get_by_role("dialog", name="API key").get_by_label("Key").fill(stack.key)
    page.keyboard.press("Enter")
    for title in TITLES:
        card = page.get_by_role("region", name=title, exact=True)
        expect(card.locator(".card-header")).to_contain_text("ready")
    assert tab.foreign == []
    assert tab.complaints == []
    assert tab.violations() == []
    tab.context.close()


def test_processes_have_no_rights(stack: ContainerStack) -> None:
    for service in ("gateway", "triton"):
        for pid in stack.processes(service):
            status = Path(f"/proc/{pid}/status").read_text()
            fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
            assert fields["Uid"].split() == ["1000"] * 4
            assert int(fields["CapEff"], 16) == int(fields["CapBnd"], 16) == 0
            assert fields["NoNewPrivs"] == "1"


def test_the_gateway_s_root_is_read_only(stack: ContainerStack) -> None:
    name = stack.project.container("gateway")
    places = ("/tmp/x", "/var/lib/pentad/x", "/opt/pentad/x", "/var/x", "/models/x", "/tenants/x")
    script = 'for file; do touch "$file" 2>/dev/null && rm "$file" && echo "$file"; done; true'
    for user, writable in (("1000", places[:2]), ("0", places[:1])):  # a root without rights
        done = stack.project.engine.podman(
            "exec", "--user", user, name, "bash", "-c", script, "bash", *places
        )
        assert tuple(done.split()) == writable


def test_frames_pass_through_shared_memory(stack: ContainerStack) -> None:
    assert "frames travel without shared memory" not in stack.project.log("gateway")
    assert "/dev/shm has" not in stack.project.log("triton")


def test_triton_is_reached_through_its_socket_alone(stack: ContainerStack) -> None:
    """No port of Triton's but the metrics', and that one from the containers' network only."""
    state = stack.project.engine.container(stack.project.container("triton"))
    assert not any(state["HostConfig"]["PortBindings"].values())
    script = (
        "for port; do if (exec 3<>/dev/tcp/triton/$port) 2>/dev/null; then echo $port; fi; done"
    )
    name, ports = stack.project.container("gateway"), ("8000", "8001", "8002", "50051")
    reached = stack.project.engine.podman("exec", name, "bash", "-c", script, "bash", *ports)
    assert reached.split() == ["8002"]
    mode = stack.project.engine.podman("exec", name, "stat", "-c", "%a %u", "/run/pentad")
    assert mode.split() == ["700", "1000"]


def test_health_checks_say_what_is(stack: ContainerStack) -> None:
    wait_for(lambda: stack.project.healthy("gateway"))
    assert stack.project.healthy("triton")


def test_the_gateway_starts_quickly(stack: ContainerStack, tell: Callable[[str], None]) -> None:
    name, took = stack.project.container("gateway"), []
    for _ in range(3):
        stack.project.engine.podman("stop", name)
        begin = time.monotonic()
        stack.project.engine.podman("start", name)
        wait_for(lambda: stack.status("/healthz") == 200)
        took.append(time.monotonic() - begin)
    tell(f"the gateway's container answers after {min(took):.1f} s (best of {len(took)})")
    assert min(took) <= START_SECONDS
    stack.wait_ready()


def test_logs_hold_no_secrets(stack: ContainerStack) -> None:
    secrets = [
        stack.key,
        stack.project.environment["gateway"][AUTH_TOKEN],
        *(file.read_text().strip() for file in stack.volume("state").rglob("*.secret")),
    ]
    assert len(secrets) > 2
    for service in ("models", "triton", "gateway"):
        log = stack.project.log(service)
        assert log, service
        assert not [secret for secret in secrets if secret in log]
        for command in stack.processes(service).values() if service != "models" else ():
            assert not [secret for secret in secrets if secret in command]
