"""The command ``kakou etl run``: killed by kill -9, on a full disk, and twice at once on one folder."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import polars as pl
import pytest
from batch_folder import drafts, share_a_day, strange, unlike, visible

SECONDS = 120


def start(raw: Path, out: Path, *options: str, largest_file: int = -1) -> subprocess.Popen[str]:
    command = [
        sys.executable,
        "-m",
        "kakou.cli",
        "etl",
        "run",
        "--raw",
        str(raw),
        "--out",
        str(out),
        *options,
    ]
    limit = partial(resource.setrlimit, resource.RLIMIT_FSIZE, (largest_file, largest_file))
    return subprocess.Popen(
        [*command, *options], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, preexec_fn=limit
    )


def end(child: subprocess.Popen[str]) -> tuple[int, str]:
    """Exit code and what was said on stderr."""
    try:
        said = child.communicate(timeout=SECONDS)[1]
    finally:
        child.kill()
    return child.returncode, said


def wait_for_draft(out: Path, target: str, child: subprocess.Popen[str]) -> None:
    """Returns as soon as somebody writes what will be ``target``."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline and child.poll() is None:
        if out.is_dir() and any(one.name.startswith(f".{target}.") for one in os.scandir(out)):
            return
    pytest.fail(f"nobody wrote {target}")


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("raw")
    command = ["raw", "generate", "--out", str(folder), "--days", "4", "--scale", "0.02"]
    subprocess.run([sys.executable, "-m", "kakou.cli", *command], check=True, stdout=subprocess.DEVNULL)
    share_a_day(folder)
    return folder


@pytest.fixture(scope="module")
def whole(raw: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What an undisturbed run makes."""
    out = tmp_path_factory.mktemp("whole") / "out"
    code, said = end(start(raw, out))
    assert code == 0, said
    return visible(out)


@pytest.mark.parametrize("target", ["merged_data.parquet", "master_data_cleaned.parquet"])
def test_killed_in_a_write_and_run_again(raw: Path, whole: dict[str, str], tmp_path: Path, target: str):
    child = start(raw, tmp_path)
    try:
        wait_for_draft(tmp_path, target, child)
    finally:
        child.kill()
        child.communicate()
    assert child.returncode == -9
    assert drafts(tmp_path)
    assert strange(tmp_path, whole) == []
    assert end(start(raw, tmp_path))[0] == 0
    assert unlike(tmp_path, whole) == []


def test_twice_at_once_on_one_folder_both_end_well(raw: Path, whole: dict[str, str], tmp_path: Path):
    children = [start(raw, tmp_path) for _ in range(2)]
    try:
        # Whatever shows under a final name while they run is whole.
        while any(child.poll() is None for child in children):
            assert strange(tmp_path, whole) == []
            time.sleep(0.05)
    finally:
        ended = [end(child) for child in children]
    assert [code for code, _ in ended] == [0, 0], ended
    assert unlike(tmp_path, whole) == []


def test_a_run_with_other_choices_says_that_it_waits_and_comes_after_the_first(
    raw: Path, whole: dict[str, str], tmp_path: Path
):
    choice, out = ("--replicate", "16-16:22-22"), tmp_path / "out"
    assert end(start(raw, tmp_path / "other", *choice))[0] == 0
    other = visible(tmp_path / "other")
    assert any(other[name] != whole[name] for name in whole)
    first = start(raw, out)
    try:
        wait_for_draft(out, "merged_data.parquet", first)
        first.send_signal(signal.SIGSTOP)
        second = start(raw, out, *choice)
        assert second.stderr is not None
        assert second.stderr.readline() == f"Another run uses {out}; waiting for its end.\n"
        assert strange(out, whole) == []
    finally:
        first.send_signal(signal.SIGCONT)
    assert [end(child)[0] for child in (first, second)] == [0, 0]
    assert unlike(out, other) == []


def test_a_backfill_builds_its_days_anew_and_leaves_the_others(raw: Path, tmp_path: Path):
    mine, out = shutil.copytree(raw, tmp_path / "raw"), tmp_path / "out"
    assert end(start(mine, out))[0] == 0
    before = pl.read_csv(out / "merged_data.csv", infer_schema=False)
    days = sorted(before["GCSJ"].str.slice(0, 10).unique())
    # All that the first days were made of is gone.
    for path in mine.rglob("*"):
        if path.is_file() and path.suffix == ".csv":
            path.unlink()
    assert end(start(mine, out, "--first-day", days[-1]))[0] == 0
    assert pl.read_csv(out / "merged_data.csv", infer_schema=False).equals(before)
    assert end(start(mine, out))[0] == 0
    after = pl.read_csv(out / "merged_data.csv", infer_schema=False)
    assert 0 < len(after) < len(before)
    assert days[0] not in set(after["GCSJ"].str.slice(0, 10))


def test_a_full_disk_is_one_sentence_and_the_next_run_goes_on(
    raw: Path, whole: dict[str, str], tmp_path: Path
):
    code, said = end(start(raw, tmp_path, largest_file=100_000))
    assert code == 1
    assert "No room is left on the disk" in said and "Traceback" not in said
    assert strange(tmp_path, whole) == []
    assert end(start(raw, tmp_path))[0] == 0
    assert unlike(tmp_path, whole) == []
