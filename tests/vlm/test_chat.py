"""OpenAI's official client against gateway, Triton and vLLM; random weights."""

from __future__ import annotations

import base64
import concurrent.futures
import io
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from PIL import Image

from tests.support.clips import carphone, carphone_frames
from tests.support.stack import Stack
from tests.support.vlm_model import (
    CHECKPOINT,
    ENVIRONMENT,
    ROOT,
    VARIABLES,
    engines,
    random_model,
    series,
)
from tests.support.waiting import wait_for
from tests.vlm.conftest import Keeper
from tests.vlm.test_answers import EMOTIONS, SCHEMA, listing

pytestmark = pytest.mark.timeout(600)
READY_SECONDS = 400
HELLO = [{"role": "user", "content": "What happens?"}]
GREEDY = {"temperature": 0, "max_tokens": 40, "extra_body": {"thinking_token_budget": 12}}


@pytest.fixture(scope="module")
def stack(keeper: Keeper, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    assert ENVIRONMENT.is_dir(), "`make vlm-env` creates the environment of these tests"
    keeper.stop()  # one engine at a time
    folder = tmp_path_factory.mktemp("chat")
    skipped = shutil.ignore_patterns("vlm", "__pycache__")
    copy = folder / "repository"
    shutil.copytree(ROOT / "model_repository", copy, symlinks=True, ignore=skipped)
    variables = {
        "PENTAD_SERVICES": '["vlm"]',
        "PENTAD_PATHS__REPOSITORY": str(random_model(copy)),
        **VARIABLES,
    }
    running = Stack(folder / "state", variables)
    try:
        running.start(READY_SECONDS)
        yield running
        running.stop()
        assert not engines(), "processes outlived the server"
    finally:
        running.kill()


@pytest.fixture
def chat(stack: Stack) -> Iterator[Any]:
    with openai.OpenAI(
        api_key="none", base_url=stack.main + "/v1", max_retries=0, timeout=200
    ) as client:
        yield client.chat.completions


def metric(stack: Stack, name: str, **labels: str) -> float:
    return series(stack.environment["PENTAD_TRITON__METRICS_URL"], name, **labels)


def image_part(number: int = 0) -> dict[str, Any]:
    stream = io.BytesIO()
    Image.fromarray(carphone_frames()[number]).save(stream, "PNG")
    data = base64.b64encode(stream.getvalue()).decode()
    return {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}}


def clip_part() -> dict[str, Any]:
    data = base64.b64encode(carphone()).decode()
    return {"type": "video_url", "video_url": {"url": f"data:video/mp4;base64,{data}"}}


def asked(*parts: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"role": "user", "content": [*parts, {"type": "text", "text": "What happens?"}]}]


def schema(of: dict[str, Any]) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": of}}


def streamed(chat: Any, **asked: Any) -> tuple[str, str, str | None, Any, int]:
    """Thinking, answer, finish reason, usage and number of pieces of a stream."""
    options = {"include_usage": True}
    reasoning, text, reason, usage, pieces = "", "", None, None, 0
    for chunk in chat.create(model=CHECKPOINT, stream=True, stream_options=options, **asked):
        usage = chunk.usage or usage
        for choice in chunk.choices:
            told = getattr(choice.delta, "reasoning", None) or ""
            reasoning, text = reasoning + told, text + (choice.delta.content or "")
            pieces += bool(told or choice.delta.content)
            reason = choice.finish_reason or reason
    return reasoning, text, reason, usage, pieces


def test_a_stream_is_the_whole_answer_in_pieces(chat: Any) -> None:
    whole = chat.create(model=CHECKPOINT, messages=HELLO, **GREEDY)
    message = whole.choices[0].message
    reasoning, text, reason, usage, pieces = streamed(chat, messages=HELLO, **GREEDY)
    assert (reasoning, text) == (message.reasoning or "", message.content or "")
    assert (reason, usage) == (whole.choices[0].finish_reason, whole.usage)
    assert usage.completion_tokens <= 40
    assert 0 < usage.completion_tokens_details.reasoning_tokens <= 13
    assert pieces > 1


def test_a_schema_is_followed_in_a_stream_too(chat: Any) -> None:
    given = {"response_format": schema(SCHEMA), "messages": HELLO, "seed": 5}
    _, text, reason, *_ = streamed(chat, reasoning_effort="none", **given)
    content = json.loads(text)
    assert content["emotion"] in EMOTIONS
    assert reason == "stop"


def test_pictures_clips_and_turns_are_read(chat: Any) -> None:
    few = {"model": "vlm", "max_tokens": 1, "reasoning_effort": "none"}

    def tokens(messages: list[dict[str, Any]]) -> int:
        return int(chat.create(messages=messages, **few).usage.prompt_tokens)

    words = tokens(asked())
    one, two = tokens(asked(image_part())), tokens(asked(image_part(), image_part(9)))
    assert one - words > 16
    assert two - one == one - words
    clip = tokens(asked(clip_part()))
    assert clip - words > 8 * 16
    both = tokens([*asked(clip_part()), {"role": "assistant", "content": "A."}, *asked()])
    assert both > clip + words - 10


def test_a_stop_ends_the_answer_and_the_generation(chat: Any, stack: Stack) -> None:
    given = {"response_format": schema(listing(900)["schema"]), "messages": HELLO, "seed": 1}
    given |= {"reasoning_effort": "none", "model": CHECKPOINT}
    ended = chat.create(**given, stop=[EMOTIONS[0], EMOTIONS[1], EMOTIONS[2]])
    assert ended.choices[0].finish_reason == "stop"
    assert ended.choices[0].message.content == '["'
    assert ended.usage.completion_tokens < 60
    wait_for(lambda: metric(stack, "pentad_vlm_load", state="generating") == 0)


def test_the_limit_of_tokens_is_thinking_and_answer_together(chat: Any) -> None:
    reply = chat.create(model="vlm", messages=HELLO, max_completion_tokens=5)
    assert reply.usage.completion_tokens <= 5
    listed = schema(listing(90)["schema"])
    reply = chat.create(
        model="vlm", messages=HELLO, max_tokens=9, response_format=listed, reasoning_effort="none"
    )
    assert (reply.choices[0].finish_reason, reply.usage.completion_tokens) == ("length", 9)


def test_two_streams_are_generated_at_the_same_time(chat: Any, stack: Stack) -> None:
    given = {"response_format": schema(listing(300)["schema"]), "reasoning_effort": "none"}
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        asked_for = [
            pool.submit(streamed, chat, messages=HELLO, seed=seed, **given) for seed in (1, 2)
        ]
        wait_for(lambda: metric(stack, "pentad_vlm_load", state="generating") == 2)
        texts = [future.result()[1] for future in asked_for]
    assert [len(json.loads(text)) for text in texts] == [300, 300]
    assert texts[0] != texts[1]


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_leaves_ends_the_generation(stack: Stack, stream: bool) -> None:
    before = metric(stack, "pentad_vlm_requests_total", outcome="cancelled")
    given = {"response_format": schema(listing(900)["schema"]), "reasoning_effort": "none"}
    with openai.OpenAI(
        api_key="none", base_url=stack.main + "/v1", max_retries=0, timeout=200
    ) as client:
        if stream:
            events = client.chat.completions.create(
                model=CHECKPOINT, messages=HELLO, stream=True, **given
            )
            assert sum(1 for _ in zip(events, range(5), strict=False)) == 5
            events.close()
        else:
            impatient = client.with_options(timeout=3)
            with pytest.raises(openai.APITimeoutError):
                impatient.chat.completions.create(model=CHECKPOINT, messages=HELLO, **given)
    wait_for(
        lambda: metric(stack, "pentad_vlm_requests_total", outcome="cancelled") > before,
        told=lambda: "the engine was never told",
    )
    wait_for(lambda: metric(stack, "pentad_vlm_load", state="generating") == 0)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"messages": [{"role": "user", "content": "word " * 9000}]}, "too many tokens"),
        ({"messages": asked(*[image_part()] * 9)}, "more than 8"),
        ({"messages": asked(*[clip_part()] * 3)}, "at most 8 pictures and 2 clips"),
        ({"messages": HELLO, "response_format": schema({"type": "nonsense"})}, "response_format"),
        ({"messages": HELLO, "max_tokens": 20_000}, "at most"),
        ({"messages": asked({"type": "image_url", "image_url": {"url": "data:a/b;base64,AAAA"}})},
         "not a valid image"),
    ],
)  # fmt: skip
def test_what_is_refused(chat: Any, given: dict[str, Any], words: str) -> None:
    with pytest.raises(openai.BadRequestError, match=words):
        chat.create(model="vlm", **given)


def test_the_guides_example(stack: Stack) -> None:
    page = (ROOT / "docs" / "services" / "chat.md").read_text(encoding="utf-8")
    ((command, shown),) = re.findall(r"```bash\n(curl.*?)```\n\n```json\n(.*?)```", page, re.S)
    command = command.replace("localhost:9000", stack.main)
    done = subprocess.run(["bash", "-c", command], capture_output=True, timeout=180, check=True)
    answer, known = json.loads(done.stdout), json.loads(shown)
    assert answer.keys() == known.keys()
    assert answer["usage"].keys() == known["usage"].keys()
    assert answer["choices"][0].keys() == known["choices"][0].keys()
    assert answer["choices"][0]["message"].keys() == known["choices"][0]["message"].keys()
