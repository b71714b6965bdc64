"""The API documents: whole, truthful about what the routes are, and the one that is committed."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typing_extensions import TypedDict

from gateway.__main__ import main
from gateway.documents import all_documents, as_text, default_settings
from gateway.errors import UnavailableError
from gateway.http.answers import Error, described
from gateway.http.application import service_application
from gateway.http.declaration import declare
from gateway.http.openapi import merge_into
from gateway.settings import load_settings
from tests.support.api_document import resolved

ROOT = Path(__file__).resolve().parents[3]
PORTS = {"main": 9000, "iot": 5000, "tryon": 8080, "text": 8765, "vision": 8090}
Document = dict[str, Any]


@pytest.fixture(scope="module")
def documents(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Document]:
    folder = tmp_path_factory.mktemp("state")
    return asyncio.run(all_documents(default_settings(folder), folder))


def operations(document: Document) -> Iterator[tuple[str, str, Document]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method, path, operation


def references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        if isinstance(part.get("$ref"), str):
            yield part["$ref"]
        for value in part.values():
            yield from references(value)
    if isinstance(part, list):
        for value in part:
            yield from references(value)


def test_the_committed_document_is_the_gateways(documents: dict[int, Document]) -> None:
    committed = (ROOT / "dashboard" / "openapi.json").read_text()
    assert committed == as_text(documents[PORTS["main"]]), "run `make openapi`"


def test_a_document_for_every_port(documents: dict[int, Document]) -> None:
    assert sorted(documents) == sorted(PORTS.values())
    assert {"/iot/vectorizer", "/iot/emotions", "/health"} <= set(documents[5000]["paths"])
    assert {"/embed", "/bertscore"} <= set(documents[8765]["paths"])


def test_everything_is_declared(documents: dict[int, Document]) -> None:
    for document in documents.values():
        schemas = document["components"]["schemas"]
        names = [one["operationId"] for _, _, one in operations(document)]
        assert len(names) == len(set(names)) > 3
        for reference in references(document):
            assert reference.removeprefix("#/components/schemas/") in schemas, reference
        for method, path, operation in operations(document):
            where = f"{method} {path}"
            declared = {
                one["name"] for one in operation.get("parameters", ()) if one["in"] == "path"
            }
            assert declared == set(re.findall(r"{(\w+)}", path)), where
            good = [one for status, one in operation["responses"].items() if status < "300"]
            assert len(good) == 1, where
            for media, content in good[0]["content"].items():
                assert content["schema"], (where, media)
            for status in {"400", "401", "403", "500"}:
                error = operation["responses"][status]["content"]["application/json"]["schema"]
                fields = resolved(document, error)["properties"].keys()
                assert fields <= {"detail", "error", "success"}, where
            invalid = "400" if path.startswith(("/v1", "/api/")) else "422"  # in their dialects
            assert ("requestBody" in operation) <= (invalid in operation["responses"]), where
            for scheme in (name for one in operation["security"] for name in one):
                assert scheme in document["components"]["securitySchemes"], where


async def test_what_needs_no_key_says_so(tmp_path: Path) -> None:
    config = tmp_path / "keys.yaml"
    config.write_text("security: {keys: [{name: one, key: opens-sesame}]}")
    documents = await all_documents(load_settings(config, {}), tmp_path)
    open_paths = {
        path for _, path, one in operations(documents[8765]) if one["security"] in ([], [{}])
    }
    assert open_paths == {"/health"}
    assert all({} not in one["security"] for _, _, one in operations(documents[9000]))
    names = documents[8080]["components"]["securitySchemes"].values()
    headers = {one["name"].lower() for one in names if one["type"] == "apiKey"}
    assert headers == {"x-api-key", "x-internal-auth"}


async def test_limits_are_those_configured(tmp_path: Path) -> None:
    config = tmp_path / "limits.yaml"
    config.write_text(
        "text: {max_batch_size: 7, max_text_length: 11}\n"
        "iot: {max_images: 3, emotions: {max_images: 4}}\n"
        "vision: {max_files: 5}\n"
    )
    documents = await all_documents(load_settings(config, {}), tmp_path)
    text = documents[8765]["components"]["schemas"]["EmbedRequest"]["properties"]["texts"]
    assert (text["maxItems"], text["items"]["maxLength"]) == (7, 11)
    iot = documents[5000]["components"]["schemas"]
    assert iot["VectorizerRequest"]["properties"]["images"]["maxItems"] == 3
    assert iot["VectorizerRequest"]["required"] == ["employee_id", "images"]
    emotions = iot["EmotionsRequest"]["properties"]["images"]
    assert [one["maxItems"] for one in emotions["anyOf"] if one["type"] == "array"] == [4]
    vision = documents[8090]["components"]["schemas"]["Pictures"]["properties"]["files"]
    assert (vision["minItems"], vision["maxItems"]) == (1, 5)


def test_the_command_prints_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["openapi", "--defaults", "--port", str(PORTS["text"])]) == 0
    first = capsys.readouterr().out
    assert json.loads(first)["openapi"].startswith("3.1")
    assert (
        first == json.dumps(json.loads(first), indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    )


def test_the_command_names_the_ports_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["openapi", "--defaults", "--port", "50051"]) == 2
    assert "5000, 8080, 8090, 8765, 9000" in capsys.readouterr().err


def test_one_name_for_two_shapes_is_refused() -> None:
    @described
    class Twin(TypedDict):
        """One."""

        one: int

    first, second = service_application("a", "a"), service_application("b", "b")
    declare(first, "GET", "/a", "A", answer=Twin)(_nothing)

    @described
    class Twin(TypedDict):  # type: ignore[no-redef]
        """Another."""

        other: str

    declare(second, "GET", "/b", "B", answer=Twin)(_nothing)
    merge_into(first, {"/part": second}, "main")
    with pytest.raises(ValueError, match="Twin"):
        first.openapi()


def test_a_status_with_two_causes_names_both() -> None:
    app = service_application("a", "a")
    declare(app, "GET", "/a", "A", answer=Error, errors=(UnavailableError,))(_nothing)
    responses = app.openapi()["paths"]["/a"]["get"]["responses"]
    assert responses["503"]["headers"]["Retry-After"]["schema"]["type"] == "integer"
    assert "Triton" in responses["503"]["description"]


async def _nothing(request: Any) -> Any:
    raise NotImplementedError
