"""The licence table is current, complete, and holds nothing that may not be shipped."""

from __future__ import annotations

import re

import pytest

from supply import packages
from supply.__main__ import main
from supply.licences import PAGE, page
from supply.packages import (
    UnknownLicenceError,
    dashboard_packages,
    licence,
    locked,
    python_packages,
)
from supply.weights import configured_weights, default_weights

PERMITTED = re.compile(
    r"\(?(MIT|MIT-CMU|ISC|BSD-[23]-Clause|BSL-1\.0|Apache-2\.0|PSF-2\.0|MPL-2\.0|CNRI-Python"
    r"|0BSD|Unlicense|LGPL-3\.0-only|LGPL-3\.0-or-later)\)?"
)


def test_the_page_is_current() -> None:
    assert PAGE.read_text() == page(), "run .venv/bin/python -m supply licences"
    assert main(["licences", "--check"]) == 0


def test_every_locked_package_is_on_it() -> None:
    text = PAGE.read_text()
    names = set(re.findall(r"[\w.@/-]+", text))
    assert set(locked()) <= names
    assert {one.name for one in dashboard_packages()} <= names


def test_all_licences_permit_use_in_a_service() -> None:
    for one in (*python_packages(), *dashboard_packages(), *default_weights()):
        for part in re.split(r" AND | OR ", one.licence.replace(" WITH LLVM-exception", "")):
            assert PERMITTED.fullmatch(part), f"{one.name}: {one.licence}"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"License-Expression": "MIT AND ISC"}, "MIT AND ISC"),
        ({"License": "Apache 2.0 License"}, "Apache-2.0"),
        ({"License": "Apache License, Version 2.0"}, "Apache-2.0"),
        ({"License": "Copyright\ntext", "Classifier": ["License :: X :: MIT License"]}, "MIT"),
        ({"Classifier": ["License :: OSI Approved :: ISC License (ISCL)"]}, "ISC"),
        ({"License": "BSD-3-Clause"}, "BSD-3-Clause"),
    ],
)  # fmt: skip
def test_metadata_becomes_spdx(
    fields: dict[str, object], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Metadata(dict[str, object]):
        def get_all(self, name: str) -> object:
            return self.get(name)

    monkeypatch.setattr(packages, "metadata", lambda _: Metadata(fields))
    assert licence("anything") == expected


def test_an_unknown_licence_stops_the_table(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UnknownLicenceError):
        licence("no-such-package-anywhere")
    monkeypatch.setattr(packages, "locked", lambda: ["no-such-package-anywhere"])
    assert main(["licences", "--check"]) == 1
    assert "no-such-package-anywhere" in capsys.readouterr().err


def test_weights_have_origin_checksum_and_licence() -> None:
    for one in default_weights():
        assert re.fullmatch("[0-9a-f]{64}", one.sha256), one.name
        assert one.version
        assert one.licence != "unknown"
    (vlm,) = configured_weights()
    assert vlm.licence == "Apache-2.0"
    assert vlm.source.startswith("huggingface.co/Qwen/")
