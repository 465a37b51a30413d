"""The stream writes a day and sends passes again, and all the while it is archived and forgotten: each record
has one fate, each pass is archived once and counted once."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pymysql
import pytest
from archived_days import DAY, GATES, empty_place, everywhere, flow, in_archive, put, stored
from pass_rows import pass_row

from kakou.errors import StorageError
from kakou.fields import COLUMNS_12
from kakou.settings import Settings
from spark_jobs.sinks.fates import Batch
from spark_jobs.sinks.nodes import Nodes
from spark_jobs.sinks.sorting import sort_out
from sql.archive import archive_closed_days, archive_day
from sql.archive_files import day_folder
from sql.retention import delete_old

pytestmark = pytest.mark.integration
IDS, BATCHES, RECORDS, SEED = 400, 40, 60, 20_240_115
PAUSE_S = 0.15
MOST_S = 120


@pytest.fixture
def place(stack: Settings, tmp_path: Path) -> Iterator[Settings]:
    with empty_place(stack, tmp_path) as settings:
        yield settings


def fields(n: int) -> tuple[str, ...]:
    """The pass with this number; always the same one."""
    clock = f"{n % 24:02d}:{n % 60:02d}:00"
    gate = GATES[n % len(GATES)]
    return (f"p{n:04d}", "县", gate, "1", f"{DAY} {clock}", "02", f"苏C{n}", "-", "江苏", "0", "1", "型")


def frame(places: list[tuple[int, int]], numbers: list[int]) -> pl.DataFrame:
    schema = {"partition": pl.Int32, "offset": pl.Int64} | dict.fromkeys(COLUMNS_12, pl.String)
    rows = [(*place, *fields(n)) for place, n in zip(places, numbers, strict=True)]
    return pl.DataFrame(rows, schema=schema, orient="row")


def write(store: Nodes, number: int, rows: pl.DataFrame) -> None:
    """A batch, tried again as the stream does."""
    batch = Batch("late-passes", number, {0: number * RECORDS}, {0: (number + 1) * RECORDS})
    while True:
        with suppress(pymysql.OperationalError), store.begin(batch) as writing:
            writing.add(sort_out(rows, writing.stored_under(rows["gcxh"].unique().to_list())), rows.clear())
            writing.commit()
            return


def fates(settings: Settings) -> Counter[tuple[int, int]]:
    """How often each place in Kafka is told of: archived, written down as repeated, or still stored."""
    found: Counter[tuple[int, int]] = Counter()
    for path in day_folder(settings, DAY).glob("*.parquet"):
        rows = pq.read_table(path, columns=["KAFKA_PARTITION", "KAFKA_OFFSET"]).to_pylist()
        found.update((row["KAFKA_PARTITION"], row["KAFKA_OFFSET"]) for row in rows)
    for table in ("traffic_data", "duplicate_records"):
        found.update(
            (int(str(partition)), int(str(offset)))
            for partition, offset in everywhere(
                settings, f"SELECT kafka_partition, kafka_offset FROM {table}"
            )
        )
    return found


def test_whatever_runs_at_once_each_pass_counts_once(place: Settings) -> None:
    chance = random.Random(SEED)
    store, ended, wrong = Nodes(place), threading.Event(), []
    until = time.monotonic() + MOST_S

    def again_and_again(work: Callable[[], object]) -> None:
        while not ended.is_set() and time.monotonic() < until:
            try:
                work()
            except StorageError as error:
                if "late rows" not in str(error) and "not archived" not in str(error):
                    wrong.append(error)

    work = [lambda: archive_day(place, DAY), lambda: archive_closed_days(place), lambda: delete_old(place, 3)]
    threads = [threading.Thread(target=again_and_again, args=(one,)) for one in work]
    for thread in threads:
        thread.start()
    sent: list[int] = []
    for number in range(BATCHES):
        numbers = [chance.randrange(IDS) for _ in range(RECORDS)]
        places = [(0, number * RECORDS + n) for n in range(RECORDS)]
        write(store, number, frame(places, numbers))
        sent += numbers
        time.sleep(PAUSE_S)
    ended.set()
    for thread in threads:
        thread.join(90)
    store.close()
    assert wrong == []
    # Something was forgotten and came again, else this proves nothing.
    assert len(everywhere(place, "SELECT 1 FROM closed_days")) == 2
    forgotten = everywhere(place, "SELECT COUNT(*) FROM duplicate_records WHERE batch_id > 1")
    assert sum(int(str(n)) for (n,) in forgotten) > 0

    archive_day(place, DAY)
    delete_old(place, 3)
    assert stored(place) == []
    assert in_archive(place) == sorted({fields(n)[0] for n in sent})
    assert fates(place) == Counter((0, n) for n in range(BATCHES * RECORDS))
    every = [fields(n) for n in set(sent)]
    assert flow(place) == Counter((one[2], int(one[4][11:13]), one[8], one[11]) for one in every)


def test_a_pass_that_comes_again_after_it_was_forgotten_is_counted_once(place: Settings) -> None:
    """Step by step: stored, archived, forgotten, sent again, archived again, forgotten again."""
    store = Nodes(place)
    write(store, 0, frame([(0, 0)], [7]))
    archive_day(place, DAY)
    delete_old(place, 3)
    assert (stored(place), sum(flow(place).values())) == ([], 1)
    write(store, 1, frame([(0, 1)], [7]))
    assert (stored(place), sum(flow(place).values())) == (["p0007"], 1)
    archive_day(place, DAY)
    assert (in_archive(place), sum(flow(place).values())) == (["p0007"], 1)
    delete_old(place, 3)
    assert (stored(place), sum(flow(place).values())) == ([], 1)
    assert fates(place) == {(0, 0): 1, (0, 1): 1}
    write(store, 2, frame([(0, 2)], [8]))  # a late pass that nobody has seen before
    assert sum(flow(place).values()) == 1
    archive_day(place, DAY)
    assert (in_archive(place), sum(flow(place).values())) == (["p0007", "p0008"], 2)
    store.close()


def test_a_batch_that_began_before_its_day_was_closed_is_mended_by_the_next_night(place: Settings) -> None:
    """It has read that the day is open, and counts after the roll-up was set."""
    put(place, [pass_row("early", GATES[0], f"{DAY} 08:00:00", offset=1)], count=True)
    archive_day(place, DAY)
    delete_old(place, 3)
    put(place, [pass_row("slow", GATES[0], f"{DAY} 08:00:00", offset=2)], count=True)
    assert sum(flow(place).values()) == 2
    for _ in range(2):
        archive_day(place, DAY)
        assert sum(flow(place).values()) == 2
    delete_old(place, 3)
    assert sum(flow(place).values()) == 2
