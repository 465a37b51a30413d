"""Kills the batch in each of its steps and runs it again: the same bytes must lie there at the end."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

BATCH = str(Path(__file__).with_name("our_batch.py"))
LONGEST_WAIT = 600.0


def digest(out: Path) -> dict[str, str]:
    """Hash of each artefact and report that the batch leaves, by name; its inner parts do not count."""
    found = {}
    for file in sorted(path for path in out.iterdir() if path.is_file() and not path.name.startswith(".")):
        with file.open("rb") as opened:
            found[file.name] = hashlib.file_digest(opened, "sha256").hexdigest()
    return found


def killed_and_resumed(raw: Path, work: Path, seconds_of: dict[str, float], seed: int = 1) -> dict[str, str]:
    """Kills a run in each step, a random share of its usual time after it began, then runs it to the end.

    Args:
        seconds_of: how long each step takes undisturbed.

    Returns:
        for each step ``identical``, ``over before the kill``, or the names of the files that differ.
    """
    chance = random.Random(seed)
    whole = work / "whole"
    _run(raw, whole)
    expected = digest(whole)
    shutil.rmtree(whole)
    found = {}
    for step, usual in seconds_of.items():
        out = work / f"killed-{step}"
        killed = _kill_in(raw, out, step, usual * chance.uniform(0.1, 0.9))
        _run(raw, out)
        got = digest(out)
        wrong = sorted(name for name in expected.keys() | got.keys() if expected.get(name) != got.get(name))
        left = [path.name for path in out.rglob("*.tmp")]
        found[step] = ", ".join(wrong + left) or ("identical" if killed else "over before the kill")
        shutil.rmtree(out)
    return found


def _run(raw: Path, out: Path) -> None:
    marks = {**os.environ, "BENCH_MARKS": os.devnull}
    command = [sys.executable, BATCH, "five-steps", str(raw), str(out)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=marks)


def _kill_in(raw: Path, out: Path, step: str, after: float) -> bool:
    """True if the run was still going when it was killed."""
    marks = out.with_suffix(".marks")
    process = subprocess.Popen(
        [sys.executable, BATCH, "five-steps", str(raw), str(out)],
        stdout=subprocess.DEVNULL, start_new_session=True, env={**os.environ, "BENCH_MARKS": str(marks)},
    )  # fmt: skip
    deadline = time.monotonic() + LONGEST_WAIT
    while process.poll() is None and time.monotonic() < deadline:
        if marks.exists() and f'"{step}"' in marks.read_text():
            time.sleep(after)
            break
        time.sleep(0.01)
    alive = process.poll() is None
    if alive:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    marks.unlink(missing_ok=True)
    return alive
