"""A real Chromium without a window, wherever one can be had, and axe, which finds what keeps people out of a page."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.async_api import Browser

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--no-sandbox",  # the tests of an image or of CI run as root
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
AXE_VERSION = "4.10.3"
AXE = Path(__file__).parents[2] / ".cache" / "axe" / AXE_VERSION


class NoBrowser(Exception):
    """There is no Chromium, or nothing to drive it with."""


def chromium() -> str:
    """The path of a Chromium. Raises NoBrowser."""
    if find_spec("playwright") is None:
        raise NoBrowser("Playwright is not installed; `make page-test` installs it")
    path = next((found for name in NAMES if (found := shutil.which(name))), None)
    if path is None:
        raise NoBrowser("no Chromium on PATH")
    return path


@asynccontextmanager
async def browser() -> AsyncIterator[Browser]:
    """A browser of our own, closed at the end. Raises NoBrowser."""
    path = chromium()
    from playwright.async_api import async_playwright

    async with async_playwright() as playwright:
        running = await playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        try:
            yield running
        finally:
            await running.close()


def axe_script() -> str:
    """The source of axe, brought by npm and kept in ``.cache``. Raises NoBrowser where there is no npm."""
    script = AXE / "node_modules" / "axe-core" / "axe.min.js"
    if not script.exists():
        if shutil.which("npm") is None:
            raise NoBrowser("no npm to bring axe")
        AXE.mkdir(parents=True, exist_ok=True)
        install = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(AXE)]
        subprocess.run([*install, f"axe-core@{AXE_VERSION}"], check=True, capture_output=True, timeout=240)
    return script.read_text(encoding="utf-8")
