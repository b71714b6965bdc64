"""The engine `remote` at its edge: what is sent, and what becomes of each answer there is."""

from __future__ import annotations

import io
import json
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from remote.client import ImageEditClient, NotReachedError
from remote.engine import RemoteEngine
from tryon_engine import EngineJob
from tryon_errors import InputError, JobCancelledError, JobTimeoutError, PipelineError, TryonError
from tryon_progress import JobWatch
from tryon_request import CATEGORY_PROMPTS, DEFAULT_PROMPT, parse_options
from tryon_settings import read_settings

from tests.support.images_api import (
    Answer,
    ImagesApi,
    breaks_off,
    hangs,
    images_api,
    pictures,
    says,
)
from tests.support.rude_receiver import endless, rude_receiver
from tests.support.tiny_pictures import picture, png
from tests.support.tryon_model import parameters
from tests.support.waiting import wait_for

SIZE = (48, 64)
KEY = "sk-of-the-server"


@pytest.fixture
def api() -> Iterator[ImagesApi]:
    with images_api() as server:
        yield server


@pytest.fixture(autouse=True)
def without_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses before a server is asked again are short; nobody needs the body networks here."""
    monkeypatch.setattr("remote.engine.FIRST_PAUSE", 0.01)
    monkeypatch.setattr("remote.engine.LONGEST_PAUSE", 0.05)
    monkeypatch.setattr("remote.engine.LOOK", 0.01)
    monkeypatch.setattr("remote.client.LOOK", 0.01)
    monkeypatch.setattr("tryon_engine.BodyNetworks", lambda folder, threads: None)


class Remote:
    """An engine that is loaded, and its jobs."""

    def __init__(self, url: str, **changed: str) -> None:
        given = {"engine": "remote", "remote_url": url, "body_networks": ".", **changed}
        self.settings = read_settings(parameters(**given), Path("/nonexistent"))
        self.engine = RemoteEngine(self.settings)
        self.engine.load()
        self.cancelled = threading.Event()

    def run(self, seconds: float | None = None, **options: Any) -> Image.Image:
        wanted = parse_options(json.dumps({"restore": False, **options}).encode(), self.settings)
        deadline = None if seconds is None else time.monotonic() + seconds
        watch = JobWatch(lambda told: None, self.cancelled.is_set, deadline)
        person, garment = Image.new("RGB", (50, 70), "red"), Image.new("RGB", (32, 16), "navy")
        return self.engine.generate(EngineJob(person, garment, wanted, watch)).picture


Make = Callable[..., Remote]


@pytest.fixture
def remote(api: ImagesApi) -> Iterator[Make]:
    made: list[Remote] = []

    def make(url: str = "", **changed: str) -> Remote:
        made.append(Remote(url or api.url, **changed))
        return made[-1]

    yield make
    for one in made:
        one.engine.unload()


def test_the_fields_of_a_request(api: ImagesApi, remote: Make) -> None:
    made = remote(remote_model="qwen").run(seed=300, steps=7, cfg=2.5, prompt="in blue")
    assert (made.mode, made.size, made.getpixel((0, 0))) == ("RGB", SIZE, (44, 1, 7))
    (asked,) = api.asked
    assert asked.fields == {
        "model": "qwen", "prompt": "in blue", "n": "1", "size": "48x64", "seed": "300",
        "response_format": "b64_json", "output_format": "png", "num_inference_steps": "7",
        "true_cfg_scale": "2.5", "negative_prompt": " ",
    }  # fmt: skip
    person, garment = (np.asarray(Image.open(io.BytesIO(file))) for file in asked.pictures)
    assert (person.shape, person[0, 0].tolist()) == ((64, 48, 3), [255, 0, 0])
    assert (garment.shape, garment[0, 0].tolist()) == ((16, 32, 3), [0, 0, 128])
    assert "Authorization" not in asked.headers


def test_what_nobody_chose_is_left_to_the_server(api: ImagesApi, remote: Make) -> None:
    engine = remote()
    engine.run()
    assert not {"model", "num_inference_steps", "true_cfg_scale"} & api.asked[-1].fields.keys()
    assert api.asked[-1].fields["negative_prompt"] == " "
    assert engine.engine.model == "tiny-edit"
    engine.run(cfg=1)
    assert "negative_prompt" not in api.asked[-1].fields  # guidance is off
    remote(default_steps="3", default_cfg="5").run()
    assert (
        api.asked[-1].fields.items()
        >= {"num_inference_steps": "3", "true_cfg_scale": "5.0"}.items()
    )


@pytest.mark.parametrize("category", [None, "auto", "tops", "bottoms", "dresses"])
def test_a_category_is_told_in_the_prompt(
    api: ImagesApi, remote: Make, category: str | None
) -> None:
    remote().run(category=category)
    assert api.asked[-1].fields["prompt"] == DEFAULT_PROMPT + CATEGORY_PROMPTS.get(
        category or "", ""
    )
    remote().run(category=category, prompt="mine")
    assert api.asked[-1].fields["prompt"] == "mine"


def test_the_key_is_sent_read_anew_and_never_told(
    api: ImagesApi, remote: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    file = tmp_path / "key"
    file.write_text(f"{KEY}\n")
    api.key = KEY
    engine = remote(remote_key_file=str(file))
    engine.run()
    assert api.asked[-1].headers["Authorization"] == f"Bearer {KEY}"
    file.write_text("another one, with spaces")
    with pytest.raises(PipelineError, match="holds no key"):
        engine.run()
    file.write_text("sk-wrong")
    with pytest.raises(JobTimeoutError):
        engine.run(seconds=0.3)
    assert engine.engine.absent() == "the server refuses the key (401)"
    api.key = "sk-wrong"  # the operator has put it right
    engine.run()
    assert engine.engine.absent() is None
    assert "the server refuses the key" in caplog.text
    for secret in (KEY, "sk-wrong", "in blue", DEFAULT_PROMPT[:20]):
        assert secret not in caplog.text


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        (says(400, {"detail": "/secret/path"}), InputError, "refuses the pictures"),
        (says(413), InputError, "refuses the pictures"),
        (says(422, {"detail": []}), InputError, "refuses the pictures"),
        (says(404, {"error": {"message": "no such model"}}), PipelineError, "answered 404"),
        (says(500, {"detail": "CUDA out of memory"}), PipelineError, "answered 500"),
        (says(204), PipelineError, "answered 204"),
        (says(200, b"<html>"), PipelineError, "no JSON"),
        (says(200, b"\xff\xfe"), PipelineError, "no JSON"),
        (says(200, b"[" * 50_000), PipelineError, "no JSON"),
        (says(200, []), PipelineError, "not one picture"),
        (says(200, {"data": []}), PipelineError, "not one picture"),
        (says(200, pictures(png(*SIZE), png(*SIZE))), PipelineError, "not one picture"),
        (says(200, {"data": [{"url": "http://127.0.0.1/x"}]}), PipelineError, "b64_json"),
        (says(200, {"data": [{"b64_json": "%%%"}]}), PipelineError, "no base64"),
        (says(200, {"data": [{"b64_json": "é"}]}), PipelineError, "no base64"),
        (says(200, pictures(b"GIF89a...")), PipelineError, "no readable"),
        (says(200, pictures(picture("GIF", *SIZE))), PipelineError, "no readable"),
        (says(200, pictures(png(*SIZE)[:-30])), PipelineError, "no readable"),
        (says(200, pictures(png(64, 48))), PipelineError, "another size"),
        (says(200, pictures(png(640, 480))), PipelineError, "another size"),
        (says(200, pictures(png(16, 16))), PipelineError, "another size"),
        (says(200, {"data": [{"b64_json": "A" * 200_000}]}), PipelineError, "more than"),
        (says(200, b"{}", Content_Encoding="gzip"), PipelineError, "compressed"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_an_answer_that_is_no_picture_fails_the_job(
    api: ImagesApi, remote: Make, answer: Answer, error: type[TryonError], words: str
) -> None:
    engine = remote()
    api.answers = [answer]
    with pytest.raises(error, match=words) as failed:
        engine.run()
    assert "secret" not in str(failed.value)
    assert len(api.asked) == 1
    assert engine.run(seed=1).getpixel((0, 0)) == (1, 0, 7)  # the next job is as if none had been


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_other_formats_are_read(api: ImagesApi, remote: Make, kind: str) -> None:
    api.answers = [says(200, pictures(picture(kind, *SIZE)))]
    made = np.asarray(remote().run()).astype(int)
    assert np.abs(made - (90, 120, 40)).max() < 8


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_no_redirect_is_followed(api: ImagesApi, remote: Make, status: int) -> None:
    with images_api() as other:
        engine = remote()
        api.answers = [says(status, Location=f"{other.url}/images/edits")]
        with pytest.raises(PipelineError, match=f"answered {status}"):
            engine.run()
        assert not other.asked


@pytest.mark.parametrize("status", [408, 425, 429, 503])
def test_a_busy_server_is_asked_again(api: ImagesApi, remote: Make, status: int) -> None:
    engine = remote(remote_attempts="1")
    api.answers = [says(status), says(status, Retry_After="0"), says(status, Retry_After="soon")]
    assert engine.run(seed=2).getpixel((0, 0)) == (2, 0, 7)
    assert len(api.asked) == 4


def test_a_server_is_left_alone_for_as_long_as_it_asks(api: ImagesApi, remote: Make) -> None:
    api.answers = [says(429, Retry_After="1")]
    begin = time.monotonic()
    remote().run()
    assert time.monotonic() - begin >= 1


def test_a_deadline_ends_the_wait_for_a_busy_server(api: ImagesApi, remote: Make) -> None:
    api.answers = [says(503, Retry_After="100000")]
    engine = remote()
    begin = time.monotonic()
    with pytest.raises(JobTimeoutError):
        engine.run(seconds=0.3)
    assert time.monotonic() - begin < 30


@pytest.mark.parametrize("answer", [breaks_off, says(502), says(504)], ids=["closes", "502", "504"])
def test_a_server_that_breaks_off_is_asked_so_often(
    api: ImagesApi, remote: Make, answer: Answer
) -> None:
    engine = remote()
    api.answers = [answer] * 2
    assert engine.run(seed=3).getpixel((0, 0)) == (3, 0, 7)
    assert len(api.asked) == 3
    api.answers = [answer] * 3
    with pytest.raises(PipelineError, match="often enough"):
        engine.run()
    assert len(api.asked) == 6


def test_a_cancelled_job_closes_the_connection(api: ImagesApi, remote: Make) -> None:
    engine = remote()
    api.answers = [hangs]
    threading.Thread(target=lambda: (wait_for(lambda: api.asked), engine.cancelled.set())).start()
    with pytest.raises(JobCancelledError):
        engine.run()
    assert api.asked[0].left.wait(30)
    assert engine.engine.absent() is None


def test_a_late_job_closes_the_connection(api: ImagesApi, remote: Make) -> None:
    engine = remote()
    api.answers = [hangs]
    with pytest.raises(JobTimeoutError):
        engine.run(seconds=0.5)
    assert api.asked[0].left.wait(30)


def test_an_endless_answer_is_not_read_to_its_end(remote: Make) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n"
    with rude_receiver(endless(head, b"[" * 65_536)) as url:
        engine = remote(url.rstrip("/"))
        with pytest.raises(PipelineError, match="more than"):
            engine.run()


def test_a_server_that_is_not_there_is_waited_for(
    remote: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("remote.engine.PROBE_PAUSE", 0.02)
    with images_api() as gone:
        url = gone.url
    engine = remote(url)
    assert engine.engine.absent() == "the server cannot be reached"
    with pytest.raises(JobTimeoutError):
        engine.run(seconds=0.3)
    with images_api() as api:
        engine = remote(api.url)
        assert engine.engine.absent() is None
        api.models = says(503)
        wait_for(lambda: engine.engine.absent() == "the server is not ready (503)")
        api.models = says(404)  # SGLang has no such list; it is there all the same
        wait_for(lambda: engine.engine.absent() is None)
        api.key = KEY
        wait_for(lambda: engine.engine.absent() == "the server refuses the key (401)")
        api.key = ""
        wait_for(lambda: engine.engine.absent() is None)
    wait_for(lambda: engine.engine.absent() == "the server cannot be reached")


def test_a_server_that_accepts_and_says_nothing_is_not_there(
    remote: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("remote.client.PROBE_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        engine = remote(f"http://127.0.0.1:{listener.getsockname()[1]}/v1")
        assert engine.engine.absent() == "the server cannot be reached"


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"remote_url": ""}, "needs remote_url"),
        ({"remote_url": "ftp://images/v1"}, "no http"),
        ({"remote_url": "http://"}, "no http"),
        ({"remote_url": "http://[::1/v1"}, "no URL"),
        ({"remote_url": f"http://user:{KEY}@images/v1"}, "more than an address"),
        ({"remote_url": f"http://images/v1?key={KEY}"}, "more than an address"),
        ({"remote_key_file": "/nonexistent/key"}, "remote_key_file is unreadable"),
        ({"remote_ca_file": "/nonexistent/ca"}, "remote_ca_file is unreadable"),
    ],
)
def test_unusable_settings_are_told_at_load(changed: dict[str, str], words: str) -> None:
    with pytest.raises(PipelineError, match=words) as failed:
        Remote(**{"url": "http://images/v1", **_renamed(changed)})
    assert KEY not in str(failed.value)


def test_proxies_of_the_environment_are_not_used(
    api: ImagesApi, remote: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    remote().run()
    assert len(api.asked) == 1


def test_a_certificate_of_nobody_is_not_trusted() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            connection, _ = listener.accept()
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            connection.close()

        threading.Thread(target=answer, daemon=True).start()
        given = parameters(
            engine="remote", remote_url=f"https://127.0.0.1:{listener.getsockname()[1]}"
        )
        with pytest.raises(NotReachedError):
            ImageEditClient(read_settings(given, Path("/nonexistent")).remote).models()


def _renamed(changed: dict[str, str]) -> dict[str, str]:
    """Return the changes with the URL under the name that `Remote` has for it."""
    return {"url" if name == "remote_url" else name: value for name, value in changed.items()}
