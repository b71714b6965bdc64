"""What the README says about the configuration is what the settings say."""

from __future__ import annotations

from pathlib import Path

from gateway.settings.reference import reference

README = Path(__file__).resolve().parents[2] / "README.md"


def test_the_configuration_reference_is_current() -> None:
    text = README.read_text(encoding="utf-8")
    begin = text.index("--markdown` -->") + len("--markdown` -->")
    assert text[begin : text.index("<!-- end of reference -->")].strip() == reference()
