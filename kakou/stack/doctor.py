"""Looks at the machine and names what is missing, with the mend."""

from __future__ import annotations

import re
import shutil
import stat
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

import psutil

from kakou.settings import PORTS, PROJECT_ROOT, Settings
from kakou.stack.catalogue import services
from kakou.stack.debian import debian_ready, debian_root
from kakou.stack.install import browser, has_chinese_font
from kakou.stack.jars import JAR_SETS, jars_ready, java_home, java_version
from kakou.stack.ports import port_is_free
from kakou.stack.screen import node_bin, node_version
from kakou.stack.supervision import Supervisor
from kakou.topology_versions import every_node

_LEAST_DISK_GIB: Final = 3.0
_LEAST_MEMORY_GIB: Final = 6.0
_INSTALL: Final = "Run `make install`."


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at; ``mend`` is empty where nothing is wrong."""

    what: str
    ok: bool
    found: str
    mend: str

    def to_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        return asdict(self)


def examine(settings: Settings) -> list[Finding]:
    """Looks at everything; changes nothing."""
    return list(_findings(settings))


def _finding(what: str, found: str | None, mend: str) -> Finding:
    return Finding(what, found is not None, found or "missing", "" if found is not None else mend)


def _findings(settings: Settings) -> Iterator[Finding]:
    python = ".".join(map(str, sys.version_info[:3]))
    yield _finding("python", python if sys.version_info >= (3, 11) else None, "Install Python 3.11 or later.")
    home = java_home()
    yield _finding("java", f"{java_version(home / 'bin' / 'java')} in {home}" if home else None, _INSTALL)
    yield _finding(
        "browser", browser(), "Run `make install` or `apt-get install chromium`; only tests need it."
    )
    yield _finding(
        "chinese font",
        "yes" if has_chinese_font() else None,
        "Run `make install` or `apt-get install fonts-noto-cjk`; without it the screen shows boxes.",
    )
    node = node_bin()
    yield _finding("node", _node(node) if node else None, _INSTALL)
    yield _lock()
    yield _finding("servers", str(debian_root(settings)) if debian_ready(settings) else None, _INSTALL)
    for name in JAR_SETS:
        yield _finding(f"jars of {name}", "whole" if jars_ready(settings, name) else None, _INSTALL)
    yield from _ports(settings)
    yield _disk(settings)
    yield _memory()
    yield _secrets(settings)


def _node(folder: Path) -> str:
    major, minor = node_version(str(folder / "node"))
    return f"{major}.{minor} in {folder}"


def _lock() -> Finding:
    lines = (PROJECT_ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    wanted = dict(line.split("==") for line in lines if re.match(r"^[\w.-]+==\S+$", line))
    off = [name for name, number in wanted.items() if _installed(name) != number]
    found = f"{len(wanted)} packages in step" if not off else f"out of step: {', '.join(off[:5])}"
    return Finding("python packages", not off, found, "" if not off else _INSTALL)


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _ports(settings: Settings) -> Iterator[Finding]:
    running = {name for name, state in Supervisor(settings).states().items() if state.pid}
    every = services(settings)
    ours = {port for name in running if name in every for port in every[name].ports}
    for name in dict.fromkeys((*PORTS, *every_node(settings))):
        port = settings.port(name)
        if name in ours:
            yield Finding(f"port {port} {name}", True, "ours, running", "")
        else:
            free = port_is_free(settings.host, port)
            mend = "" if free else "End the program that holds it, or set KAKOU_PORT_OFFSET."
            yield Finding(f"port {port} {name}", free, "free" if free else "taken", mend)


def _disk(settings: Settings) -> Finding:
    place = next(one for one in (settings.var, *settings.var.parents) if one.exists())
    free = shutil.disk_usage(place).free / 2**30
    ok = free >= _LEAST_DISK_GIB
    return Finding(
        "disk", ok, f"{free:.1f} GiB free", "" if ok else f"Free some; {_LEAST_DISK_GIB:.0f} GiB are needed."
    )


def _memory() -> Finding:
    total = psutil.virtual_memory().total / 2**30
    ok = total >= _LEAST_MEMORY_GIB
    mend = f"The whole stack needs {_LEAST_MEMORY_GIB:.0f} GiB; start a part of it with `kakou up NAME …`."
    return Finding("memory", ok, f"{total:.1f} GiB", "" if ok else mend)


def _secrets(settings: Settings) -> Finding:
    folder = settings.secrets_dir
    paths = [folder, *folder.iterdir()] if folder.is_dir() else []
    open_ones = [path for path in paths if stat.S_IMODE(path.stat().st_mode) & 0o077]
    if open_ones:
        return Finding("secrets", False, f"others may read {open_ones[0]}", f"Run `chmod -R go= {folder}`.")
    return Finding("secrets", True, f"{max(len(paths) - 1, 0)}, for their owner alone", "")
