"""Days are archived whole and forgotten only then; nothing that is not in the archive is ever deleted."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow.parquet as pq
import pytest
from pass_rows import COLUMNS, ask, insert_rows, pass_row

from kakou.connections import connect, node_names
from kakou.errors import BadInputError, StorageError
from kakou.fields import FIELDS_12
from kakou.settings import Settings
from kakou.topology import load_topology
from sql import archive, retention
from sql.archive import archive_closed_days, archive_day, day_folder, is_archived
from sql.retention import delete_old

pytestmark = pytest.mark.integration

DAY = date(2024, 1, 15)
GATES = [f"AR_Gate_K{n}" for n in range(10)]


@pytest.fixture
def place(stack: Settings, tmp_path: Path) -> Iterator[Settings]:
    """The running stores without passes, and a history folder of our own."""
    own = stack.model_copy(update={"var": tmp_path})
    (tmp_path / "secrets").symlink_to(stack.secrets_dir)
    _empty(own)
    yield own
    _empty(own)


def _empty(settings: Settings) -> None:
    for name in node_names(settings):
        with connect(settings, name, "root", autocommit=True) as node, node.cursor() as cursor:
            cursor.execute("TRUNCATE TABLE traffic_data")


def store(settings: Settings, ids: list[str], day: date = DAY) -> None:
    """One pass for each id, at the first and last second of the day and between, each on its node."""
    ring = load_topology(settings.topology_dir).ring
    times = ["00:00:00", "23:59:59", "12:34:56"]
    rows = [
        pass_row(id, GATES[n % len(GATES)], f"{day} {times[n % 3]}", clppxh="大众🚗", offset=n)
        for n, id in enumerate(ids)
    ]
    for name in node_names(settings):
        with connect(settings, name, "kakou_writer") as node:
            insert_rows(node, [row for row in rows if ring.locate(row[COLUMNS.index("kkmc")]) == name])


def stored(settings: Settings) -> list[str]:
    found: list[str] = []
    for name in node_names(settings):
        with connect(settings, name, "kakou_reader") as node:
            found += [row[0] for row in ask(node, "SELECT id FROM traffic_data")]
    return sorted(found)


def in_archive(settings: Settings, day: date = DAY) -> list[str]:
    paths = sorted(day_folder(settings, day).glob("*.parquet"))
    return sorted(id for path in paths for id in pq.read_table(path)["GCXH"].to_pylist())


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


def test_late_rows_are_added_and_nothing_is_written_twice(place: Settings) -> None:
    store(place, [f"a{n}" for n in range(20)])
    archive_day(place, DAY)
    assert archive_day(place, DAY) == archive_day(place, DAY)
    store(place, ["late1", "late2"])
    assert sum(archive_day(place, DAY).values()) == 22
    assert in_archive(place) == sorted([*(f"a{n}" for n in range(20)), "late1", "late2"])


def test_a_day_that_is_not_over_is_refused(place: Settings) -> None:
    now = datetime.now(ZoneInfo(place.timezone)).date()
    with pytest.raises(BadInputError, match="is not over"):
        archive_day(place, now)
    assert not is_archived(place, now)


def test_a_count_that_disagrees_leaves_no_archive(place: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    store(place, [f"a{n}" for n in range(20)])
    real = archive._write_rows
    monkeypatch.setattr(archive, "_write_rows", lambda *given: real(*given) - 1)
    with pytest.raises(StorageError, match="were read"):
        archive_day(place, DAY)
    assert not is_archived(place, DAY)
    assert list(place.history_dir.iterdir()) == []


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


def test_a_missed_night_is_made_up_for(place: Settings) -> None:
    store(place, ["one"], DAY)
    store(place, ["two"], DAY + timedelta(days=3))
    assert archive_closed_days(place) == [DAY, DAY + timedelta(days=3)]
    assert in_archive(place, DAY + timedelta(days=3)) == ["two"]


def test_retention_refuses_a_day_that_is_not_archived_and_deletes_the_others(place: Settings) -> None:
    store(place, ["kept"], DAY)
    store(place, ["gone1", "gone2"], DAY + timedelta(days=1))
    archive_day(place, DAY + timedelta(days=1))
    with pytest.raises(StorageError, match="2024-01-15 is not archived"):
        delete_old(place, 3)
    assert stored(place) == ["kept"]


def test_retention_keeps_late_rows_and_says_so(place: Settings) -> None:
    store(place, [f"a{n}" for n in range(20)])
    archive_day(place, DAY)
    store(place, ["late"])
    with pytest.raises(StorageError, match="1 late rows of 2024-01-15"):
        delete_old(place, 3)
    assert stored(place) == ["late"]
    archive_day(place, DAY)
    assert delete_old(place, 3) == {DAY: 1}
    assert in_archive(place) == sorted([*(f"a{n}" for n in range(20)), "late"])


def test_retention_counts_days_in_the_zone_of_the_platform(place: Settings) -> None:
    now = datetime.now(ZoneInfo(place.timezone)).date()
    for age in range(6):
        store(place, [f"age{age}"], now - timedelta(days=age))
    archive_closed_days(place)
    assert sorted(delete_old(place, 3)) == [now - timedelta(days=5), now - timedelta(days=4)]
    assert stored(place) == ["age0", "age1", "age2", "age3"]


def test_retention_goes_on_after_an_interruption(place: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    store(place, [f"a{n:03d}" for n in range(100)])
    archive_day(place, DAY)
    monkeypatch.setattr(retention, "CHUNK_ROWS", 7)
    real, calls = retention._left, []

    def broken(*given: Any) -> int:
        calls.append(given)
        raise KeyboardInterrupt

    monkeypatch.setattr(retention, "_left", broken)
    with connect(place, "dn2", "kakou_writer") as node, node.cursor() as cursor:
        cursor.execute("DELETE FROM traffic_data LIMIT 5")  # as if killed in the middle of an earlier run
        node.commit()
    with pytest.raises(KeyboardInterrupt):
        delete_old(place, 3)
    monkeypatch.setattr(retention, "_left", real)
    delete_old(place, 3)
    assert stored(place) == []
    assert len(in_archive(place)) == 100
