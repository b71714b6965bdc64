"""Chat completions in OpenAI's wire format, raw and through the official client."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from gateway.errors import BusyError, DeadlineError
from gateway.triton.status import ModelDeadError, RefusedInputError
from tests.support.gateway import Running, running_gateway
from tests.support.waiting import until

KEY = "chat-key-1"
KEYS = {"keys": [
    {"name": "chat", "key": KEY, "services": ["vlm"]},
    {"name": "texts", "key": "text-key-1", "services": ["text"]},
    {"name": "faces", "key": "iot-key-12", "services": ["iot"]},
]}  # fmt: skip
HELLO = [{"role": "user", "content": "Hello there you"}]
SEEN = '[{"role": "user", "content": "Hello there you"}]'
"""The same as the model gets it, which the stand-in answers."""
PATH = "/v1/chat/completions"


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Running]:
    async with running_gateway(tmp_path, services=["text", "vlm"], security=KEYS) as running:
        running.main.headers["Authorization"] = f"Bearer {KEY}"
        yield running


def client_of(gateway: Running) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(
        api_key=KEY,
        base_url="http://localhost:9000/v1",
        http_client=gateway.main,
        max_retries=0,
    )


def uri(data: bytes, kind: str = "image/png") -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def picture(data: bytes) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": uri(data), "detail": "low"}}


def about(*parts: Any) -> dict[str, Any]:
    return {"model": "some-vlm", "messages": [{"role": "user", "content": list(parts)}]}


async def post(gateway: Running, **body: Any) -> httpx.Response:
    return await gateway.main.post(PATH, json={"model": "vlm", "messages": HELLO, **body})


async def test_a_whole_answer(gateway: Running) -> None:
    reply = await post(gateway, seed=3, max_tokens=20)
    body = reply.json()
    assert body["id"].startswith("chatcmpl-")
    told = {"frames": 16, "max_completion_tokens": 20, "seed": 3, "stream": False}
    assert {**body, "id": "", "created": 0} == {
        "id": "",
        "object": "chat.completion",
        "created": 0,
        "model": "vlm",
        "choices": [
            {
                "index": 0,
                "message": {
                    "role": "assistant",
                    "content": SEEN,
                    "reasoning": json.dumps(told, sort_keys=True),
                },
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {
            "prompt_tokens": 7,
            "completion_tokens": 5,
            "total_tokens": 12,
            "completion_tokens_details": {"reasoning_tokens": 2},
        },
    }


async def test_a_stream_byte_for_byte(gateway: Running) -> None:
    options = {"include_usage": True}
    reply = await post(gateway, stream=True, stream_options=options, include_reasoning=False)
    assert reply.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert reply.headers["cache-control"] == "no-store"
    events = reply.text.split("\n\n")
    assert events[-2:] == ["data: [DONE]", ""]
    chunks = [json.loads(event.removeprefix("data: ")) for event in events[:-2]]
    (head,) = {(chunk["id"], chunk["object"], chunk["created"], chunk["model"]) for chunk in chunks}
    assert head[1::2] == ("chat.completion.chunk", "vlm")
    deltas = [{"role": "assistant", "content": ""}]
    deltas += [
        {"content": text}
        for text in ('[{"role": ', '"user", ', '"content": ', '"Hello ', "there ", 'you"}]')
    ]
    assert [chunk["choices"] for chunk in chunks] == [
        *([{"index": 0, "delta": d, "logprobs": None, "finish_reason": None}] for d in deltas),
        [{"index": 0, "delta": {}, "logprobs": None, "finish_reason": "stop"}],
        [],
    ]
    assert [chunk["usage"] for chunk in chunks[:-1]] == [None] * (len(chunks) - 1)
    assert chunks[-1]["usage"]["total_tokens"] == 12
    await post(gateway)  # counts for streams alone
    seen = 'pentad_first_token_seconds_count{model="vlm"} 1.0'
    assert seen in gateway.context.metrics.render().decode()


async def test_the_official_client(gateway: Running) -> None:
    client = client_of(gateway)
    whole = await client.chat.completions.create(model="some-vlm", messages=HELLO)  # type: ignore[arg-type]
    assert whole.choices[0].message.content == SEEN
    text, reasoning, usage = "", "", None
    stream = await client.chat.completions.create(
        model="vlm",
        messages=HELLO,  # type: ignore[arg-type]
        stream=True,
        stream_options={"include_usage": True},
    )
    async for chunk in stream:
        for choice in chunk.choices:
            text += choice.delta.content or ""
            reasoning += getattr(choice.delta, "reasoning", None) or ""
        usage = chunk.usage or usage
    assert text == SEEN
    assert json.loads(reasoning)["stream"] is True
    assert usage is not None
    assert usage.completion_tokens_details is not None
    assert usage.completion_tokens_details.reasoning_tokens == 2
    with pytest.raises(openai.NotFoundError) as unknown:
        await client.chat.completions.create(model="gpt-5", messages=HELLO)  # type: ignore[arg-type]
    assert (unknown.value.code, unknown.value.param) == ("model_not_found", "model")


async def test_what_the_model_gets(gateway: Running) -> None:
    body = {
        "messages": [
            {"role": "developer", "content": "Be brief."},
            {"role": "assistant", "content": None},
            {"role": "user", "content": [
                {"type": "text", "text": "What?"},
                picture(b"a picture"),
                {"type": "video_url", "video_url": {"url": uri(b"a clip", "video/mp4")}},
            ]},
        ],
        "temperature": 0, "top_p": 0.5, "stop": "END", "presence_penalty": 1,
        "response_format": {
            "type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}},
        },
        "reasoning_effort": "none",
    }  # fmt: skip
    message = (await post(gateway, **body)).json()["choices"][0]["message"]
    assert json.loads(message["content"]) == [
        {"role": "system", "content": "Be brief."},
        {"role": "assistant", "content": ""},
        {"role": "user", "content": [
            {"type": "text", "text": "What?"},
            {"type": "image", "media": 0},
            {"type": "video", "media": 1},
        ]},
    ]  # fmt: skip
    assert json.loads(message["reasoning"]) == {
        "temperature": 0, "top_p": 0.5, "stop": ["END"], "presence_penalty": 1, "frames": 16,
        "schema": {"type": "object"}, "stream": False, "thinking_budget": 0,
    }  # fmt: skip
    assert gateway.triton.calls[-1] == ("vlm_chat", 2)


@pytest.mark.parametrize(
    ("body", "param", "words"),
    [
        ({"messages": []}, "messages", "at least 1"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages.0.role", "'user'"),
        ({"max_tokens": 152}, "max_tokens", "at most 151"),
        ({"max_completion_tokens": 0}, "max_completion_tokens", "greater"),
        ({"thinking_token_budget": 51}, "thinking_token_budget", "at most 50"),
        ({"temperature": 2.5}, "temperature", "less than or equal to 2"),
        ({"n": 2}, "n", "not offered"),
        ({"tools": [{"type": "function"}]}, "tools", "not offered"),
        ({"response_format": {"type": "json_schema"}}, "response_format", "missing"),
        (about({"type": "image_url", "image_url": {"url": "https://x.example/a.png"}}),
         "messages.0.content.0.image_url.url", "nothing is fetched"),
        (about({"type": "image_url", "image_url": {"url": "data:image/png;base64,*"}}),
         "messages.0.content.0.image_url.url", "base64"),
        (about(picture(b"fine"), picture(b"image_invalid")),
         "messages.0.content.1.image_url.url", "not a valid image"),
        (about(*[picture(b"fine")] * 9), "messages", "more than 8"),
        ({"messages": [{"role": "assistant", "content": [picture(b"fine")]}]},
         "messages.0.content.0.image_url.url", "a user's"),
    ],
)  # fmt: skip
async def test_what_is_refused(gateway: Running, body: Any, param: str, words: str) -> None:
    reply = await post(gateway, **body)
    assert reply.status_code == 400, reply.text
    error = reply.json()["error"]
    assert (error["param"], error["type"]) == (param, "invalid_request_error")
    assert words in error["message"]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("failure", "status", "code"),
    [
        (BusyError(retry_after=2), 503, "busy"),
        (DeadlineError(), 504, "deadline"),
        (RefusedInputError("vlm_unavailable"), 503, "unavailable"),
        (RefusedInputError("prompt_too_long"), 400, "bad_request"),
    ],
)
async def test_failures_before_the_first_piece(
    gateway: Running, failure: Exception, status: int, code: str, stream: bool
) -> None:
    gateway.triton.failures.append(failure)  # type: ignore[arg-type]
    reply = await post(gateway, stream=stream)
    assert (reply.status_code, reply.json()["error"]["code"]) == (status, code)
    assert ("retry-after" in reply.headers) == (status == 503)


async def test_a_lost_inference_is_asked_again(gateway: Running) -> None:
    gateway.triton.failures.append(ModelDeadError("vlm_chat"))
    reply = await post(gateway, stream=True)
    assert reply.status_code == 200
    assert len(gateway.triton.calls) == 2


async def test_a_failure_within_a_stream_is_an_event(gateway: Running) -> None:
    gateway.triton.gate = asyncio.Event()
    asked = asyncio.ensure_future(post(gateway, stream=True))
    await until(lambda: bool(gateway.triton.calls))
    gateway.triton.failures.append(DeadlineError())
    gateway.triton.gate.set()
    *_, failure, done, _ = (await asked).text.split("\n\n")
    assert done == "data: [DONE]"
    error = json.loads(failure.removeprefix("data: "))["error"]
    assert (error["code"], error["type"]) == ("deadline", "server_error")


async def test_a_client_that_leaves_ends_the_generation(gateway: Running) -> None:
    gateway.triton.gate = asyncio.Event()
    asked = asyncio.ensure_future(post(gateway, stream=True))
    admission = gateway.listeners.services["vlm"].admission
    await until(lambda: admission.in_flight == 1 and bool(gateway.triton.calls))
    asked.cancel()
    await until(lambda: gateway.triton.cancelled == 1)
    await until(lambda: admission.in_flight == 0)


async def test_more_than_slots_and_queue_is_503(tmp_path: Path) -> None:
    limits = {"max_concurrent": 1, "max_waiting": 0}
    async with running_gateway(tmp_path, services=["vlm"], vlm=limits) as gateway:
        gateway.triton.gate = asyncio.Event()
        asked = asyncio.ensure_future(post(gateway, stream=True))
        await until(lambda: bool(gateway.triton.calls))
        refused = await post(gateway)
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "busy")
        assert int(refused.headers["retry-after"]) >= 1
        gateway.triton.gate.set()
        assert (await asked).status_code == 200


async def test_models_are_listed_for_the_keys_of_both_services(gateway: Running) -> None:
    for key, status in ((KEY, 200), ("text-key-1", 200), ("iot-key-12", 403), ("nobody", 401)):
        headers = {"Authorization": f"Bearer {key}"}
        reply = await gateway.main.get("/v1/models", headers=headers)
        assert reply.status_code == status
        if status == 200:
            names = [model["id"] for model in reply.json()["data"]]
            assert {"all-MiniLM-L6-v2", "some-vlm", "vlm"} <= set(names)
    assert (await gateway.main.get("/v1/models/some-vlm")).json()["id"] == "some-vlm"
    headers = {"Authorization": "Bearer text-key-1"}
    assert (await gateway.main.post(PATH, json={}, headers=headers)).status_code == 403
    assert (await gateway.main.post("/v1/embeddings", json={})).status_code == 403


async def test_alone_it_has_a_list_of_its_own(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, services=["vlm"]) as gateway:
        names = [model["id"] for model in (await gateway.main.get("/v1/models")).json()["data"]]
        assert names == ["some-vlm", "vlm"]
        assert (await gateway.main.post("/v1/embeddings", json={})).status_code == 404


async def test_its_own_port_has_the_same_address(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, services=["vlm"], vlm={"port": 8099}) as gateway:
        transport = httpx.ASGITransport(app=gateway.listeners.ports[8099])
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as own:
            body = {"model": "vlm", "messages": HELLO}
            assert (await own.post(PATH, json=body)).status_code == 200
            assert (await own.post("/v1/embeddings", json=body)).json()["error"]["code"]


async def test_it_is_off_unless_it_is_switched_on(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, services=["text"]) as gateway:
        assert (await post(gateway)).status_code == 404
        names = [model["id"] for model in (await gateway.main.get("/v1/models")).json()["data"]]
        assert "vlm" not in names
        assert "vlm" not in gateway.triton.loads


async def test_stories_and_chat_share_the_model(tmp_path: Path) -> None:
    emotions = {"engine": "vlm"}
    async with running_gateway(
        tmp_path, services=["iot", "vlm"], iot={"emotions": emotions}
    ) as gateway:
        services = gateway.listeners.services
        assert services["iot"].models[-1] is services["vlm"].models[-1]
        assert gateway.triton.loads.count("vlm") == 1
