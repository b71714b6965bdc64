"""The configuration tree: sources, expansion, refusals, redaction."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from gateway.__main__ import main
from gateway.settings import ConfigError, load_settings
from gateway.settings.reference import reference


def write(folder: Path, text: str) -> Path:
    file = folder / "config.yaml"
    file.write_text(text)
    return file


def test_defaults(tmp_path: Path) -> None:
    settings = load_settings(write(tmp_path, ""), {})
    assert settings.services == ["iot", "lipsync", "text", "tryon", "vision"]
    assert settings.server.host == "127.0.0.1"
    assert settings.text.port == 8765


def test_environment_beats_old_names_beats_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write(tmp_path, "text: {max_concurrent: 3, max_batch_size: 7, embed_chunk: 9}")
    monkeypatch.setenv("PENTAD_TEXT__MAX_CONCURRENT", "5")
    monkeypatch.setenv("GPU_MAX_CONCURRENT", "4")
    monkeypatch.setenv("GPU_MAX_BATCH_SIZE", "8")
    text = load_settings(file).text
    assert (text.max_concurrent, text.max_batch_size, text.embed_chunk) == (5, 8, 9)


def test_all_old_variables() -> None:
    old = {
        "API_KEY": "the-old-key",
        "GPU_MAX_CONCURRENT": "3",
        "GPU_EMBED_BATCH": "16",
        "GPU_MAX_BATCH_SIZE": "50",
        "GPU_MAX_TEXT_LENGTH": "500",
        "MODEL_BERTSCORE": "all-MiniLM-L6-v2",
        "MODEL_EMBED": "sentence-transformers/all-MiniLM-L6-v2",
        "TORCH_DEVICE": "cuda:1",
    }
    text = load_settings(environ=old).text
    assert text.api_key
    assert text.api_key.get_secret_value() == "the-old-key"
    assert (text.max_concurrent, text.embed_chunk, text.max_batch_size) == (3, 16, 50)
    assert (text.max_text_length, text.device) == (500, "cuda:1")
    assert text.bertscore_model == "all-MiniLM-L6-v2"
    assert text.embed_model == "sentence-transformers/all-MiniLM-L6-v2"


@pytest.mark.parametrize(("value", "chunk"), [("0", 1), ("-4", 1), ("33", 33), ("999", 128)])
def test_embed_batch_is_clamped_as_before(value: str, chunk: int) -> None:
    assert load_settings(environ={"GPU_EMBED_BATCH": value}).text.embed_chunk == chunk


def test_variables_in_the_file(tmp_path: Path) -> None:
    file = write(tmp_path, "text: {api_key: '${THE_KEY}', max_waiting: '${N:-12}'}")
    text = load_settings(file, {"THE_KEY": "abc-45678"}).text
    assert text.api_key
    assert text.api_key.get_secret_value() == "abc-45678"
    assert text.max_waiting == 12


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("nonsense: 1", "nonsense"),
        ("server: {prot: 1}", "server.prot"),
        ("server: {port: high}", "server.port"),
        ("text: {api_key: '${NOT_SET}'}", "NOT_SET"),
        ("- a list", "mapping"),
        ("a: [", "not valid YAML"),
        ("services: [chess]", "services"),
        ("text: {embed_model: gpt2}", "catalogue"),
        ("server: {host: 0.0.0.0}", "no key is configured"),
    ],
)
def test_wrong_files_are_refused(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        load_settings(write(tmp_path, text), {})


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"server: {host: '\xe9'}", "is not UTF-8"),
        (b"\xff\xfes\0e\0", "is not UTF-8"),
        (b"server:\n\tport: 1", "line 2, column 1.*not with tabs"),
        (b"a: " + b"[" * 5000 + b"]" * 5000, "nested too deeply"),
        (b"a: " + b"{a: " * 3000 + b"1" + b"}" * 3000, "nested too deeply"),
        (b"a: &x [*x]", "nested too deeply"),
        (b"server: &x {port: *x}", "nested too deeply"),
        (b"a: 2024-02-31", "a number or a date that cannot be"),
        (b"a: " + b"9" * 9000, "a number or a date that cannot be"),
        (b"a: !!int secret", "a number or a date that cannot be"),
        (b"a: \0", "not valid YAML"),
        (b"? [a]\n: b", "not valid YAML"),
    ],
)
def test_no_file_is_a_traceback(tmp_path: Path, content: bytes, words: str) -> None:
    broken = tmp_path / "broken.yaml"
    broken.write_bytes(content)
    with pytest.raises(ConfigError, match=words) as error:
        load_settings(broken, {})
    assert "secret" not in str(error.value)
    for section in ("tryon", "lipsync"):  # the old servers' files; they ignored unknown keys
        with contextlib.suppress(ConfigError):
            load_settings(write(tmp_path, f"{section}: {{config: {broken}}}"), {})


def test_a_folder_is_no_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config.yaml").mkdir()
    monkeypatch.chdir(tmp_path)
    for path in (None, "config.yaml", "."):
        with pytest.raises(ConfigError, match="Is a directory"):
            load_settings(path, {})
    (tmp_path / "config.yaml").rmdir()
    (tmp_path / "config.yaml").symlink_to("nowhere")
    with pytest.raises(ConfigError, match="No such file"):
        load_settings(None, {})


def test_errors_do_not_quote_secrets(tmp_path: Path) -> None:
    file = write(tmp_path, "security: {keys: [{name: 'bad name', key: hunter22}]}")
    with pytest.raises(ConfigError) as error:
        load_settings(file, {})
    assert "hunter22" not in str(error.value)


def test_unknown_variables_are_refused() -> None:
    with pytest.raises(ConfigError, match="PENTAD_SERVER__PROT"):
        load_settings(environ={"PENTAD_SERVER__PROT": "1"})


@pytest.mark.parametrize(
    "text",
    [
        "{services: [text], server: {host: 0.0.0.0}, text: {api_key: some-key}}",
        "{server: {host: 0.0.0.0}, security: {allow_unauthenticated: true}}",
        "{server: {host: 0.0.0.0}, security: {keys: [{name: a, key: some-key}]}}",
        "server: {host: '::1'}",
        "server: {host: localhost}",
    ],
)
def test_open_door_is_a_choice(tmp_path: Path, text: str) -> None:
    load_settings(write(tmp_path, text), {})


def test_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = str(write(tmp_path, "text: {api_key: very-secret-key}"))
    assert main(["--config", good, "config", "--check"]) == 0
    assert main(["--config", good, "config"]) == 0
    printed = capsys.readouterr().out
    assert "very-secret-key" not in printed
    assert "**********" in printed
    assert main(["--config", str(tmp_path / "absent.yaml"), "config", "--check"]) == 2
    assert "cannot read" in capsys.readouterr().err


def test_reference_describes_every_key() -> None:
    rows = reference().splitlines()[2:]
    assert len(rows) > 50
    for row in rows:
        meaning = row.split("|")[3].strip()
        assert len(meaning) > 10, row


def test_the_old_vision_servers_environment() -> None:
    environ = {
        "GAVID_DEVICE": "cuda:0",
        "GAVID_METRICS_UPDATE_INTERVAL_S": "0.5",
        "GAVID_DCGM_FIELD_IDS": "[100, 101]",
        "GAVID_MODEL_TORCH_WEIGHTS": "resnet18.pth",
    }
    settings = load_settings(environ=environ)
    assert settings.vision.device == "cuda:0"
    assert settings.telemetry.gpu.interval_seconds == 0.5
    assert settings.telemetry.gpu.dcgm_field_ids == (100, 101)
    assert settings.vision.classifier.weights == Path("resnet18.pth")


def test_old_variables_keep_what_the_file_says_beside_them(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("telemetry: {access_log: false, gpu: {history: 5, interval_seconds: 9}}")
    found = load_settings(file, {"GAVID_METRICS_UPDATE_INTERVAL_S": "0.5"}).telemetry
    assert (found.access_log, found.gpu.history, found.gpu.interval_seconds) == (False, 5, 0.5)


def test_the_old_vision_server_read_its_variables_in_any_case() -> None:
    settings = load_settings(environ={"gavid_device": "cuda:1"})
    assert settings.vision.device == "cuda:1"
    assert load_settings(environ={"api_key": "only-exactly-so"}).text.api_key is None


def test_the_old_face_servers_environment() -> None:
    environ = {
        "FASTAPI_PORT": "5055",
        "ROOT_PATH": "galaxy/gpu/",
        "ALLOWED_ORIGINS": "https://a.example, https://b.example,",
        "LOG_LEVEL": "debug",
        "LOG_JSON": "false",
    }
    settings = load_settings(environ=environ)
    assert (settings.iot.port, settings.iot.root_path) == (5055, "/galaxy/gpu")
    assert settings.iot.cors_origins == ["https://a.example", "https://b.example"]
    assert (settings.telemetry.log_level, settings.telemetry.log_format) == ("DEBUG", "text")


@pytest.mark.parametrize("value", ["", "/", " "])
def test_no_root_path(value: str) -> None:
    assert load_settings(environ={"ROOT_PATH": value}).iot.root_path == ""


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("FASTAPI_PORT", "high"),
        ("ROOT_PATH", "/a b"),
        ("ROOT_PATH", "https://gpu.example/iot"),
        ("LOG_LEVEL", "chatty"),
        ("LOG_JSON", "perhaps"),
    ],
)
def test_an_old_variable_that_cannot_be_is_named(variable: str, value: str) -> None:
    with pytest.raises(ConfigError, match=f"environment variable {variable}"):
        load_settings(environ={variable: value})


@pytest.mark.parametrize(
    ("text", "there"),
    [
        ("{}", True),
        ("{services: [iot], server: {workers: 2}}", False),
        ("{iot: {enrollment_routes: false}}", False),
    ],
)
def test_the_modals_routes_need_one_process(tmp_path: Path, text: str, there: bool) -> None:
    assert load_settings(write(tmp_path, text), {}).has_enrollment_routes is there


def test_vectors_are_kept_for_ten_minutes_at_most(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="enrollment_seconds"):
        load_settings(write(tmp_path, "iot: {enrollment_seconds: 601}"), {})
