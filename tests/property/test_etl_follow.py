"""The follower hands out every whole line exactly once, whatever happens to the log and to itself."""

from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from etl.io.pass_log import KEEP, PassLog
from etl.ship.follow import LogFollower

DAY = date(2024, 1, 15)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.integers(1, 4)),
        st.tuples(st.just("half"), st.just(0)),
        st.tuples(st.just("poll"), st.integers(1, 3)),
        st.tuples(st.just("restart"), st.booleans()),
        st.tuples(st.just("new writer"), st.just(0)),
    ),
    max_size=40,
)


class Reader:
    """A follower with positions that are saved only sometimes, as after a kill."""

    def __init__(self, path):
        self.path, self.saved, self.got = path, {}, []
        self.follower = LogFollower(path, self.saved)
        self.positions = {}

    def poll(self):
        lines = self.follower.poll()
        for line in lines:
            self.got.append((line.file, line.start, line.data))
            self.positions[line.file] = line.end
        return lines

    def restart(self, saved_first):
        self.follower.close()
        if saved_first:
            self.saved = dict(self.positions)
        self.follower = LogFollower(self.path, self.saved)


@settings(max_examples=120, deadline=None)
@given(steps=STEPS, cap=st.sampled_from([1, 60, 1 << 20]))
def test_every_line_once_in_order(steps, cap):
    with TemporaryDirectory() as folder:
        path = Path(folder) / "passes.log"
        log, reader, written = PassLog(path, cap_bytes=cap), Reader(path), []
        unread_files = 0
        for step, value in steps:
            if step == "append":
                # Beyond as many rotations as files are kept, lines that nobody read are gone by design.
                if unread_files >= KEEP - 1:
                    while reader.poll():
                        pass
                    for _ in range(3):
                        reader.poll()
                    unread_files = 0
                lines = [b"line %06d" % (len(written) + n) for n in range(value)]
                log.append(lines, DAY)
                unread_files += 1
                written += lines
            elif step == "half":
                log.close()
                with path.open("ab") as file:
                    file.write(b"half a li")
                reader.poll()
                log = PassLog(path, cap_bytes=cap)
            elif step == "poll":
                for _ in range(value):
                    reader.poll()
            elif step == "restart":
                reader.restart(value)
            else:
                log.close()
                log = PassLog(path, cap_bytes=cap)
        for _ in range(12):
            reader.poll()
        reader.follower.close()
        log.close()
        # After a restart without saving, lines come again; their place tells that they are the same.
        seen, first_time = set(), []
        for file, start, data in reader.got:
            if (file, start) not in seen:
                seen.add((file, start))
                first_time.append(data)
        assert sorted(first_time) == sorted(written)
        assert len(first_time) == len(set(first_time))


def test_truncation_begins_a_new_file(tmp_path):
    path = tmp_path / "passes.log"
    path.write_bytes(b"first 1\nfirst 2\n")
    follower = LogFollower(path, {})
    assert [line.data for line in follower.poll()] == [b"first 1", b"first 2"]
    # As long as before and longer: only the first line tells that it is another file.
    path.write_bytes(b"second 1\nsecond 2\nsecond 3\n")
    got = [line.data for _ in range(4) for line in follower.poll()]
    assert got == [b"second 1", b"second 2", b"second 3"]
    path.write_bytes(b"")
    assert [line for _ in range(3) for line in follower.poll()] == []
    path.write_bytes(b"third\n")
    assert [line.data for _ in range(4) for line in follower.poll()] == [b"third"]


def test_a_very_long_line_and_odd_bytes_pass_as_they_are(tmp_path):
    path = tmp_path / "passes.log"
    odd = [b"x" * 3_000_000, b"\xff\xfe\x00\t\t", b"", b"a\rb", "苏C12345".encode()]
    path.write_bytes(b"\n".join(odd) + b"\nunfinished")
    follower = LogFollower(path, {})
    assert [line.data for _ in range(3) for line in follower.poll()] == odd


def test_it_waits_for_a_file_that_is_not_there_yet(tmp_path):
    follower = LogFollower(tmp_path / "passes.log", {})
    assert follower.poll() == []
    (tmp_path / "passes.log").write_bytes(b"here\n")
    assert [line.data for line in follower.poll()] == [b"here"]
