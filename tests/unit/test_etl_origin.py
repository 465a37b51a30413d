"""Days written again under another date are found, honest days never are; exactly the twins are marked."""

import json
from datetime import date, timedelta

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etl.generate.profile import traffic_profile
from etl.generate.trips import make_passes
from etl.generate.vehicles import make_vehicles
from etl.steps.origin import Sketch, copied_rows, restamped_days, sketch_sql

FIRST = date(2023, 12, 13)
SECONDS_OF_DAY = 86_400


def honest(days=6, scale=0.1, seed=1, masked=False, step=1):
    """Passes of honest days as a table of GCXH, KKMC, FXLX, GCSJ, HPHM, day by day in time order.

    ``step`` is what the clock counts in: 60 cuts every time to its minute, 86,400 to its day."""
    profile, rng = traffic_profile(), np.random.default_rng(seed)
    passes = make_passes(profile, [FIRST + timedelta(n) for n in range(days)], scale, rng)
    plates = make_vehicles(profile, passes.vehicles, rng).plate[passes.vehicle]
    return pa.table(
        {
            "GCXH": pa.array([str(n) for n in range(len(passes.at))]),
            "KKMC": pa.array(np.array([names[0] for names in profile.spellings])[passes.gate]),
            "FXLX": pa.array(np.array(profile.direction)[passes.gate]),
            "GCSJ": pa.array((passes.at // step * step).astype("datetime64[s]")).cast(pa.timestamp("us")),
            "HPHM": pa.array(np.char.add(plates.astype("U4"), "***") if masked else plates),
        }
    )


def of_day(table, n):
    days = table["GCSJ"].to_numpy().astype("datetime64[D]")
    return table.filter(pa.array(days == np.datetime64(FIRST + timedelta(n))))


def restamp(table, days, keep=1.0, seed=0, new_ids=True):
    """The rows of ``table`` again, ``days`` later, a random ``keep`` of them."""
    chosen = np.flatnonzero(np.random.default_rng(seed).random(table.num_rows) < keep)
    again = table.take(pa.array(chosen))
    later = pa.array(again["GCSJ"].to_numpy() + np.timedelta64(days, "D")).cast(pa.timestamp("us"))
    ids = pa.array([f"x{days}-{i}" for i in chosen]) if new_ids else again["GCXH"].combine_chunks()
    return again.set_column(3, "GCSJ", later).set_column(0, "GCXH", ids)


def sketches(**files):
    found = {}
    for name, table in files.items():
        with duckdb.connect() as con:
            con.register("passes", table)
            rows = con.execute(
                f"SELECT CAST(GCSJ AS DATE), {sketch_sql()} FROM passes GROUP BY ALL"
            ).fetchall()
        for day, hashes, coarse in rows:
            note = json.loads(json.dumps(Sketch.of(hashes, coarse).as_json()))
            found[name, day] = Sketch.from_json(note)
    return found


@settings(max_examples=12, deadline=None)
@given(
    seed=st.integers(0, 10_000), masked=st.booleans(), scale=st.sampled_from([0.002, 0.03, 0.3]),
    step=st.sampled_from([1, 60, SECONDS_OF_DAY]),
)  # fmt: skip
def test_honest_days_are_never_called_restamped(seed, masked, scale, step):
    table = honest(days=7, scale=scale, seed=seed, masked=masked, step=step)
    assert restamped_days(sketches(a=table)) == []


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10_000), masked=st.booleans(), keep=st.floats(0.6, 1), own=st.booleans(),
    scale=st.sampled_from([0.01, 0.1]),
)  # fmt: skip
def test_a_day_of_which_sixty_percent_were_restamped_is_found(seed, masked, keep, own, scale):
    table = honest(days=5, seed=seed, masked=masked, scale=scale)
    copy = restamp(of_day(table, 4), 3, keep, seed)
    if own:  # the rest of the day's rows are honest ones of that day
        other = honest(days=5, seed=seed + 1, masked=masked, scale=scale)
        size = round(copy.num_rows * (1 - keep) / keep)
        copy = pa.concat_tables([copy, restamp(of_day(other, 4), 3).slice(0, size)])
    (one,) = restamped_days(sketches(a=table, b=copy))
    assert (one.file, one.day, one.of_day) == ("b", FIRST + timedelta(7), FIRST + timedelta(4))
    assert one.share == pytest.approx(keep if own else 1, abs=0.25)


def test_all_links_of_a_chain_name_the_first_day():
    first = of_day(honest(), 4)
    second = restamp(first, 1, 0.8, 1)
    third = restamp(second, 1, 0.8, 2)
    found = restamped_days(sketches(a=first, b=second, c=third, d=restamp(third, 1)))
    assert [(one.file, one.of_day) for one in found] == [(name, FIRST + timedelta(4)) for name in "bcd"]
    assert found[-1].twins == tuple(FIRST + timedelta(n) for n in (4, 5, 6))


def test_a_source_day_in_many_files_and_a_copy_in_many_others_are_found():
    day = of_day(honest(scale=0.3), 4)
    hour = day["GCSJ"].to_numpy().astype("datetime64[h]").astype(int) % 24
    parts = {f"a{h}": day.filter(pa.array(hour == h)) for h in range(24)}
    gates = day["KKMC"].to_numpy(zero_copy_only=False)
    copies = {
        f"b{n}": restamp(day.filter(pa.array(gates == gate)), 1) for n, gate in enumerate(sorted(set(gates)))
    }
    found = restamped_days(sketches(**parts, **copies))
    large = {name for name, table in copies.items() if table.num_rows >= 20}
    assert len(large) > 10 and large <= {one.file for one in found} <= set(copies)


@pytest.mark.parametrize(("rows", "found"), [(2, False), (8, True), (127, True), (128, True), (129, True)])
def test_tiny_days_need_enough_rows_to_tell(rows, found):
    few = of_day(honest(), 4).slice(0, rows)
    assert bool(restamped_days(sketches(a=few, b=restamp(few, 1)))) is found


def test_a_day_of_one_gate_with_masked_plates():
    table = honest(days=6, scale=3, masked=True)
    gate = table["KKMC"].value_counts().to_pylist()
    busiest = max(gate, key=lambda one: one["counts"])["values"]
    alone = table.filter(pa.array(table["KKMC"].to_numpy(zero_copy_only=False) == busiest))
    assert restamped_days(sketches(a=alone)) == []
    found = restamped_days(sketches(a=alone, b=restamp(of_day(alone, 2), 9, 0.6)))
    assert [(one.file, one.of_day) for one in found] == [("b", FIRST + timedelta(2))]


def test_exactly_the_twins_are_marked_copied():
    table = honest(days=6)
    source, own = of_day(table, 3), of_day(table, 5)
    copies = restamp(source, 2, 0.6)
    later = [column for column in own["GCSJ"].to_pylist() if column.second == 59]
    assert later
    with duckdb.connect() as con:
        con.register("pass_day", pa.concat_tables([copies, own]))
        con.register("source_day", source)
        rows = con.execute(
            f"SELECT GCXH LIKE 'x%', ORIGIN, count(*) FROM ({copied_rows('pass_day', 'source_day')}) "
            "GROUP BY ALL ORDER BY ALL"
        ).fetchall()
    assert rows == [(False, "observed", own.num_rows), (True, "copied", copies.num_rows)]


def test_a_row_that_differs_in_one_field_or_has_no_time_of_day_is_no_twin():
    row = "SELECT '1' AS GCXH, '卡口' AS KKMC, '1' AS FXLX, '苏C12345' AS HPHM, TIMESTAMP '{}' AS GCSJ"
    with duckdb.connect() as con:
        con.execute(f"CREATE VIEW source_day AS {row.format('2024-01-01 08:00:01')}")
        changed = " UNION ALL ".join(
            f"SELECT * REPLACE ({new}) FROM ({row.format('2024-01-02 08:00:01')})"
            for new in (
                "'2' AS GCXH", "'门' AS KKMC", "'2' AS FXLX", "'苏C12346' AS HPHM",
                "GCSJ + INTERVAL 1 SECOND AS GCSJ",
            )
        )  # fmt: skip
        con.execute(f"CREATE VIEW pass_day AS {changed}")
        origins = con.execute(f"SELECT ORIGIN FROM ({copied_rows('pass_day', 'source_day')})").fetchall()
        assert sorted(origins) == [("copied",), *[("observed",)] * 4]
        con.execute(f"CREATE OR REPLACE VIEW source_day AS {row.format('2024-01-01')}")
        con.execute(f"CREATE OR REPLACE VIEW pass_day AS {row.format('2024-01-02')}")
        assert con.execute(f"SELECT ORIGIN FROM ({copied_rows('pass_day', 'source_day')})").fetchall() == [
            ("observed",)
        ]
