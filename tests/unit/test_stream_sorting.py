"""Which record of a batch is stored: the first of an id wins, the same again repeats it, another one is in
conflict."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from poison import line

from kakou.fields import COLUMNS_12
from spark_jobs.sinks.rows import STORED_SCHEMA, flow_of
from spark_jobs.sinks.sorting import Sorted, sort_out

Record = tuple[int, int, str, str]  # partition, offset, id, brand


def good(records: list[Record]) -> pl.DataFrame:
    rows = [
        (partition, offset, *line(f0=gcxh, f7=brand).decode().split("\t"))
        for partition, offset, gcxh, brand in records
    ]
    schema = {"partition": pl.Int32, "offset": pl.Int64} | dict.fromkeys(COLUMNS_12, pl.String)
    return pl.DataFrame(rows, schema=schema, orient="row")


def stored(records: list[Record]) -> pl.DataFrame:
    frame = good(records)
    return frame.select(
        *COLUMNS_12,
        pl.col("partition").cast(pl.Int64).alias("kafka_partition"),
        pl.col("offset").alias("kafka_offset"),
    ).cast(STORED_SCHEMA)


def places(frame: pl.DataFrame) -> list[tuple[int, int]]:
    return frame.select("partition", "offset").rows()


def fates(parts: Sorted) -> dict[str, list[tuple[int, int]]]:
    return {name: places(getattr(parts, name)) for name in ("fresh", "own", "duplicates", "conflicts")}


def test_first_of_an_id_wins_inside_a_batch() -> None:
    records: list[Record] = [
        (1, 0, "x", "a"),
        (0, 9, "x", "b"),
        (0, 8, "x", "a"),
        (0, 7, "y", "a"),
        (2, 0, "x", "a"),
    ]
    assert fates(sort_out(good(records), stored([]))) == {
        "fresh": [(0, 7), (0, 8)],
        "own": [],
        "duplicates": [(1, 0), (2, 0)],
        "conflicts": [(0, 9)],
    }


def test_what_is_stored_wins_over_the_batch() -> None:
    records: list[Record] = [(0, 5, "x", "a"), (0, 6, "x", "b"), (0, 7, "z", "b")]
    assert fates(sort_out(good(records), stored([(0, 1, "x", "b")]))) == {
        "fresh": [(0, 7)],
        "own": [],
        "duplicates": [(0, 6)],
        "conflicts": [(0, 5)],
    }


def test_a_record_that_is_stored_already_is_neither_new_nor_repeated() -> None:
    records: list[Record] = [(0, 5, "x", "a"), (0, 6, "x", "a")]
    assert fates(sort_out(good(records), stored([(0, 5, "x", "a")]))) == {
        "fresh": [],
        "own": [(0, 5)],
        "duplicates": [(0, 6)],
        "conflicts": [],
    }


_RECORDS = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 30), st.sampled_from("xyz"), st.sampled_from("ab")),
    max_size=25,
    unique_by=lambda record: record[:2],
)


@given(_RECORDS, st.integers(0, 25), st.data())
def test_a_batch_that_was_half_stored_is_sorted_as_the_first_time(
    records: list[Record], cut: int, data: st.DataObject
) -> None:
    """As after a crash between two nodes: some of what was new is stored, then the batch comes again."""
    before, batch = records[:cut], records[cut:]
    earlier = sort_out(good(before), stored([]))
    held = stored([record for record in before if record[:2] in set(places(earlier.fresh))])
    first = fates(sort_out(good(batch), held))
    done = data.draw(st.sets(st.sampled_from(first["fresh"]))) if first["fresh"] else set()
    more = stored([record for record in batch if record[:2] in done])
    again = fates(sort_out(good(data.draw(st.permutations(batch))), pl.concat([held, more])))
    assert sorted(again["fresh"] + again["own"]) == first["fresh"]
    assert set(again["own"]) == done
    assert (again["duplicates"], again["conflicts"]) == (first["duplicates"], first["conflicts"])
    assert sum(map(len, first.values())) == len(batch)


@pytest.mark.parametrize("time", ["2024-01-15 08:59:59", "2024-01-15 08:00:00"])
def test_the_roll_up_counts_per_gate_and_hour(time: str) -> None:
    frame = good([(0, 0, "x", "a"), (0, 1, "y", "a")]).with_columns(pl.lit(time).alias("gcsj"))
    assert flow_of(frame).rows() == [("G1", "2024-01-15", 8, "江苏", "小型汽车", 2)]
