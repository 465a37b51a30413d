"""Days are archived whole and each id once, whatever the stream writes meanwhile and whoever is killed."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow.parquet as pq
import pytest
from archived_days import DAY, GATES, empty_place, everywhere, flow, home_of, in_archive, put, store
from pass_rows import ask, insert_rows, pass_row

from kakou.connections import connect, node_names
from kakou.errors import BadInputError, SchemaError, StorageError
from kakou.fields import FIELDS_12
from kakou.settings import Settings
from sql import archive, node_days
from sql.archive import archive_closed_days, archive_day
from sql.archive_files import day_folder, is_archived
from sql.closed_days import close_day
from sql.retention import delete_old

pytestmark = pytest.mark.integration


@pytest.fixture
def place(stack: Settings, tmp_path: Path) -> Iterator[Settings]:
    with empty_place(stack, tmp_path) as settings:
        yield settings


@pytest.fixture
def between_pages(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], None]], None]:
    """Makes pages of five rows, and does something after the first page of each node."""

    def arrange(act: Callable[[], None]) -> None:
        real = node_days._pages

        def pages(*given: Any) -> Iterator[Any]:
            for number, page in enumerate(real(*given)):
                yield page
                if number == 0:
                    act()

        monkeypatch.setattr(node_days, "PAGE_ROWS", 5)
        monkeypatch.setattr(node_days, "_pages", pages)

    return arrange


def test_a_day_is_archived_with_every_row_and_value(place: Settings) -> None:
    ids = [f"a{n:03d}" for n in range(50)]
    store(place, ids)
    store(place, ["before"], DAY - timedelta(days=1))
    store(place, ["after"], DAY + timedelta(days=1))
    counts = archive_day(place, DAY)
    assert sum(counts.values()) == 50
    assert json.loads((day_folder(place, DAY) / "_COUNTS.json").read_text()) == counts
    assert in_archive(place) == ids
    for name in node_names(place):
        for row in pq.read_table(day_folder(place, DAY) / f"{name}-0000.parquet").to_pylist():
            n = int(row["GCXH"][1:])
            time = [
                datetime(2024, 1, 15),
                datetime(2024, 1, 15, 23, 59, 59),
                datetime(2024, 1, 15, 12, 34, 56),
            ]
            assert tuple(row)[:12] == FIELDS_12
            assert (row["GCSJ"], row["KKMC"], row["CLPPXH"]) == (time[n % 3], GATES[n % 10], "大众🚗")
            assert (row["KAFKA_PARTITION"], row["KAFKA_OFFSET"], row["BATCH_ID"]) == (0, n, 1)
            assert (row["IS_WEEKEND"], row["IS_PEAK_HOUR"]) == (0, 1)


def test_rows_of_a_file_lie_in_the_order_of_time(place: Settings) -> None:
    store(place, [f"a{n:03d}" for n in range(50)])
    archive_day(place, DAY)
    for path in day_folder(place, DAY).glob("*.parquet"):
        keys = [(row["GCSJ"], row["GCXH"]) for row in pq.read_table(path).to_pylist()]
        assert keys == sorted(keys)


def test_many_rows_of_one_second_are_read_page_by_page(
    place: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node_days, "PAGE_ROWS", 3)
    monkeypatch.setattr(archive, "ROWS_AT_ONCE", 4)
    ids = [f"same{n:02d}" for n in range(40)]
    put(place, [pass_row(id, GATES[n % 2], f"{DAY} 08:00:00") for n, id in enumerate(ids)])
    archive_day(place, DAY)
    assert in_archive(place) == ids


def test_late_rows_are_added_and_nothing_is_written_twice(place: Settings) -> None:
    store(place, [f"a{n}" for n in range(20)])
    archive_day(place, DAY)
    assert archive_day(place, DAY) == archive_day(place, DAY)
    store(place, ["late1", "late2"])
    assert sum(archive_day(place, DAY).values()) == 22
    assert in_archive(place) == sorted([*(f"a{n}" for n in range(20)), "late1", "late2"])


def test_an_id_is_archived_once_whatever_its_time_and_node(place: Settings) -> None:
    at_first = pass_row("again", GATES[0], f"{DAY} 08:00:00", offset=1)
    first = home_of(place, at_first)
    other = next(gate for gate in GATES if home_of(place, pass_row("x", gate)) != first)
    put(place, [at_first])
    archive_day(place, DAY)
    with connect(place, first, "kakou_writer") as node, node.cursor() as cursor:
        cursor.execute("DELETE FROM traffic_data WHERE id = 'again'")  # as retention does
        node.commit()
    put(place, [pass_row("again", other, f"{DAY} 22:00:00", offset=9)])
    assert archive_day(place, DAY)[first] == 1
    assert in_archive(place) == ["again"]
    # As while a gate moves from node to node: the same row is on both.
    for name in node_names(place):
        with connect(place, name, "kakou_writer") as node:
            insert_rows(node, [pass_row("both", GATES[0], f"{DAY} 09:00:00", offset=2)])
    archive_day(place, DAY)
    assert in_archive(place) == ["again", "both"]


def test_a_day_that_is_not_over_is_refused(place: Settings) -> None:
    now = datetime.now(ZoneInfo(place.timezone)).date()
    with pytest.raises(BadInputError, match="is not over"):
        archive_day(place, now)
    assert not is_archived(place, now)


@pytest.mark.parametrize("change", [-1, 1])
def test_a_count_that_disagrees_leaves_no_archive(
    place: Settings, monkeypatch: pytest.MonkeyPatch, change: int
) -> None:
    store(place, [f"a{n}" for n in range(20)])
    real = archive.write_keys

    def miscounted(*given: Any) -> list[int]:
        hours = real(*given)
        hours[12] += change
        return hours

    monkeypatch.setattr(archive, "write_keys", miscounted)
    with pytest.raises(StorageError, match="in hour 12, but"):
        archive_day(place, DAY)
    assert not is_archived(place, DAY)
    assert list(place.history_dir.iterdir()) == []


def test_rows_that_come_while_a_day_is_read_break_nothing(
    place: Settings, between_pages: Callable[[Callable[[], None]], None]
) -> None:
    store(place, [f"a{n:02d}" for n in range(30)])
    calls: list[int] = []

    def write_late() -> None:
        calls.append(1)
        n = len(calls)
        if n > len(node_names(place)):
            return  # the second call of archive_day: the stream is quiet
        # Some behind the place that was read (by their ids, at the same second), some before it.
        put(place, [pass_row(f"LATE{n}-{gate}", gate, f"{DAY} 00:00:00") for gate in GATES])
        put(place, [pass_row(f"soon{n}-{gate}", gate, f"{DAY} 23:00:00") for gate in GATES])

    between_pages(write_late)
    archive_day(place, DAY)
    assert len(calls) == len(node_names(place))
    first = in_archive(place)
    assert set(first) >= {f"a{n:02d}" for n in range(30)} and len(set(first)) == len(first)
    assert any(id.startswith("soon1") for id in first) and not any(id.startswith("LATE2") for id in first)
    archive_day(place, DAY)
    every = sorted(str(id) for (id,) in everywhere(place, "SELECT id FROM traffic_data"))
    assert in_archive(place) == every and len(every) == 30 + 2 * 2 * len(GATES)


def test_reading_keeps_neither_a_lock_nor_a_snapshot(
    place: Settings, between_pages: Callable[[Callable[[], None]], None]
) -> None:
    store(place, [f"a{n:02d}" for n in range(30)])
    open_ones: list[int] = []

    def look() -> None:
        for name in node_names(place):
            with connect(place, name, "root") as node:
                open_ones.append(ask(node, "SELECT COUNT(*) FROM information_schema.innodb_trx")[0][0])

    between_pages(look)
    archive_day(place, DAY)
    assert open_ones == [0] * 4


def test_rows_that_vanish_while_a_day_is_read_leave_no_archive(
    place: Settings, between_pages: Callable[[Callable[[], None]], None]
) -> None:
    store(place, [f"a{n:02d}" for n in range(30)])

    def delete() -> None:
        for name in node_names(place):
            with connect(place, name, "kakou_writer", autocommit=True) as node, node.cursor() as cursor:
                cursor.execute("DELETE FROM traffic_data WHERE gcsj = %s", (f"{DAY} 23:59:59",))

    between_pages(delete)
    with pytest.raises(StorageError, match="in hour 23"):
        archive_day(place, DAY)
    assert not is_archived(place, DAY)


def test_two_at_once_archive_once(place: Settings) -> None:
    store(place, [f"a{n}" for n in range(40)])
    results: list[Any] = []
    threads = [threading.Thread(target=lambda: results.append(archive_day(place, DAY))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [sum(counts.values()) for counts in results] == [40] * 3
    assert in_archive(place) == sorted(f"a{n}" for n in range(40))


def test_who_lost_the_hold_publishes_nothing(
    place: Settings, between_pages: Callable[[Callable[[], None]], None]
) -> None:
    store(place, [f"a{n:02d}" for n in range(30)])

    def kill_the_keeper() -> None:
        with connect(place, node_names(place)[0], "root", autocommit=True) as node, node.cursor() as cursor:
            cursor.execute("SELECT IS_USED_LOCK(%s)", (archive.LOCK,))
            (keeper,) = cursor.fetchone()
            if keeper is not None:
                cursor.execute(f"KILL {keeper}")

    between_pages(kill_the_keeper)
    with pytest.raises(StorageError):
        archive_day(place, DAY)
    assert not is_archived(place, DAY)


def test_a_kill_while_further_files_are_published_is_made_good(
    place: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(place, [f"a{n}" for n in range(20)])
    archive_day(place, DAY)
    store(place, [f"late{n}" for n in range(20)])
    real, calls = Path.replace, []

    def replace(self: Path, target: Path) -> Path:
        if self.suffix == ".parquet":
            calls.append(self)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(self, target)

    monkeypatch.setattr(Path, "replace", replace)
    with pytest.raises(KeyboardInterrupt):
        archive_day(place, DAY)
    monkeypatch.setattr(Path, "replace", real)
    assert 20 < len(in_archive(place)) < 40
    counts = archive_day(place, DAY)
    assert sum(counts.values()) == len(in_archive(place)) == len(set(in_archive(place))) == 40
    assert json.loads((day_folder(place, DAY) / "_COUNTS.json").read_text()) == counts


def test_a_missed_night_is_made_up_for(place: Settings) -> None:
    store(place, ["one"], DAY)
    store(place, ["two"], DAY + timedelta(days=3))
    store(place, ["now"], datetime.now(ZoneInfo(place.timezone)).date())
    assert archive_closed_days(place) == [DAY, DAY + timedelta(days=3)]
    assert in_archive(place, DAY + timedelta(days=3)) == ["two"]


def test_a_damaged_archive_is_named_and_keeps_no_other_day_from_being_archived(place: Settings) -> None:
    store(place, ["one"], DAY)
    store(place, ["two"], DAY + timedelta(days=3))
    day_folder(place, DAY).mkdir(parents=True)
    (day_folder(place, DAY) / "dn1-0000.parquet").write_bytes(b"PAR1 torn")
    with pytest.raises(StorageError, match=r"dn1-0000\.parquet.*Restore the file from a backup"):
        archive_closed_days(place)
    assert in_archive(place, DAY + timedelta(days=3)) == ["two"]


def test_the_roll_up_of_a_closed_day_is_set_from_the_archive_and_no_other(place: Settings) -> None:
    open_day = DAY + timedelta(days=1)
    for day in (DAY, open_day):
        store(place, [f"{day}-{n}" for n in range(30)], day, count=True)
    right = flow(place)
    assert sum(right.values()) == 30
    _spoil(place)
    close_day(place, DAY)
    archive_day(place, DAY)
    archive_day(place, open_day)
    assert flow(place) == right
    assert sum(flow(place, open_day).values()) == 60 + 7  # nobody but the stream counts an open day


def test_a_kill_between_archive_and_roll_up_is_made_good(
    place: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(place, [f"a{n}" for n in range(30)], count=True)
    archive_day(place, DAY)
    close_day(place, DAY)
    put(place, [pass_row(f"late{gate}", gate, f"{DAY} 08:00:00", offset=99) for gate in GATES])

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    real = archive.set_flow
    monkeypatch.setattr(archive, "set_flow", killed)
    with pytest.raises(KeyboardInterrupt):
        archive_day(place, DAY)
    assert len(in_archive(place)) == 40 and sum(flow(place).values()) == 30
    monkeypatch.setattr(archive, "set_flow", real)
    archive_day(place, DAY)
    assert sum(flow(place).values()) == 40


def test_retention_makes_the_same_kill_good_too(place: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    store(place, [f"a{n}" for n in range(30)], count=True)
    close_day(place, DAY)
    monkeypatch.setattr(archive, "set_flow", lambda *_: None)
    put(place, [pass_row(f"late{gate}", gate, f"{DAY} 08:00:00", offset=99) for gate in GATES])
    archive_day(place, DAY)
    assert delete_old(place, 3) == {DAY: 40}  # no night after this one would look at the day again
    assert sum(flow(place).values()) == 40


def test_another_schema_is_refused_before_anything_is_read(place: Settings) -> None:
    store(place, ["one"])
    with connect(place, "dn2", "root", autocommit=True) as node, node.cursor() as cursor:
        cursor.execute("SELECT version_num FROM alembic_version")
        (head,) = cursor.fetchone()
        cursor.execute("UPDATE alembic_version SET version_num = '9999'")
        try:
            for work in (lambda: archive_day(place, DAY), lambda: delete_old(place, 3)):
                with pytest.raises(SchemaError, match="dn2 at 9999"):
                    work()
        finally:
            cursor.execute("UPDATE alembic_version SET version_num = %s", (head,))
    assert not is_archived(place, DAY)


def _spoil(settings: Settings) -> None:
    """Roll-ups as after a double count, and a key that no pass has."""
    first, day = node_names(settings)[0], date.isoformat
    for name in node_names(settings):
        with connect(settings, name, "kakou_writer", autocommit=True) as node, node.cursor() as cursor:
            cursor.execute("UPDATE flow_hourly SET n = n * 2")
            if name == first:
                for one in (DAY, DAY + timedelta(days=1)):
                    cursor.execute(
                        "INSERT INTO flow_hourly VALUES ('stale', %s, 3, '苏', '型', 7)", (day(one),)
                    )
