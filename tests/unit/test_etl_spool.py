"""The spool keeps what the log throws away, up to its caps, and says what it could not keep."""

import errno
import logging
import os
import shutil
from datetime import date
from pathlib import Path

import pytest

from etl.io.pass_log import PassLog, log_files
from etl.ship.follow import LogFollower
from etl.ship.positions import Positions
from etl.ship.spool import Spool
from etl.ship.spool_caps import SpoolCaps

DAY = date(2024, 1, 15)
ENOUGH = SpoolCaps(hours=1e6, bytes=1e12, least_free=0)


def no_link(source, target):
    raise OSError(errno.EXDEV, "another file system")


@pytest.fixture(params=[os.link, no_link], ids=["link", "copy"])
def link(request):
    return request.param


def opened(folder, caps=ENOUGH, link=os.link):
    positions = Positions(folder / "positions.json")
    return Spool(folder / "passes.log", folder / "spool", positions, caps, link), positions


def files(folder):
    return sorted(path for path in (folder / "spool").iterdir())


def read_all(spool):
    follower, lines = LogFollower(spool), []
    while True:
        some = follower.poll()
        lines += some
        if not some and follower.at_end:
            follower.close()
            return lines


def rotate(log, spool, count, first=0, size=100):
    """Writes files of one line each; the log's cap must be so low that each line begins the next."""
    lines = [b"line %06d" % n + b"x" * (size - 12) for n in range(first, first + count)]
    for line in lines:
        log.append([line], DAY)
        spool.look()
    return lines


def test_files_that_the_log_no_longer_has_are_kept_and_read_in_order(tmp_path, link):
    log = PassLog(tmp_path / "passes.log", cap_bytes=1)
    spool, positions = opened(tmp_path, link=link)
    written = rotate(log, spool, 8)
    assert len(log_files(log.path)) == 3 and len(files(tmp_path)) == 8
    assert spool.held() == (5, 500)
    lines = read_all(spool)
    assert [line.data for line in lines] == written
    assert spool.unshipped_bytes() == 800
    positions.offsets.update({line.file: line.end for line in lines})
    spool.look()
    assert len(files(tmp_path)) == 8, "what is not saved might be needed again"
    positions.save(spool.present())
    spool.look()
    assert len(files(tmp_path)) == 1 and spool.unshipped_bytes() == 0
    assert spool.losses.dropped_files == 0
    spool.close()


def test_a_link_takes_no_room_and_a_copy_is_whole(tmp_path, link):
    log = PassLog(tmp_path / "passes.log", cap_bytes=1)
    spool, _ = opened(tmp_path, link=link)
    rotate(log, spool, 3)
    same = {path.stat().st_ino for path in files(tmp_path)} == {
        path.stat().st_ino for path in log_files(log.path)
    }
    assert same == (link is os.link)
    assert [path.read_bytes() for path in files(tmp_path)] == [
        path.read_bytes() for path in log_files(log.path)
    ]
    spool.close()


def test_another_file_system_is_copied_to(tmp_path):
    elsewhere = Path("/dev/shm")
    if not elsewhere.is_dir() or elsewhere.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second file system")
    folder = elsewhere / f"kakou-spool-{os.getpid()}"
    try:
        log = PassLog(tmp_path / "passes.log", cap_bytes=1)
        spool = Spool(log.path, folder, Positions(tmp_path / "positions.json"), ENOUGH)
        written = rotate(log, spool, 6)
        assert [line.data for line in read_all(spool)] == written
        spool.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def test_at_the_cap_the_oldest_stay_and_the_loss_is_said(tmp_path, link, caplog):
    log = PassLog(tmp_path / "passes.log", cap_bytes=1)
    spool, _ = opened(tmp_path, SpoolCaps(hours=1e6, bytes=250, least_free=0), link)
    written = rotate(log, spool, 10)
    # Seven left the log; two fit, five are gone, three the log still has.
    assert [line.data for line in read_all(spool)] == [*written[:2], *written[7:]]
    assert (spool.losses.dropped_files, spool.losses.dropped_bytes) == (5, 500)
    assert len([one for one in caplog.records if "KAKOU_SPOOL_GB" in one.message]) == 5
    assert {one.levelno for one in caplog.records} == {logging.ERROR}
    spool.close()


def test_the_cap_of_hours_counts_from_the_oldest_that_is_kept(tmp_path):
    log = PassLog(tmp_path / "passes.log", cap_bytes=1)
    spool, _ = opened(tmp_path, SpoolCaps(hours=1, bytes=1e12, least_free=0))
    written, now = [], 1_700_000_000
    for n in range(6):
        written += rotate(log, spool, 1, first=n)
        os.utime(log.path, (now + n * 2400, now + n * 2400))
    for n in range(6, 8):
        written += rotate(log, spool, 1, first=n)
        os.utime(log.path, (now + n * 2400, now + n * 2400))
    assert [line.data for line in read_all(spool)] == [*written[:2], *written[5:]]
    assert spool.losses.dropped_files == 3
    spool.close()


def test_a_nearly_full_disk_is_a_cap_too_and_what_is_being_read_stays(tmp_path, caplog):
    log = PassLog(tmp_path / "passes.log", cap_bytes=1)
    spool, _ = opened(tmp_path, SpoolCaps(hours=1e6, bytes=1e12, least_free=1 << 60))
    written = rotate(log, spool, 1)
    follower = LogFollower(spool)
    assert [line.data for line in follower.poll()] == written
    written += rotate(log, spool, 5, first=1)
    assert spool.losses.dropped_files == 2
    assert "too little room" in caplog.text
    follower.close()
    assert files(tmp_path)[0].read_bytes() == written[0] + b"\n"
    spool.close()


def test_a_copy_that_finds_no_room_is_read_where_the_log_is(tmp_path, monkeypatch, caplog):
    log = PassLog(tmp_path / "passes.log", cap_bytes=1)
    spool, _ = opened(tmp_path, link=no_link)
    monkeypatch.setattr("etl.ship.spooled.CHUNK", -1)  # the copying fails: os.pread refuses the length
    written = rotate(log, spool, 3)
    assert "cannot be copied" in caplog.text
    assert [line.data for line in read_all(spool)] == written
    written += rotate(log, spool, 2, first=3)
    assert [line.data for line in read_all(spool)] == written[3:], "what was read already does not come again"
    spool.close()


def test_lines_read_before_a_truncation_can_be_sent_after_a_kill(tmp_path, link):
    path = tmp_path / "passes.log"
    path.write_bytes(b"1\n2\n3\n4\n")
    spool, positions = opened(tmp_path, link=link)
    follower = LogFollower(spool)
    lines = follower.poll()
    positions.offsets[lines[0].file] = lines[0].end
    positions.save(spool.present())
    path.write_bytes(b"5\n6\n")
    spool.look()
    for file in spool.take_cut():
        spool.rescue(file, lines[1:])
    after_a_kill, _ = opened(tmp_path, link=link)
    assert [line.data for line in read_all(after_a_kill)] == [b"2", b"3", b"4", b"5", b"6"]
    assert {(line.start, line.end) for line in read_all(opened(tmp_path, link=link)[0])} >= {(2, 4), (4, 6)}
    follower.close()
    spool.close()
    after_a_kill.close()


def test_lines_truncated_before_anybody_read_them_are_counted(tmp_path, caplog):
    path = tmp_path / "passes.log"
    path.write_bytes(b"1\n2\n")
    spool, _ = opened(tmp_path)
    follower = LogFollower(spool)
    assert len(follower.poll()) == 2
    with path.open("ab") as file:
        file.write(b"3\n4\n5\n")
    spool.look()
    path.write_bytes(b"6\n")
    spool.look()
    assert spool.losses.cut_bytes == 6
    assert "6 bytes" in caplog.text
    spool.close()


def test_truncated_and_rotated_away_while_nobody_shipped_still_comes_under_its_own_name(tmp_path):
    path = tmp_path / "passes.log"
    path.write_bytes(b"1\n2\n")
    spool, positions = opened(tmp_path)
    lines = read_all(spool)
    positions.offsets[lines[0].file] = lines[-1].end
    positions.save(spool.present())
    spool.close()
    path.write_bytes(b"3\n4\n5\n")
    log = PassLog(path, cap_bytes=1)
    log.append([b"6"], DAY)
    for n in range(7, 10):
        log.append([b"%d" % n], DAY)
    spool, _ = opened(tmp_path)
    # 6 came and went while nobody looked; the link kept what was written under it.
    assert sorted(line.data for line in read_all(spool)) == [b"3", b"4", b"5", b"7", b"8", b"9"]
    spool.close()


def test_a_log_rotated_past_all_known_files_is_warned_of(tmp_path, caplog):
    log = PassLog(tmp_path / "passes.log", cap_bytes=1)
    spool, positions = opened(tmp_path)
    log.append([b"1"], DAY)
    lines = read_all(spool)
    positions.offsets[lines[0].file] = lines[0].end
    positions.save(spool.present())
    spool.close()
    for n in range(2, 7):
        log.append([b"%d" % n], DAY)
    assert "may be missing" not in caplog.text
    spool, _ = opened(tmp_path)
    assert "may be missing" in caplog.text
    assert [line.data for line in read_all(spool)] == [b"4", b"5", b"6"]
    spool.close()


def test_a_file_taken_from_the_spool_by_hand_is_counted_and_the_rest_goes_on(tmp_path, caplog):
    log = PassLog(tmp_path / "passes.log", cap_bytes=1)
    spool, _ = opened(tmp_path)
    written = rotate(log, spool, 6)
    files(tmp_path)[1].unlink()
    assert [line.data for line in read_all(spool)] == [written[0], *written[2:]]
    assert spool.losses.dropped_files == 1 and "was removed" in caplog.text
    spool.close()
