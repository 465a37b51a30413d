"""The follower hands out every whole line exactly once, whatever happens to the log and to itself."""

import errno
import os
import shutil
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from etl.io.pass_log import PassLog
from etl.ship.follow import LogFollower
from etl.ship.positions import Positions
from etl.ship.spool import Spool
from etl.ship.spool_caps import SpoolCaps

DAY = date(2024, 1, 15)
ENOUGH = SpoolCaps(hours=1e6, bytes=1e12, least_free=0)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.integers(1, 4)),
        st.tuples(st.just("half"), st.just(0)),
        st.tuples(st.just("poll"), st.integers(1, 3)),
        st.tuples(st.just("acknowledge"), st.integers(0, 5)),
        st.tuples(st.just("restart"), st.booleans()),
        st.tuples(st.just("new writer"), st.just(0)),
        st.tuples(st.just("copytruncate"), st.just(0)),
    ),
    max_size=40,
)


def no_link(source, target):
    raise OSError(errno.EXDEV, "another file system")


class Reader:
    """A follower with positions that are saved only sometimes, as after a kill."""

    def __init__(self, folder, link=os.link, caps=ENOUGH):
        self.folder, self.link, self.caps = Path(folder), link, caps
        self.got, self.unacknowledged = [], []
        self.begin()

    def begin(self):
        self.positions = Positions(self.folder / "positions.json")
        log, spool = self.folder / "passes.log", self.folder / "spool"
        self.spool = Spool(log, spool, self.positions, self.caps, self.link)
        self.follower = LogFollower(self.spool)

    def poll(self):
        lines = self.follower.poll()
        self.got += [(line.file, line.start, line.data) for line in lines]
        self.unacknowledged += lines
        for file in self.spool.take_cut():
            self.spool.rescue(file, [line for line in self.unacknowledged if line.file == file.name])
        return [line.data for line in lines]

    def acknowledge(self, count):
        for line in self.unacknowledged[:count]:
            self.positions.offsets[line.file] = line.end
        del self.unacknowledged[:count]

    def save(self):
        self.positions.save(self.spool.present())

    def restart(self, saved_first=True):
        if saved_first:
            self.save()
        self.follower.close()
        self.spool.close()
        self.unacknowledged = []
        self.begin()

    def read_all(self):
        data, idle = [], 0
        while idle < 3:
            some = self.poll()
            data += some
            idle = 0 if some or not self.follower.at_end else idle + 1
        return data

    def files(self):
        return sorted(path.name for path in (self.folder / "spool").iterdir())


def first_times(got):
    """Lines in the order in which they came first; after a restart some come again, from the same place."""
    seen, lines = set(), []
    for file, start, data in got:
        if (file, start) not in seen:
            seen.add((file, start))
            lines.append(data)
    return lines


def copytruncate(path):
    """As logrotate does it: older files by renaming, the newest by copying it and cutting it to nothing."""
    if path.with_name("passes.log.1").exists():
        path.with_name("passes.log.1").replace(path.with_name("passes.log.2"))
    shutil.copyfile(path, path.with_name("passes.log.1"))
    os.truncate(path, 0)


@settings(max_examples=150, deadline=None)
@given(steps=STEPS, cap=st.sampled_from([1, 60, 1 << 20]), link=st.sampled_from([os.link, no_link]))
def test_every_line_once_in_order(steps, cap, link):
    with TemporaryDirectory() as folder:
        path = Path(folder) / "passes.log"
        log, reader, written = PassLog(path, cap_bytes=cap), Reader(folder, link), []
        for step, value in steps:
            if step == "append":
                lines = [b"line %06d" % (len(written) + n) for n in range(value)]
                log.append(lines, DAY)
                written += lines
                reader.spool.look()  # its thread does, while nobody reads
            elif step == "half":
                log.close()
                with path.open("ab") as file:
                    file.write(b"half a li")
                reader.poll()
                log = PassLog(path, cap_bytes=cap)
            elif step == "poll":
                for _ in range(value):
                    reader.poll()
            elif step == "acknowledge":
                reader.acknowledge(value)
            elif step == "restart":
                reader.restart(value)
            elif step == "copytruncate":
                log.close()
                copytruncate(path)
                reader.poll()
                log = PassLog(path, cap_bytes=cap)
            else:
                log.close()
                log = PassLog(path, cap_bytes=cap)
        reader.read_all()
        assert first_times(reader.got) == written
        reader.acknowledge(len(reader.got))
        reader.save()
        reader.spool.look()
        assert len(reader.files()) <= 1, "only the file that is written to stays in the spool"
        reader.restart()
        assert reader.read_all() == []
        log.close()


def test_truncation_begins_a_new_file(tmp_path):
    path = tmp_path / "passes.log"
    path.write_bytes(b"first 1\nfirst 2\n")
    reader = Reader(tmp_path)
    assert reader.read_all() == [b"first 1", b"first 2"]
    # As long as before and longer: only the first line tells that it is another file.
    path.write_bytes(b"second 1\nsecond 2\nsecond 3\n")
    assert reader.read_all() == [b"second 1", b"second 2", b"second 3"]
    path.write_bytes(b"")
    assert reader.read_all() == []
    path.write_bytes(b"third\n")
    assert reader.read_all() == [b"third"]


def test_a_truncated_log_that_begins_with_the_same_line_is_another_file_too(tmp_path):
    path = tmp_path / "passes.log"
    path.write_bytes(b"header\n1\n2\n")
    reader = Reader(tmp_path)
    assert reader.read_all() == [b"header", b"1", b"2"]
    # Longer than before, so that neither size nor first line tells; the bytes before the position do.
    path.write_bytes(b"header\n3\n4\n5\n6\n")
    assert reader.read_all() == [b"header", b"3", b"4", b"5", b"6"]
    path.write_bytes(b"header\n")
    assert reader.read_all() == [b"header"]
    reader.acknowledge(100)
    reader.restart()
    assert reader.read_all() == []
    with path.open("ab") as file:
        file.write(b"7\n")
    assert reader.read_all() == [b"7"]
    assert len({(file, start) for file, start, _ in reader.got}) == len(reader.got)


def test_a_very_long_line_and_odd_bytes_pass_as_they_are(tmp_path):
    path = tmp_path / "passes.log"
    odd = [b"x" * 3_000_000, b"\xff\xfe\x00\t\t", b"", b"a\rb", "苏C12345".encode()]
    path.write_bytes(b"\n".join(odd) + b"\nunfinished")
    assert Reader(tmp_path).read_all() == odd


def test_it_waits_for_a_file_that_is_not_there_yet(tmp_path):
    reader = Reader(tmp_path)
    assert reader.poll() == []
    (tmp_path / "passes.log").write_bytes(b"here\n")
    assert reader.read_all() == [b"here"]
