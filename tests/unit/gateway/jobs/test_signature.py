from __future__ import annotations

import base64
import re
import stat
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from gateway.jobs.signature import key_of, own_secret, sign

SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()


@given(st.text())
def test_the_specification_s_own_library_accepts_it(body: str) -> None:
    headers = sign("msg_1", int(time.time()), body.encode(), [key_of(SECRET)])
    Webhook(SECRET).verify(body, headers, json_parse=False)
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(body + "x", headers, json_parse=False)


@given(st.binary())
def test_the_lines_in_the_documentation_check_any_body(body: bytes) -> None:
    page = (Path(__file__).parents[4] / "docs" / "services" / "tryon-jobs.md").read_text(
        encoding="utf-8"
    )
    (lines,) = re.findall(r"```python\n(.*?)```", page, re.S)
    found: dict[str, Any] = {}
    exec(lines, found)
    headers = sign("msg_1", 1_800_000_000, body, [b"other", key_of(SECRET)])
    assert found["genuine"](SECRET, headers, body)
    assert not found["genuine"](SECRET, headers, body + b"x")


def test_two_keys_make_two_signatures() -> None:
    old, new = "whsec_" + base64.b64encode(b"old").decode(), SECRET
    headers = sign("msg_1", int(time.time()), b"{}", [key_of(new), key_of(old)])
    for secret in (old, new):
        Webhook(secret).verify("{}", headers)


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_%%%", "no base64!"])
def test_unusable_secrets(secret: str) -> None:
    with pytest.raises(ValueError, match="secret"):
        key_of(secret)


def test_padding_may_be_missing() -> None:
    assert key_of("whsec_" + base64.b64encode(b"1234").decode().rstrip("=")) == b"1234"


def test_own_secret_is_made_once_and_kept_private(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "webhook.secret"
    with ThreadPoolExecutor(8) as threads:
        found = set(threads.map(lambda _: own_secret(file), range(8)))
    assert len(found) == 1
    assert len(key_of(found.pop())) == 32
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [one.name for one in file.parent.iterdir()] == ["webhook.secret"]
