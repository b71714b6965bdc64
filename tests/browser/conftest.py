"""One running Pentad with the built dashboard, and a tab on it that must not complain."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.support.browser import ROOT, Tab, dashboard, headless_browser
from tests.support.callback_receiver import Receiver
from tests.support.clips import carphone
from tests.support.lipsync_tenants import write_tenant
from tests.support.stack import Stack
from tests.support.tryon_pictures import garment, upper

EXPORTED = ("iot", "text", "tryon", "vision")
SERVICES = (*EXPORTED, "lipsync")  # whose model needs no artefact but tenants


@pytest.fixture(scope="package")
def built() -> None:
    """The dashboard as an operator gets it, and the packages its checks need."""
    dashboard("install")
    dashboard("build")


@pytest.fixture(scope="package")
def tenants(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of narrow lip-sync tenants, and a file that is none."""
    folder = tmp_path_factory.mktemp("tenants")
    for number in range(3):
        write_tenant(folder, f"tenant_{number}", seed=number)
    (folder / "broken.onnx").write_text("This is no model.")
    return folder


@pytest.fixture(scope="package")
def receiver() -> Iterator[Receiver]:
    """The asset service that try-on's results go to."""
    running = Receiver()
    yield running
    running.stop()


@pytest.fixture(scope="package")
def stack(
    built: None,
    tenants: Path,
    receiver: Receiver,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Stack]:
    """Pentad with the services that the dashboard shows."""
    command = [sys.executable, "-m", "export", "--services", *EXPORTED]
    subprocess.run(command, cwd=ROOT, check=True)
    running = Stack(
        tmp_path_factory.mktemp("browser") / "state",
        {
            "PENTAD_SERVICES": json.dumps(SERVICES),
            "PENTAD_LIPSYNC__WATCH_FOLDER": str(tenants),
            "PENTAD_TRYON__JOBS__QUEUE_SIZE": "8",
            "PENTAD_TRYON__ASSET_SERVICE__CALLBACK_URL": receiver.result_url,
            "PENTAD_TELEMETRY__GPU__INTERVAL_SECONDS": "0.5",
        },
    )
    try:
        running.start()
        yield running
        running.stop()
    finally:
        running.kill()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with headless_browser() as running:
        yield running


@pytest.fixture
def tab(browser: Browser, stack: Stack) -> Iterator[Tab]:
    """A tab in light colours; whatever the test did, it called nobody else and broke nothing."""
    opened = Tab(browser, stack.main, color_scheme="light")
    yield opened
    opened.context.close()
    assert opened.foreign == []
    assert opened.complaints == []


@pytest.fixture(scope="package")
def photograph() -> Path:
    """A real photograph of a palace, 640x427 (danielbuechele, CC BY 2.0) in scikit-learn."""
    import sklearn.datasets

    return Path(sklearn.datasets.__file__).parent / "images" / "china.jpg"


@pytest.fixture(scope="package")
def portrait() -> Path:
    """Eileen Collins, 512x512, a small face in front of a space shuttle (NASA, public domain)."""
    return ROOT / "docs" / "pictures" / "astronaut.jpg"


@pytest.fixture(scope="package")
def dressed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A man from head to knees, and a jacket lying flat."""
    folder = tmp_path_factory.mktemp("dressed")
    paths = folder / "person.png", folder / "jacket.png"
    for path, picture in zip(paths, (upper(3), garment("jackets", 4)), strict=True):
        picture.save(path)
    return paths


@pytest.fixture(scope="package")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A man who talks in a car for 4 s."""
    path = tmp_path_factory.mktemp("clips") / "carphone.mp4"
    path.write_bytes(carphone())
    return path


@pytest.fixture
def note(tmp_path: Path) -> Path:
    """A file that is no picture."""
    path = tmp_path / "note.txt"
    path.write_text("This is no picture.")
    return path
