"""Nothing that is not in the archive is ever forgotten, nobody waits for the forgetting, nothing counts
twice."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import pymysql
import pytest
from archived_days import DAY, GATES, empty_place, everywhere, flow, home_of, in_archive, put, store, stored
from pass_rows import Row, ask, insert_rows, pass_row

from kakou.connections import connect, node_names
from kakou.errors import StorageError
from kakou.settings import Settings
from spark_jobs.sinks.rows import LOAD, ROW_COLUMNS, as_csv
from sql import retention
from sql.archive import archive_closed_days, archive_day
from sql.archive_files import day_folder
from sql.retention import delete_old

pytestmark = pytest.mark.integration
FATES = "SELECT kafka_partition, kafka_offset, id, reason FROM duplicate_records ORDER BY 1, 2"


@pytest.fixture
def place(stack: Settings, tmp_path: Path) -> Iterator[Settings]:
    with empty_place(stack, tmp_path) as settings:
        yield settings


def test_it_refuses_a_day_that_is_not_archived_and_deletes_the_others(place: Settings) -> None:
    store(place, ["kept"], DAY)
    store(place, ["gone1", "gone2"], DAY + timedelta(days=1))
    archive_day(place, DAY + timedelta(days=1))
    with pytest.raises(StorageError, match="2024-01-15 is not archived"):
        delete_old(place, 3)
    assert stored(place) == ["kept"]
    assert everywhere(place, f"SELECT 1 FROM closed_days WHERE day = '{DAY}'") == []


def test_it_keeps_late_rows_and_says_so(place: Settings) -> None:
    store(place, [f"a{n}" for n in range(20)])
    archive_day(place, DAY)
    store(place, ["late"])
    with pytest.raises(StorageError, match="1 late rows of 2024-01-15"):
        delete_old(place, 3)
    assert stored(place) == ["late"]
    archive_day(place, DAY)
    assert delete_old(place, 3) == {DAY: 1}
    assert in_archive(place) == sorted([*(f"a{n}" for n in range(20)), "late"])


def test_it_counts_days_in_the_zone_of_the_platform(place: Settings) -> None:
    now = datetime.now(ZoneInfo(place.timezone)).date()
    for age in range(6):
        store(place, [f"age{age}"], now - timedelta(days=age))
    archive_closed_days(place)
    assert sorted(delete_old(place, 3)) == [now - timedelta(days=5), now - timedelta(days=4)]
    assert stored(place) == ["age0", "age1", "age2", "age3"]


def test_it_goes_on_after_an_interruption(place: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = [f"a{n:03d}" for n in range(100)]
    store(place, ids, count=True)
    archive_day(place, DAY)
    right = flow(place)
    monkeypatch.setattr(retention, "CHUNK_ROWS", 7)
    real, calls = retention._delete_chunk, []

    def killed(*given: Any) -> int:
        calls.append(given)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(*given)

    monkeypatch.setattr(retention, "_delete_chunk", killed)
    with pytest.raises(KeyboardInterrupt):
        delete_old(place, 3)
    assert len(stored(place)) == 100 - 2 * 7
    monkeypatch.setattr(retention, "_delete_chunk", real)
    assert delete_old(place, 3) == {DAY: 86}
    assert stored(place) == [] and in_archive(place) == ids and flow(place) == right


def test_a_day_is_closed_on_every_node_before_its_first_row_goes(
    place: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(place, [f"a{n}" for n in range(20)])
    archive_day(place, DAY)
    real, seen = retention._delete_chunk, []

    def look(*given: Any) -> int:
        seen.append((everywhere(place, "SELECT day FROM closed_days"), len(stored(place))))
        return real(*given)

    monkeypatch.setattr(retention, "_delete_chunk", look)
    delete_old(place, 3)
    assert seen[0] == ([(DAY,)] * len(node_names(place)), 20)


@pytest.fixture
def open_chunk(place: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], None]]:
    """Every second row of a day is deleted in one transaction that stays open; the fixture ends it."""
    gate = GATES[0]
    rows = [pass_row(f"a{n:03d}", gate, f"{DAY} 08:00:{n % 60:02d}", offset=n) for n in range(0, 400, 2)]
    put(place, rows)
    archive_day(place, DAY)
    reached, release = threading.Event(), threading.Event()
    real = retention._delete_chunk

    def held(*given: Any) -> int:
        deleted = real(*given)
        reached.set()
        assert release.wait(30)
        return deleted

    monkeypatch.setattr(retention, "_delete_chunk", held)

    def work() -> None:
        with suppress(StorageError):  # the rows that the test writes meanwhile are late ones
            delete_old(place, 3)

    worker = threading.Thread(target=work)
    worker.start()
    assert reached.wait(30)
    yield release.set
    release.set()
    worker.join(30)
    assert not worker.is_alive()


def test_nobody_who_writes_waits_for_an_open_chunk(
    place: Settings, open_chunk: Callable[[], None], tmp_path: Path
) -> None:
    gate = GATES[0]
    between = [pass_row(f"a{n:03d}", gate, f"{DAY} 08:00:{n % 60:02d}", offset=n) for n in range(1, 400, 2)]
    with connect(place, home_of(place, between[0]), "kakou_writer", local_infile=True) as node:
        with node.cursor() as cursor:
            cursor.execute("SET SESSION innodb_lock_wait_timeout = 1")
            with pytest.raises(pymysql.OperationalError, match="Lock wait timeout"):
                cursor.execute("UPDATE traffic_data SET fxlx = '9' WHERE id = 'a000'")  # it is open indeed
            node.rollback()
            cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")  # as the stream writes
        insert_rows(node, between[:100])
        with node.cursor() as cursor, as_csv(_frame(between[100:]), tmp_path) as file:
            assert cursor.execute(LOAD, (file,)) == 100
            node.commit()
    open_chunk()


def _frame(rows: list[Row]) -> pl.DataFrame:
    return pl.DataFrame(
        [tuple(map(str, row)) for row in rows], schema=list(ROW_COLUMNS.values()), orient="row"
    )


def _forgotten(place: Settings, *rows: Row) -> None:
    """The rows were stored, counted, archived and deleted."""
    put(place, list(rows), count=True)
    archive_day(place, DAY)
    delete_old(place, 3)
    assert stored(place) == []


def test_a_record_that_came_again_gets_its_fate_before_its_row_goes(place: Settings) -> None:
    first = pass_row("again", GATES[0], f"{DAY} 08:00:00", offset=1)
    _forgotten(place, first)
    put(place, [pass_row("again", GATES[0], f"{DAY} 08:00:00", offset=7)])  # the stream counts no closed day
    archive_day(place, DAY)
    assert delete_old(place, 3) == {DAY: 1}
    assert everywhere(place, FATES) == [(0, 7, "again", "duplicate")]
    assert in_archive(place) == ["again"] and sum(flow(place).values()) == 1
    assert not (day_folder(place, DAY) / "_CONFLICTS.jsonl").exists()


def test_a_record_that_came_again_and_contradicts_is_kept_beside_the_archive(place: Settings) -> None:
    _forgotten(place, pass_row("again", GATES[0], f"{DAY} 08:00:00", offset=1))
    put(place, [pass_row("again", GATES[0], f"{DAY} 08:00:00", offset=7, hphm="苏C99999")])
    archive_day(place, DAY)
    delete_old(place, 3)
    assert everywhere(place, FATES) == [(0, 7, "again", "id_conflict")]
    (line,) = (day_folder(place, DAY) / "_CONFLICTS.jsonl").read_text(encoding="utf-8").splitlines()
    kept = json.loads(line)
    assert (kept["GCXH"], kept["HPHM"], kept["GCSJ"]) == ("again", "苏C99999", f"{DAY} 08:00:00")
    assert (kept["KAFKA_PARTITION"], kept["KAFKA_OFFSET"]) == (0, 7)


def test_rows_without_another_place_need_no_fate(place: Settings) -> None:
    put(place, [pass_row("by hand", GATES[0], f"{DAY} 08:00:00")])
    put(place, [pass_row("streamed", GATES[0], f"{DAY} 08:00:00", offset=1)])
    archive_day(place, DAY)
    assert delete_old(place, 3) == {DAY: 2}
    assert everywhere(place, FATES) == []


def test_fate_and_deletion_are_one_transaction(place: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    _forgotten(place, pass_row("again", GATES[0], f"{DAY} 08:00:00", offset=1))
    put(place, [pass_row("again", GATES[0], f"{DAY} 08:00:00", offset=7)])
    real = retention._write_down

    def killed(*given: Any) -> None:
        real(*given)
        raise KeyboardInterrupt

    monkeypatch.setattr(retention, "_write_down", killed)
    with pytest.raises(KeyboardInterrupt):
        delete_old(place, 3)
    assert everywhere(place, FATES) == [] and stored(place) == ["again"]
    monkeypatch.setattr(retention, "_write_down", real)
    delete_old(place, 3)
    assert everywhere(place, FATES) == [(0, 7, "again", "duplicate")] and stored(place) == []


def test_a_row_that_comes_between_looking_and_deleting_stays(
    place: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its place is written down nowhere yet."""
    both = [pass_row(id, GATES[0], f"{DAY} 08:00:00", offset=n) for n, id in enumerate(("first", "again"))]
    put(place, both)
    archive_day(place, DAY)
    real = retention.rows_under

    def looked(cursor: Any, columns: str, ids: list[str]) -> list[Any]:
        with connect(place, home_of(place, both[0]), "kakou_writer", autocommit=True) as node:
            with node.cursor() as writing:
                writing.execute("DELETE FROM traffic_data WHERE id = 'again'")
            found = real(cursor, columns, ids)
            insert_rows(node, [pass_row("again", GATES[0], f"{DAY} 08:00:00", offset=7)])
        return found

    monkeypatch.setattr(retention, "rows_under", looked)
    with pytest.raises(StorageError, match="1 late rows"):
        delete_old(place, 3)
    assert stored(place) == ["again"] and everywhere(place, FATES) == []


def test_the_roll_up_of_a_forgotten_day_is_what_the_archive_holds(place: Settings) -> None:
    store(place, [f"a{n}" for n in range(60)], count=True)
    archive_day(place, DAY)
    right = flow(place)
    with (
        connect(place, node_names(place)[0], "kakou_writer", autocommit=True) as node,
        node.cursor() as cursor,
    ):
        cursor.execute("UPDATE flow_hourly SET n = n + 1")  # as a batch that had begun before the day closed
    delete_old(place, 3)
    assert flow(place) == right and sum(right.values()) == 60


def test_archive_and_retention_wait_for_each_other(place: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    store(place, [f"a{n}" for n in range(40)])
    archive_day(place, DAY)
    real, counts = retention._delete_chunk, []

    def archive_beside(*given: Any) -> int:
        beside = threading.Thread(target=lambda: counts.append(archive_day(place, DAY)))
        beside.start()
        beside.join(0.5)
        assert beside.is_alive()  # it would read a day that shrinks
        threads.append(beside)
        return real(*given)

    threads: list[threading.Thread] = []
    monkeypatch.setattr(retention, "_delete_chunk", archive_beside)
    assert delete_old(place, 3) == {DAY: 40}
    for thread in threads:
        thread.join(30)
    assert [sum(one.values()) for one in counts] == [40] * len(threads)
    assert left_open(place) == []


def left_open(settings: Settings) -> list[Any]:
    """Transactions that somebody left open."""
    found: list[Any] = []
    for name in node_names(settings):
        with connect(settings, name, "root") as node:
            found += ask(node, "SELECT trx_id FROM information_schema.innodb_trx")
    return found
