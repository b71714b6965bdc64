"""Headless Chromium on a running Pentad, and an eye on everything a page does."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import (
    Browser,
    BrowserType,
    ConsoleMessage,
    Page,
    Request,
    Response,
    expect,
    sync_playwright,
)

ROOT = Path(__file__).resolve().parents[2]
DASHBOARD = ROOT / "dashboard"
AXE = DASHBOARD / "node_modules" / "axe-core" / "axe.min.js"
FLAGS = ["--disable-gpu", "--disable-background-networking", "--disable-dev-shm-usage"]
PATIENCE = 60_000  # milliseconds; two busy cores
SERIOUS = ("serious", "critical")
expect.set_options(timeout=PATIENCE)


def chromium() -> str:
    """Path of the installed browser; `requirements/chromium.py` says what to do without one."""
    command = [sys.executable, str(ROOT / "requirements" / "chromium.py"), "--find"]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def dashboard(command: str) -> None:
    """Run `requirements/dashboard.py` with the Node of this environment."""
    script = str(ROOT / "requirements" / "dashboard.py")
    subprocess.run([sys.executable, script, sys.prefix, command], check=True)


def launch(kind: BrowserType, *flags: str) -> Browser:
    """Another headless browser of this kind, started with ``flags`` too."""
    return kind.launch(
        executable_path=chromium(),
        args=[*FLAGS, *flags],
        chromium_sandbox=os.geteuid() != 0,  # Chromium's sandbox refuses to run as root
    )


@contextmanager
def headless_browser() -> Iterator[Browser]:
    """A browser for as long as the context lasts.

    Playwright keeps an event loop running in its thread meanwhile, in which asynchronous tests
    could not run: open it for a module, not for the session.
    """
    with sync_playwright() as playwright:
        browser = launch(playwright.chromium)
        yield browser
        browser.close()


class Tab:
    """A page of the dashboard whose requests and complaints are recorded."""

    def __init__(self, browser: Browser, base: str, **options: Any) -> None:
        self.base = base
        self.context = browser.new_context(**options)
        self.page: Page = self.context.new_page()
        self.page.set_default_timeout(PATIENCE)
        self.requests: list[str] = []
        self.refused: list[int] = []
        self.complaints: list[str] = []
        self.page.on("request", self._requested)
        self.page.on("response", self._answered)
        self.page.on("console", self._spoke)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _requested(self, request: Request) -> None:
        self.requests.append(request.url)

    def _answered(self, response: Response) -> None:
        if response.status >= 400:
            self.refused.append(response.status)

    def _spoke(self, message: ConsoleMessage) -> None:
        # Chromium itself reports every refused request here; `refused` has those.
        if message.type in ("error", "warning") and "Failed to load resource" not in message.text:
            self.complaints.append(message.text)

    def open(self, path: str) -> Page:
        """Show a page of the dashboard."""
        self.page.goto(f"{self.base}/#/{path}")
        self.page.get_by_role("heading", level=1).wait_for()
        return self.page

    def asked(self, part: str) -> list[str]:
        """Requests so far whose address holds ``part``."""
        return [url for url in self.requests if part in url]

    @property
    def foreign(self) -> list[str]:
        """Requests to anything but the gateway; blobs and data stay in the browser."""
        own = urlsplit(self.base).netloc
        remote = [url for url in self.requests if urlsplit(url).scheme not in ("blob", "data")]
        return [url for url in remote if urlsplit(url).netloc != own]

    def hide(self, hidden: bool) -> None:
        """Let the page believe that its tab was hidden or shown: a headless one never is."""
        self.page.evaluate(
            """hidden => {
                if (!hidden) window.shown = performance.now();
                Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
                document.dispatchEvent(new Event("visibilitychange"));
            }""",
            hidden,
        )

    def overflow(self) -> int:
        """Pixels by which the page is wider than the window."""
        width = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        return int(self.page.evaluate(width))

    def violations(self) -> list[str]:
        """What axe-core finds seriously inaccessible, one line each."""
        self.page.evaluate(AXE.read_text())
        found = self.page.evaluate("axe.run(document)")["violations"]
        return [
            f"{one['id']}: {node['html'][:200]} {node['failureSummary'][:300]}"
            for one in found
            if one["impact"] in SERIOUS
            for node in one["nodes"]
        ]
