"""The real API serving the real screen over the test stack, and a real browser."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from playwright.sync_api import Browser, Page, sync_playwright

from kakou.settings import Settings
from kakou.stack.screen import build_screen
from serving.app import create_app

CHROMIUM = "/usr/bin/chromium"


@pytest.fixture(scope="session")
def built_screen() -> None:
    """``web/dist`` of the present sources."""
    build_screen()


@pytest.fixture(scope="session")
def serve(stack: Settings, built_screen: None) -> Iterator[Any]:
    """Starts the API on the stack's port and gives a function that stops and starts it again."""

    class Api:
        address = f"http://{stack.host}:{stack.port('api')}"
        server: uvicorn.Server
        thread: threading.Thread

        def start(self) -> None:
            config = uvicorn.Config(
                create_app(stack), host=stack.host, port=stack.port("api"), log_level="warning",
                timeout_graceful_shutdown=2,
            )  # fmt: skip
            self.server = uvicorn.Server(config)
            self.thread = threading.Thread(target=self.server.run, daemon=True)
            self.thread.start()
            deadline = time.monotonic() + 20
            while not self.server.started:
                assert self.thread.is_alive() and time.monotonic() < deadline, "the API did not start"
                time.sleep(0.05)
            assert httpx.get(f"{self.address}/health", timeout=10).status_code == 200

        def stop(self) -> None:
            self.server.should_exit = True
            self.thread.join(15)
            assert not self.thread.is_alive()

    api = Api()
    api.start()
    yield api
    api.stop()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's chromium."""
    assert Path(CHROMIUM).exists(), "chromium is missing: `apt-get install chromium fonts-noto-cjk`."
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--force-color-profile=srgb"],
        )
        yield started
        started.close()


@pytest.fixture
def page(browser: Browser, tmp_path: Path) -> Iterator[Page]:
    """A page whose every error is collected in ``page.complaints``."""
    context = browser.new_context(viewport={"width": 1920, "height": 1080}, locale="zh-CN")
    opened = context.new_page()
    complaints: list[str] = []
    opened.on(
        "console", lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None
    )
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.complaints = complaints  # type: ignore[attr-defined]
    yield opened
    context.close()


@pytest.fixture
def shots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where pictures go; ``KAKOU_SHOTS`` keeps them for a person to look at."""
    kept = os.environ.get("KAKOU_SHOTS")
    folder = Path(kept) if kept else tmp_path_factory.mktemp("shots")
    folder.mkdir(parents=True, exist_ok=True)
    return folder
