"""Keys in every source, and which services they close."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.__main__ import main
from gateway.errors import ForbiddenError, GatewayError, RateLimitedError
from gateway.security import KeyRing, presented_keys
from gateway.settings import ConfigError, Settings, load_settings
from gateway.settings.doors import configured_keys, doors

EVERYWHERE = "server: {host: 0.0.0.0}\n"
BLANKS = ["", " ", "\t\n", "        ", "1234567", "  hunt2  ", "\u00a0" * 9]


def load(folder: Path, text: str = "{}", **environ: str) -> Settings:
    file = folder / "config.yaml"
    file.write_text(text)
    return load_settings(file, environ)


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "::1"])
@pytest.mark.parametrize("key", BLANKS)
def test_a_short_key_is_none_in_the_list(tmp_path: Path, host: str, key: str) -> None:
    text = f"server: {{host: '{host}'}}\nsecurity: {{keys: [{{name: app, key: '${{APP_KEY:-}}'}}]}}"
    with pytest.raises(
        ConfigError, match=r"^security\.keys\.0: key: a key has at least 8"
    ) as error:
        load(tmp_path, text, APP_KEY=key)
    assert not key.strip() or key.strip() not in str(error.value)


@pytest.mark.parametrize("key", [*BLANKS[1:]])
@pytest.mark.parametrize(
    ("variable", "setting"),
    [("API_KEY", "text.api_key"), ("INCOMING_AUTH_TOKEN", "tryon.security.internal_auth_token")],
)
def test_a_short_old_variable_is_refused(
    tmp_path: Path, variable: str, setting: str, key: str
) -> None:
    with pytest.raises(ConfigError, match="at least 8") as error:
        load(tmp_path, **{variable: key})
    assert str(error.value).startswith(f"{setting} (from the environment variable {variable}): ")


def test_short_keys_of_the_sections_and_of_the_old_file(tmp_path: Path) -> None:
    old = tmp_path / "old.yaml"
    old.write_text("security: {internal_auth_token: dev}\nload_balancer: {url: ''}\n")
    for text in ("text: {api_key: ''}", "text: {api_key: abc}", f"tryon: {{config: '{old}'}}"):
        with pytest.raises(ConfigError, match="at least 8"):
            load(tmp_path, text)
    with pytest.raises(ConfigError, match="at least 8"):
        load(tmp_path, CONFIG_PATH=str(old))


def test_what_the_old_servers_took_for_no_key_still_is_none(tmp_path: Path) -> None:
    old = tmp_path / "old.yaml"
    old.write_text("security: {internal_auth_token: ''}\nload_balancer: {url: ''}\n")
    settings = load(tmp_path, API_KEY="", INCOMING_AUTH_TOKEN="", CONFIG_PATH=str(old))
    assert not any(settings.needs_key(name) for name in settings.services)
    with pytest.raises(ConfigError, match="no key is configured"):
        load(tmp_path, EVERYWHERE, API_KEY="", CONFIG_PATH=str(old))


def test_blanks_at_the_ends_are_not_part_of_a_key(tmp_path: Path) -> None:
    settings = load(
        tmp_path, "security: {keys: [{name: a, key: ' key-of-a\\n '}]}".replace("'", '"')
    )
    assert KeyRing(settings).authorize("text", "key-of-a") == "a"


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ("services: [txet]", "services.0: Input should be"),
        ("services: [text, VISION]", "services.1: Input should be"),
        ("services: vton", "services: "),
        ("rate_limit: 10/fortnight", "rate_limit: is no rate limit such as 100/minute"),
        ("rate_limit: ''", "rate_limit: is no rate limit"),
        ("rate_limit: 0/second", "rate_limit: is no rate limit"),
        ("rate_limit: 5", "rate_limit: Input should be a valid string"),
        ("secret-word: 1", "it has something beside name, key, services, rate_limit"),
    ],
)
def test_check_refuses_wrong_entries(
    tmp_path: Path, entry: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(f"security: {{keys: [{{name: a, key: hunter22hunter, {entry}}}]}}")
    assert main(["--config", str(file), "config", "--check"]) == 2
    said = capsys.readouterr().err
    assert f"security.keys.0: {words}" in said
    assert "hunter22hunter" not in said
    assert "secret-word" not in said


def test_check_reads_the_keys_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keys, file = tmp_path / "keys.yaml", tmp_path / "config.yaml"
    file.write_text(f"security: {{keys_file: '{keys}'}}")
    check = ["--config", str(file), "config", "--check"]
    for content in (None, "- {name: a, key: hunter2}", "- {name: a, key:hunter22hunter}"):
        if content is not None:
            keys.write_text(content)
        assert main(check) == 2
        said = capsys.readouterr().err
        assert said.startswith("configuration: security.keys_file: ")
        assert "hunter2" not in said
    keys.write_text("- {name: a, key: hunter22-1}\n- {name: a, key: hunter22-2}")
    assert main(check) == 0
    assert capsys.readouterr().out == (
        "configuration: note: 2 keys are named a\nconfiguration: valid\n"
    )


def test_a_key_in_the_place_of_a_setting_is_not_quoted(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as error:
        load(tmp_path, "text: {api_key:hunter22hunter}")
    assert "hunter22" not in str(error.value)


def test_unknown_open_services_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"security\.open_services\.1"):
        load(tmp_path, "security: {open_services: [text, vton]}")


def access(keys: KeyRing, service: str, *presented: str) -> str:
    try:
        return keys.authorize(service, *presented) or "open"
    except GatewayError as error:
        return str(error.status)


def test_one_old_key_closes_one_old_service(tmp_path: Path) -> None:
    settings = load(tmp_path, API_KEY="key-of-text", INCOMING_AUTH_TOKEN="token-of-tryon")
    keys = KeyRing(settings)
    for service in ("iot", "lipsync", "vision", "metrics"):
        assert access(keys, service) == "open"
    assert (access(keys, "text"), access(keys, "tryon")) == ("401", "401")
    assert access(keys, "text", "key-of-text") == "text-api-key"
    assert access(keys, "text", "token-of-tryon") == "403"
    assert doors(settings, configured_keys(settings)) == {
        "iot": "open",
        "lipsync": "open",
        "text": "key: text-api-key",
        "tryon": "key: tryon-internal-auth-token; open: /infer",
        "vision": "open",
        "metrics": "open",
    }


def test_one_secret_for_two_old_servers_opens_both(tmp_path: Path) -> None:
    keys = KeyRing(load(tmp_path, API_KEY="same-secret", INCOMING_AUTH_TOKEN="same-secret"))
    assert access(keys, "text", "same-secret") == "text-api-key"
    assert access(keys, "tryon", "same-secret") == "tryon-internal-auth-token"


def test_beyond_loopback_every_service_is_decided(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as error:
        load(tmp_path, EVERYWHERE, API_KEY="key-of-text")
    said = str(error.value)
    assert "iot, lipsync, tryon, vision" in said
    assert "security.keys" in said
    assert "security.open_services" in said
    rest = "security: {open_services: [iot, lipsync, vision, tryon]}"
    settings = load(tmp_path, EVERYWHERE + rest, API_KEY="key-of-text")
    keys = KeyRing(settings)
    assert (access(keys, "vision"), access(keys, "text")) == ("open", "401")
    # The operations routes belong to no old server: any old key opens them.
    assert (access(keys, "metrics"), access(keys, "metrics", "key-of-text")) == (
        "401", "text-api-key",
    )  # fmt: skip
    load(tmp_path, EVERYWHERE + "services: [text]", API_KEY="key-of-text")
    load(tmp_path, EVERYWHERE + "security: {allow_unauthenticated: true}", API_KEY="key-of-text")


def test_with_keys_in_security_every_service_is_closed(tmp_path: Path) -> None:
    named = "security: {keys: [{name: app, key: key-of-app, services: [text]}]}"
    settings = load(tmp_path, EVERYWHERE + named, API_KEY="key-of-text")
    keys = KeyRing(settings)
    assert [access(keys, name) for name in settings.services] == ["401"] * 5
    assert access(keys, "metrics", "key-of-text") == "403"
    told = doors(settings, configured_keys(settings))
    assert (told["text"], told["iot"]) == ("key: app, text-api-key", "closed: no key names it")
    assert told["tryon"] == "closed: no key names it"
    assert settings.infer_needs_key


def test_a_control_key_needs_keys_that_can_name_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"separate_control_key needs security\.keys"):
        load(tmp_path, "lipsync: {separate_control_key: true}", API_KEY="key-of-text")


def test_the_best_of_several_keys_counts(tmp_path: Path) -> None:
    keys = KeyRing(
        load(
            tmp_path,
            "security: {keys: [{name: v, key: key-of-vision, services: [vision]},"
            "{name: t, key: key-of-text, services: [text], rate_limit: '9/minute; 2/hour'}]}",
        )
    )
    assert access(keys, "text", "nonsense", "key-of-vision", "key-of-text") == "t"
    assert access(keys, "text", "nonsense", "key-of-vision") == "403"
    with pytest.raises(ForbiddenError):
        keys.authorize("text", "key-of-vision")
    keys.authorize("text", "key-of-text")
    keys.authorize("text", "key-of-text", count=False)
    with pytest.raises(RateLimitedError) as error:  # every limit of the key holds
        keys.authorize("text", "key-of-text")
    assert error.value.retry_after
    assert error.value.retry_after > 60


def test_where_a_key_is_looked_for() -> None:
    sent = {"x-internal-auth": "a", "x-api-key": "b", "authorization": "bEaReR  c "}
    assert presented_keys(sent.get, "x-internal-auth") == ["a", "b", "c"]
    assert presented_keys(sent.get) == ["b", "c"]
    for nothing in (
        {},
        {"x-api-key": ""},
        {"authorization": "Bearer "},
        {"authorization": "Basic x"},
    ):
        assert presented_keys(nothing.get) == []


@pytest.mark.parametrize(
    "raw",
    [
        "text: {max_waiting: 3} # gro\u00dfe".encode("latin-1"),
        b"telemetry: {since: 2024-02-31}",
        b"[" * 950,
        b"a:\tb:\n\t- c",
        b"\x00",
    ],
)
def test_a_configuration_that_is_no_yaml_is_a_sentence(
    tmp_path: Path, raw: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "config.yaml"
    file.write_bytes(raw)
    assert main(["--config", str(file), "config", "--check"]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"configuration: {file} ")
    assert said.count("\n") == 1
    for section in ("tryon", "lipsync"):  # the old servers' files
        with pytest.raises(ConfigError, match=r"config\.yaml (is n|has a number)"):
            load_settings(_with(tmp_path, f"{section}: {{config: '{file}'}}"), {})


def _with(folder: Path, text: str) -> Path:
    file = folder / "main.yaml"
    file.write_text(text)
    return file


def test_a_section_that_is_none_beside_an_old_variable(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="text: Input should be"):
        load(tmp_path, "text: abc", API_KEY="key-of-text")
    assert load(tmp_path, "text:", API_KEY="key-of-text").text.api_key


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("PENTAD_SECURITY__KEYS", '[{"name":"a","key":"hunter22hunter"'),
        ("PENTAD_SECURITY__KEYS", '[{"name":"a","key":"hunter2"}]'),
        ("PENTAD_SECURITY__KEYS", '[{"name":"a","hunter22hunter":1}]'),
        ("PENTAD_SECURITY__KEYS", '["hunter22hunter"]'),
        ("PENTAD_SECURITY", '{"keys":[{"name":"a","key":""}]}'),
        ("PENTAD_TEXT__API_KEY", "hunter2"),
        ("PENTAD_TEXT__API_KEY", " "),
        ("PENTAD_TRYON__SECURITY__INTERNAL_AUTH_TOKEN", "hunter2"),
    ],
)
def test_variables_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigError) as error:
        load(tmp_path, EVERYWHERE)
    assert "hunter2" not in str(error.value)
