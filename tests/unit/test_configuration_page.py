"""The page on the configuration says what the settings say."""

from __future__ import annotations

from pathlib import Path

from gateway.settings.reference import reference

PAGE = Path(__file__).resolve().parents[2] / "docs" / "configuration.md"


def test_the_configuration_reference_is_current() -> None:
    text = PAGE.read_text(encoding="utf-8")
    begin = text.index("--markdown` -->") + len("--markdown` -->")
    assert text[begin : text.index("<!-- end of reference -->")].strip() == reference()
