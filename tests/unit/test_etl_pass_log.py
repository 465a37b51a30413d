"""The pass log holds whole lines, rotates by renaming and stops before the disk is full."""

import resource
from datetime import date

import pytest

from etl.io.pass_log import PassLog, log_files
from kakou.errors import BadInputError, DiskFullError
from kakou.process_lock import only_one

DAY = date(2024, 1, 15)


def contents(path):
    return [file.read_bytes() for file in log_files(path)]


def test_it_rotates_by_size_and_keeps_two(tmp_path):
    log = PassLog(tmp_path / "passes.log", cap_bytes=10)
    for n in range(5):
        log.append([f"line {n} long enough".encode()], DAY)
    assert contents(log.path) == [b"line 2 long enough\n", b"line 3 long enough\n", b"line 4 long enough\n"]


def test_it_rotates_at_midnight_and_the_old_file_keeps_its_inode(tmp_path):
    log = PassLog(tmp_path / "passes.log")
    log.append([b"monday"], DAY)
    inode = log.path.stat().st_ino
    log.append([b"tuesday"], date(2024, 1, 16))
    assert contents(log.path) == [b"monday\n", b"tuesday\n"]
    assert (tmp_path / "passes.log.1").stat().st_ino == inode


def test_half_a_line_of_a_killed_writer_is_cut_off(tmp_path):
    path = tmp_path / "passes.log"
    path.write_bytes(b"whole\nhal")
    log = PassLog(path)
    log.append([b"next"], date.fromtimestamp(path.stat().st_mtime))
    assert path.read_bytes() == b"whole\nnext\n"
    path.write_bytes(b"no line end at all")
    PassLog(path)
    assert path.read_bytes() == b""


def test_it_stops_before_the_disk_is_full_and_the_log_stays_whole(tmp_path):
    path = tmp_path / "passes.log"
    log = PassLog(path)
    log.append([b"one"], DAY)
    log.close()
    full = PassLog(path, least_free=1 << 60)
    with pytest.raises(DiskFullError, match="Free some room"):
        full.append([b"two"], DAY)
    assert path.read_bytes() == b"one\n"


def test_a_write_that_finds_no_room_leaves_only_whole_lines(tmp_path):
    log = PassLog(tmp_path / "passes.log")
    log.append([b"one"], DAY)
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, usual[1]))
    try:
        with pytest.raises(DiskFullError):
            log.append([b"x" * 100] * 50, DAY)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)
    assert log.path.read_bytes() == b"one\n"
    log.append([b"two"], DAY)
    assert log.path.read_bytes() == b"one\ntwo\n"


def test_only_one_writer_at_a_time(tmp_path):
    with (
        only_one(tmp_path / "lock", "kakou simulate"),
        pytest.raises(BadInputError, match="kakou simulate"),
        only_one(tmp_path / "lock", "kakou simulate"),
    ):
        pass
    with only_one(tmp_path / "lock", "kakou simulate"):
        pass
