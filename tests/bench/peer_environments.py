"""Environments of the peers' own: what they need is none of the product's business."""

from __future__ import annotations

import hashlib
import shutil
import sys
from pathlib import Path

from bench_jars import fetch_jars

from kakou.settings import Settings
from kakou.stack.steps import run_step

PEERS = Path(__file__).with_name("peers")
IVY_FLINK = PEERS / "ivy-flink.xml"
COMPLETE = ".complete"


def environment(name: str, folder: Path) -> Path:
    """Python of the environment of a peer, made unless it is there and of the versions in ``peers/*.txt``.

    Args:
        name: that of the requirement file.
        folder: where environments lie.

    Raises:
        InstallError: a package cannot be installed.
    """
    locked = PEERS / f"{name}.txt"
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    home = folder / f"{name}-{hashlib.sha256(locked.read_bytes()).hexdigest()[:12]}-{version}"
    python = home / "bin" / "python"
    if (home / COMPLETE).exists():
        return python
    shutil.rmtree(home, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    print(f"  making the environment of {wanted(name)}", flush=True)
    uv = Path(sys.executable).with_name("uv")
    for argv in (
        [uv, "venv", "-q", "--python", sys.executable, home],
        [uv, "pip", "sync", "-q", "--python", python, locked],
    ):
        run_step(
            argv,
            what=f"The environment of {wanted(name)} could not be made",
            mend="Check the network and the disk, or leave this contestant out with --only.",
        )
    (home / COMPLETE).touch()
    return python


def wanted(name: str) -> str:
    """The package of a peer with its version, as ``peers/*.in`` names it."""
    return " ".join((PEERS / f"{name}.in").read_text("utf-8").strip().split("=="))


def flink_jars(settings: Settings, folder: Path) -> list[Path]:
    """The jar of Flink's Kafka connector, fetched unless it is there.

    Raises:
        InstallError: Java is missing or the jar cannot be fetched.
    """
    found = fetch_jars(settings, IVY_FLINK, folder, "Flink's Kafka connector", "leave `flink` out by --only")
    return sorted(found.glob("*.jar"))
