"""Installs what the stack is made of, after ``bootstrap.sh`` has made the virtual environment.

Ordinary Debian packages are installed only where they bring no service (Java, a browser, fonts); servers are
unpacked into the parts folder. What is there already is left alone, so a second run takes a moment.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final

from rich.console import Console

from kakou.disk_room import demand_room, told_when_disk_is_full
from kakou.errors import InstallError, KakouError
from kakou.settings import Settings, load_settings
from kakou.stack.debian import debian_ready, refresh_lists, unpack_debian
from kakou.stack.jars import JAR_SETS, fetch_jars, jars_ready, java_home
from kakou.stack.screen import build_screen, screen_ready
from kakou.stack.steps import as_root, run_step

LEAST_FREE_GIB: Final = 2.0  # servers, jars and browser together; the environment itself is there already
_BROWSERS: Final = ("chromium", "chromium-browser", "google-chrome")
_CJK_FONTS: Final = ("/usr/share/fonts", "/usr/local/share/fonts")


def browser() -> str | None:
    """Path of the browser that looks at the screen in tests."""
    return next((path for name in _BROWSERS if (path := shutil.which(name))), None)


def has_chinese_font() -> bool:
    """Whether a browser can draw Chinese."""
    patterns = ("**/NotoSansCJK*", "**/wqy-*", "**/SourceHanSans*")
    return any(next(Path(base).glob(one), None) is not None for base in _CJK_FONTS for one in patterns)


def missing_packages() -> list[str]:
    """Debian packages to install ordinarily; none of them brings a service."""
    wanted = {
        "default-jre-headless": java_home() is not None,
        "chromium": browser() is not None,
        "fonts-noto-cjk": has_chinese_font(),
    }
    return [name for name, there in wanted.items() if not there]


def install_packages(packages: list[str]) -> None:
    """Installs Debian packages.

    Raises:
        InstallError: neither root nor sudo, or apt fails.
    """
    names = " ".join(packages)
    root = as_root()
    if root is None:
        raise InstallError(
            f"{names} must be installed and that needs root. Run `sudo apt-get install {names}`, "
            "then run the command again."
        )
    argv = [*root, "env", "DEBIAN_FRONTEND=noninteractive", "NEEDRESTART_MODE=l"]
    argv += ["apt-get", "install", "-qy", "--no-install-recommends", *packages]
    what = f"{names} could not be installed"
    mend = "Check the network and the sources in /etc/apt, then run the command again."
    try:
        run_step(argv, what=what, mend=mend)
    except InstallError:
        refresh_lists(what)
        run_step(argv, what=what, mend=mend)


def install(settings: Settings, console: Console) -> None:
    """Brings everything that is missing.

    Raises:
        InstallError: a part cannot be brought; the message says what to do.
        DiskFullError: there is no room.
    """
    packages = missing_packages()
    steps: dict[str, Callable[[], None]] = {}
    if not debian_ready(settings):
        steps["MariaDB with Spider, Redis (unpacked, not installed)"] = partial(unpack_debian, settings)
    for name in JAR_SETS:
        if not jars_ready(settings, name):
            steps[f"jars: {name}"] = partial(fetch_jars, settings, name)
    if not screen_ready():
        steps["the screen"] = build_screen
    if not packages and not steps:
        return
    with told_when_disk_is_full(settings.parts):
        demand_room(settings.parts, LEAST_FREE_GIB)
        if packages:  # first: the jars need Java
            with _told(console, f"Debian packages {', '.join(packages)}"):
                install_packages(packages)
        with ThreadPoolExecutor(max_workers=4) as pool:
            futures = [pool.submit(_run, console, what, step) for what, step in steps.items()]
        for future in futures:
            future.result()


def _run(console: Console, what: str, step: Callable[[], None]) -> None:
    with _told(console, what):
        step()


@contextmanager
def _told(console: Console, what: str) -> Iterator[None]:
    console.print(f"installing {what} …")
    began = time.monotonic()
    yield
    console.print(f"[green]✓[/green] {what} ({time.monotonic() - began:.0f} s)")


def main() -> None:
    """Entry point of ``make install``."""
    console = Console(stderr=True, highlight=False)
    os.umask(0o022)
    try:
        install(load_settings(), console)
    except KakouError as error:
        console.print(f"[red]kakou:[/red] {error}", soft_wrap=True, markup=True)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
