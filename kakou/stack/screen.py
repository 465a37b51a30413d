"""Edge: builds the screen in ``web/`` when its sources have changed."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from kakou.errors import InstallError
from kakou.process_lock import one_after_another
from kakou.settings import PROJECT_ROOT
from kakou.stack.steps import run_step

NEEDED_NODE: Final = "node 20.19, 22.12 or later"
_WEB: Final = PROJECT_ROOT / "web"
_MODULES: Final = _WEB / "node_modules"
_NOT_SOURCES: Final = {"node_modules", "dist", ".test-build"}


def node_bin() -> Path | None:
    """Folder of the ``node`` to use: the system's if new enough, else the one from PyPI beside our Python."""
    beside = Path(sys.executable).parent
    system = os.pathsep.join(
        one for one in os.environ.get("PATH", "").split(os.pathsep) if Path(one) != beside
    )
    for program in (shutil.which("node", path=system), shutil.which("node", path=str(beside))):
        if program and node_fits(node_version(program)) and (Path(program).parent / "npm").exists():
            return Path(program).parent
    return None


def node_version(program: str) -> tuple[int, int]:
    """Major and minor version; (0, 0) where it does not say."""
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout
    found = re.match(r"v(\d+)\.(\d+)", said)
    return (int(found.group(1)), int(found.group(2))) if found else (0, 0)


def node_fits(version: tuple[int, int]) -> bool:
    """Whether the bundler runs on it.

    >>> [node_fits(one) for one in ((18, 20), (20, 18), (20, 19), (22, 11), (22, 12), (24, 0))]
    [False, False, True, False, True, True]
    """
    return (20, 19) <= version < (21, 0) or version >= (22, 12)


def _sources() -> Iterator[Path]:
    for top in sorted(_WEB.iterdir()):
        if top.name in _NOT_SOURCES:
            continue
        yield from sorted(path for path in top.rglob("*") if path.is_file()) if top.is_dir() else [top]


def _hash(paths: Iterator[Path]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        digest.update(str(path.relative_to(_WEB)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def _is(stamp: Path, value: str) -> bool:
    return stamp.is_file() and stamp.read_text() == value


def screen_ready() -> bool:
    """Whether ``web/dist`` was built from the present sources, or there are none."""
    if not (_WEB / "package-lock.json").is_file():
        return True
    return (_WEB / "dist" / "index.html").is_file() and _is(_MODULES / ".kakou-built", _hash(_sources()))


def _npm() -> tuple[Path, dict[str, str]]:
    folder = node_bin()
    if folder is None:
        raise InstallError(f"{NEEDED_NODE} is missing. Run `make install` to get it from PyPI.")
    path = f"{folder}{os.pathsep}{os.environ.get('PATH', '')}"
    return folder / "npm", {**os.environ, "PATH": path, "CI": "1"}


def build_screen() -> None:
    """Installs the locked web packages and builds ``web/dist``.

    Raises:
        InstallError: node is missing, or npm fails.
    """
    with one_after_another(PROJECT_ROOT / "var" / ".screen.lock"):
        if screen_ready():
            return
        npm, env = _npm()
        lock = _hash(iter([_WEB / "package.json", _WEB / "package-lock.json"]))
        if not _is(_MODULES / ".kakou-lock", lock):
            run_step(
                [npm, "ci", "--no-audit", "--no-fund"],
                what="The screen's packages could not be installed",
                mend="Check the network, then run `make install` again.",
                cwd=_WEB,
                env=env,
            )
            (_MODULES / ".kakou-lock").write_text(lock)
        wanted = _hash(_sources())
        run_step(
            [npm, "run", "build"],
            what="The screen could not be built",
            mend="Run `npm run build` in web/ to see all of it.",
            cwd=_WEB,
            env=env,
        )
        (_MODULES / ".kakou-built").write_text(wanted)


def run_script(name: str) -> int:
    """Runs a script of ``web/package.json`` in the foreground and returns its exit code."""
    npm, env = _npm()
    return subprocess.run([npm, "run", "--silent", name], cwd=_WEB, env=env, check=False).returncode


if __name__ == "__main__":
    sys.exit(run_script(sys.argv[1]))
