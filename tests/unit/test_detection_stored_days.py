"""Stored passes: which days are taken, where from, and in which order they arrived."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from stored_passes import archive, batch

from etl.io.artefacts import CLEANED, parquet_of
from etl.params import EtlParams
from etl.pipeline import run
from kakou.detection.rehearsal.arrival import in_order_of_arrival
from kakou.detection.rehearsal.stored_days import BATCH_FILE, read_stored
from kakou.errors import BadInputError
from kakou.fields import FIELDS_8
from kakou.settings import Settings
from sql.archive_files import day_folder

DAY_S = 86_400
FIRST = date(2024, 1, 15)


def passes_of(day: date, count: int = 50, tag: str = "") -> pl.DataFrame:
    """Passes of a day by time, one a minute from 08:00 on."""
    begin = datetime(day.year, day.month, day.day, 8)
    rows = [
        (
            f"{tag}{day:%d}{n:04d}",
            "丰县",
            "A",
            "1",
            begin + timedelta(minutes=n),
            "02",
            f"苏C{n:05d}",
            "大众牌",
        )
        for n in range(count)
    ]
    return pl.DataFrame(rows, schema=list(FIELDS_8), orient="row")


def in_turn(count: int, first: int = 0) -> list[tuple[int, int]]:
    return [(0, first + n) for n in range(count)]


def test_the_batch_names_its_file_so() -> None:
    assert parquet_of(Path("out"), CLEANED).name == BATCH_FILE


def test_the_newest_days_the_archive_first(settings: Settings) -> None:
    days = [FIRST + timedelta(days=n) for n in range(5)]
    archive(settings, days[1], passes_of(days[1], 50, "a"), in_turn(50))
    archive(settings, days[4], passes_of(days[4], 60, "a"), in_turn(60, 100))
    batch(settings, pl.concat([passes_of(days[0], 70), passes_of(days[1], 80), passes_of(days[2], 90)]))

    stored = read_stored(settings, 3, None, None)

    assert stored.days == {days[1]: ("archive", 50), days[2]: ("batch", 90), days[4]: ("archive", 60)}
    assert stored.missing == (days[3],)
    assert len(stored.passes) == 200 and stored.order == "offsets"
    assert stored.passes["t"].is_sorted()
    assert set(stored.passes.filter(pl.col("gcxh").str.starts_with("a"))["gcxh"].str.slice(1, 2)) == {
        "16",
        "19",
    }
    assert list(read_stored(settings, 3, days[1], None).days) == days[:2]


def test_what_no_gate_saw_is_left_out_unless_asked_for(settings: Settings) -> None:
    batch(settings, passes_of(FIRST), origin="copied")

    with pytest.raises(BadInputError, match="No day is stored"):
        read_stored(settings, 7, None, None)
    everything = settings.model_copy(update={"origins": "all"})
    assert len(read_stored(everything, 7, None, None).passes) == 50


def test_what_a_real_batch_leaves_is_read(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    text = passes_of(FIRST, 20).with_columns(pl.col("GCSJ").dt.strftime("%Y-%m-%d %H:%M:%S"))
    text.write_csv(tmp_path / "raw" / "day.csv")
    run(tmp_path / "raw", settings.clean_dir, EtlParams(replicate="15-15:16-16"))

    stored = read_stored(settings, 7, None, None)

    assert stored.days == {FIRST: ("batch", 20)} and stored.order == "time", "replicated days are no days"
    assert stored.passes["t"][0] == 1_705_305_600 and stored.passes["clppxh"][0] == "大众牌"


def test_nothing_stored_says_what_to_do(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=r"kakou etl run.*archive_day.*--passes"):
        read_stored(settings, 7, None, None)
    archive(settings, FIRST, passes_of(FIRST), in_turn(50))
    with pytest.raises(BadInputError, match="No day up to 2024-01-01 is stored; the first one is 2024-01-15"):
        read_stored(settings, 7, date(2024, 1, 1), None)
    with pytest.raises(BadInputError, match="holds neither days"):
        read_stored(settings, 7, None, tmp_path)
    with pytest.raises(BadInputError, match="does not exist"):
        read_stored(settings, 7, None, tmp_path / "none.csv")


def test_a_broken_file_of_the_archive_is_named(settings: Settings) -> None:
    folder = day_folder(settings, FIRST)
    folder.mkdir(parents=True)
    (folder / "dn1-0000.parquet").write_bytes(b"no Parquet")

    with pytest.raises(BadInputError, match=r"day=2024-01-15 cannot be read"):
        read_stored(settings, 7, None, None)


def test_files_of_your_own_keep_their_order(settings: Settings, tmp_path: Path) -> None:
    days = [FIRST + timedelta(days=n) for n in range(2)]
    mine = tmp_path / "mine"
    mine.mkdir()
    for number, day in enumerate(days):
        passes = passes_of(day)
        text = passes.with_columns(pl.col("GCSJ").dt.strftime("%Y-%m-%d %H:%M:%S"))
        text.reverse().write_csv(mine / f"{number}.csv")
    stray = passes_of(date(2099, 1, 1), 1).with_columns(pl.col("GCSJ").dt.strftime("%Y-%m-%d %H:%M:%S"))
    pl.concat([stray, *[pl.read_csv(mine / "1.csv", infer_schema=False)] * 5]).write_csv(mine / "1.csv")

    stored = read_stored(settings, 1, None, mine)

    assert stored.days == {days[1]: ("file", 250)}, "one wrong clock makes no day"
    assert stored.order == "file" and not stored.passes["t"].is_sorted()
    archive(settings, FIRST, passes_of(FIRST), in_turn(50))
    moved = settings.history_dir.rename(tmp_path / "moved")
    assert read_stored(settings, 7, None, moved).days == {FIRST: ("archive", 50)}


def lanes(times: dict[int, list[int]]) -> pl.DataFrame:
    rows = [(f"{lane}-{n}", t, lane, n) for lane, every in times.items() for n, t in enumerate(every)]
    return pl.DataFrame(rows, schema=["gcxh", "t", "partition", "offset"], orient="row").sample(
        fraction=1, shuffle=True, seed=1
    )


def test_partitions_keep_their_offsets_and_meet_by_time() -> None:
    """A pass that arrived half an hour late stays where it arrived."""
    steady = list(range(0, 40_000, 40))
    late = [t + 20 for t in steady]
    late[600] -= 1800

    passes, order = in_order_of_arrival(lanes({0: steady, 1: late}))

    assert order == "offsets"
    for lane in (0, 1):
        assert passes.filter(pl.col("partition") == lane)["offset"].to_list() == list(range(1000))
    at = passes["gcxh"].to_list().index("1-600")
    around = passes["t"].to_numpy()[at - 5 : at + 6]
    assert abs(np.median(around) - steady[600]) < 300


def test_offsets_of_a_topic_that_was_made_anew_are_not_believed() -> None:
    """Three days, and then the offsets begin again: by offset old and new days would lie over each other."""
    day = list(range(0, DAY_S, 400))
    before = [number * DAY_S + t for number in range(3) for t in day]
    passes = lanes({0: before})
    anew = pl.DataFrame({"gcxh": [f"x{t}" for t in day], "t": [3 * DAY_S + t for t in day]}).with_columns(
        pl.lit(0).cast(pl.Int64).alias("partition"), pl.int_range(pl.len()).alias("offset")
    )

    found, order = in_order_of_arrival(pl.concat([passes, anew]))

    assert order == "time" and found["t"].is_sorted()


def test_without_places_time_is_the_order() -> None:
    passes = lanes({0: [30, 10, 20]}).with_columns(pl.lit(None).cast(pl.Int64).alias("offset"))

    found, order = in_order_of_arrival(passes)

    assert order == "time" and found["t"].to_list() == [10, 20, 30]
