"""Files appear whole or not at all, and what a killed writer left goes with the next run."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from kakou import whole_files
from kakou.errors import DiskFullError
from kakou.whole_files import (
    FOREIGN_SECONDS,
    draft_of,
    own_name,
    remove_abandoned,
    scratch_folder,
    write_private,
    write_text,
)

WRITE = """
import sys, time
from pathlib import Path
from kakou.whole_files import draft_of, scratch_folder
target = Path(sys.argv[1])
with draft_of(target) as draft, scratch_folder(target.parent, "spill") as spill:
    draft.write_text("half")
    draft.with_suffix(".sorted").write_text("half")
    draft.with_name("tmp_" + draft.name).write_text("half")
    (spill / "block").write_text("half")
    print("written", flush=True)
    time.sleep(60)
"""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_shows_only_when_it_is_whole(tmp_path: Path):
    path = tmp_path / "made" / "file"
    with draft_of(path) as draft:
        draft.write_text("half")
        assert not path.exists()
        draft.write_text("whole")
    assert names(path.parent) == ["file"]
    assert path.read_text() == "whole"


def test_a_block_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path):
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(KeyError), draft_of(path) as draft:
        draft.write_text("new")
        draft.with_suffix(".sorted").write_text("a second file of the writer")
        raise KeyError
    assert names(tmp_path) == ["file"]
    assert path.read_text() == "old"


def test_a_killed_writer_is_cleared_away_by_the_next_run_and_a_living_one_is_not(tmp_path: Path):
    child = subprocess.Popen(
        [sys.executable, "-c", WRITE, str(tmp_path / "file")], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None and child.stdout.readline() == "written\n"
    try:
        assert len(names(tmp_path)) == 4
        assert remove_abandoned(tmp_path) == []
    finally:
        child.send_signal(signal.SIGKILL)
        child.communicate()
    assert len(names(tmp_path)) == 4
    write_text(tmp_path / "other", "the next run")
    assert names(tmp_path) == ["other"]


def test_a_number_that_was_given_out_again_is_not_the_owner(tmp_path: Path):
    mine = own_name(tmp_path / "file")
    mine.touch()
    host, pid, start = mine.name.split(".")[2].split("-")
    reused = tmp_path / mine.name.replace(f"{pid}-{start}", f"{pid}-{int(start) + 1}")
    reused.touch()
    assert host and remove_abandoned(tmp_path) == [reused.name]
    assert names(tmp_path) == [mine.name]


def test_a_draft_of_another_machine_stays_until_nobody_can_still_write_it(tmp_path: Path):
    mine = own_name(tmp_path / "file")
    host = mine.name.split(".")[2].split("-")[0]
    foreign = tmp_path / mine.name.replace(host, "0" * 8 if host != "0" * 8 else "1" * 8)
    foreign.touch()
    assert remove_abandoned(tmp_path) == []
    before = time.time() - FOREIGN_SECONDS - 60
    os.utime(foreign, (before, before))
    assert remove_abandoned(tmp_path) == [foreign.name]


def test_files_of_others_are_never_taken_for_drafts(tmp_path: Path):
    kept = [".hidden", ".file.123.abcdef01.tmp", "data.12345678-1-1.abcdef01.tmp", ".spill-x", "file.tmp"]
    for name in kept:
        (tmp_path / name).touch()
    assert remove_abandoned(tmp_path) == []
    assert names(tmp_path) == sorted(kept)
    assert remove_abandoned(tmp_path / "missing") == []


@pytest.mark.parametrize("name", ["x" * 255, "卡" * 85])
def test_the_longest_names_work_too(tmp_path: Path, name: str):
    write_text(tmp_path / name, "whole")
    assert names(tmp_path) == [name]


def test_many_at_once_end_with_one_whole_file(tmp_path: Path):
    texts = [str(n) * 100_000 for n in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda text: write_text(tmp_path / "file", text), texts))
    assert (tmp_path / "file").read_text() in texts
    assert names(tmp_path) == ["file"]


def test_the_first_of_many_stays_where_it_is_asked_for(tmp_path: Path):
    for text in ("first", "second"):
        with draft_of(tmp_path / "file", keep_first=True) as draft:
            draft.write_text(text)
    assert (tmp_path / "file").read_text() == "first"
    assert names(tmp_path) == ["file"]


def test_a_private_file_is_private_from_its_first_byte(tmp_path: Path):
    with draft_of(tmp_path / "made" / "file", private=True) as draft:
        assert draft.stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "made").stat().st_mode & 0o077 == 0
    (tmp_path / "file").write_text("old")
    write_private(tmp_path / "file", "new")
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o600


def test_what_must_outlive_a_crash_is_synced_before_and_after_the_rename(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    order: list[str] = []
    real = os.fsync

    def sync(handle: int) -> None:
        order.append(f"{Path(f'/proc/self/fd/{handle}').readlink()} {(tmp_path / 'file').exists()}")
        real(handle)

    monkeypatch.setattr(whole_files.os, "fsync", sync)
    with draft_of(tmp_path / "file", durable=True) as draft:
        draft.write_text("whole")
    assert order == [f"{draft} False", f"{tmp_path} True"]


def test_a_full_disk_is_one_sentence_and_leaves_the_old_file(tmp_path: Path):
    path = tmp_path / "file"
    path.write_text("old")
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, usual[1]))
    try:
        with pytest.raises(DiskFullError, match="Free some"):
            write_text(path, "x" * 5000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)
    assert path.read_text() == "old"
    assert names(tmp_path) == ["file"]


def test_a_scratch_folder_lives_as_long_as_its_block(tmp_path: Path):
    with scratch_folder(tmp_path / "made", "spill") as one, scratch_folder(tmp_path / "made", "spill") as two:
        (one / "block").touch()
        assert one != two and two.is_dir()
    assert names(tmp_path / "made") == []
