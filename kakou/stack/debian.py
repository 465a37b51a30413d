"""Edge: Debian's MariaDB and Redis, unpacked beside the project instead of installed.

Installing a server package would run its postinst, which starts a system service. Unpacking runs nothing and
needs no root.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

from kakou.errors import InstallError
from kakou.process_lock import one_after_another
from kakou.settings import Settings
from kakou.stack.steps import as_root, run_step

PACKAGES: Final = (
    "mariadb-server-core",
    "mariadb-plugin-spider",
    "mariadb-client-core",
    "redis-server",
    "redis-tools",
)
# Who brings a library that the servers miss on this machine; only the missing ones are fetched.
LIBRARIES: Final = {
    "liburing.so.2": "liburing2",
    "libaio.so.1": "libaio1",
    "libaio.so.1t64": "libaio1t64",
    "liblzf.so.1": "liblzf1",
    "libjemalloc.so.2": "libjemalloc2",
    "libnuma.so.1": "libnuma1",
    "libatomic.so.1": "libatomic1",
    "libsystemd.so.0": "libsystemd0",
    "libpcre2-8.so.0": "libpcre2-8-0",
    "libssl.so.3": "libssl3",
    "libcrypto.so.3": "libssl3",
    "libedit.so.2": "libedit2",
    "libbsd.so.0": "libbsd0",
    "libmd.so.0": "libmd0",
    "libncurses.so.6": "libncurses6",
    "libtinfo.so.6": "libtinfo6",
}
_PROGRAMS: Final = ("usr/sbin/mariadbd", "usr/bin/mariadb", "usr/bin/redis-server", "usr/bin/redis-cli")
_NETWORK: Final = "Check the network and the sources in /etc/apt, then run the command again."


def debian_root(settings: Settings) -> Path:
    """Where the packages lie, laid out like the root of a Debian system."""
    return settings.parts / "debian"


def library_path(root: Path) -> str:
    """Value of LD_LIBRARY_PATH that the unpacked programs need."""
    folders = {path.parent for base in ("usr/lib", "lib") for path in (root / base).glob("**/*.so.*")}
    return os.pathsep.join(str(folder) for folder in sorted(folders))


def _stamp() -> str:
    return hashlib.sha256("\n".join(PACKAGES).encode()).hexdigest()


def debian_ready(settings: Settings) -> bool:
    """Whether every server package lies unpacked and whole."""
    stamp = debian_root(settings) / ".complete"
    return stamp.is_file() and stamp.read_text() == _stamp()


def unpack_debian(settings: Settings) -> None:
    """Fetches and unpacks the server packages unless they are there.

    They are unpacked into a draft folder that is renamed at the end, so an interrupted run leaves no half.

    Raises:
        InstallError: the packages cannot be fetched; the message says what to do.
    """
    with one_after_another(settings.parts / ".debian.lock"):
        if debian_ready(settings):
            return
        root = debian_root(settings)
        draft, fetched = root.with_name(".debian.draft"), root.with_name(".debian.fetched")
        for folder in (draft, fetched):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
        _fetch(list(PACKAGES), fetched)
        _unpack(fetched, draft)
        missing = _missing(draft)
        while missing:
            unknown = sorted(name for name in missing if name not in LIBRARIES)
            if unknown:
                raise InstallError(
                    f"The database servers need {', '.join(unknown)}, which no known Debian package brings. "
                    "Install that library by apt, then run the command again."
                )
            _fetch(sorted({LIBRARIES[name] for name in missing}), fetched)
            _unpack(fetched, draft)
            left = _missing(draft)
            if left >= missing:
                raise InstallError(f"{', '.join(sorted(left))} is still missing after unpacking. {_NETWORK}")
            missing = left
        (draft / ".complete").write_text(_stamp())
        shutil.rmtree(fetched)
        shutil.rmtree(root, ignore_errors=True)
        draft.rename(root)


def _missing(root: Path) -> set[str]:
    """Libraries that the programs under ``root`` look for in vain."""
    env = {**os.environ, "LD_LIBRARY_PATH": library_path(root), "LC_ALL": "C"}
    out = ""
    for program in _PROGRAMS:
        out += subprocess.run(
            ["ldd", str(root / program)], env=env, capture_output=True, text=True, check=False
        ).stdout
    return {line.split()[0] for line in out.splitlines() if "not found" in line}


def _fetch(packages: list[str], folder: Path) -> None:
    what = f"Debian packages {', '.join(packages)} could not be fetched"
    argv = ["apt-get", "download", "-q", *packages]
    if os.geteuid() == 0:  # else apt warns that its own user may not write here
        argv[1:1] = ["-o", "APT::Sandbox::User=root"]
    try:
        run_step(argv, what=what, mend=_NETWORK, cwd=folder)
    except InstallError:
        refresh_lists(what)  # no lists yet, or lists older than the archive
        run_step(argv, what=what, mend=_NETWORK, cwd=folder)


def refresh_lists(what: str) -> None:
    """``apt-get update``, the one thing here that needs root.

    Raises:
        InstallError: neither root nor sudo, or the archive does not answer.
    """
    root = as_root()
    if root is None:
        raise InstallError(
            f"{what}: apt's lists are missing or old and refreshing them needs root. "
            "Run `sudo apt-get update` once, then run the command again."
        )
    run_step([*root, "apt-get", "update", "-q"], what=f"{what}: apt-get update failed", mend=_NETWORK)


def _unpack(fetched: Path, target: Path) -> None:
    for package in sorted(fetched.glob("*.deb")):
        run_step(
            ["dpkg", "-x", package, target],
            what=f"{package.name} could not be unpacked",
            mend="Check that the disk has room, then run the command again.",
        )
        package.unlink()
