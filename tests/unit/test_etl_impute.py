"""The model fills only what is nearly certain, and its own measure of itself is honest."""

from datetime import datetime

import duckdb
import pytest

from etl.params import EtlParams
from etl.steps.clean import clean

COLUMNS = "GCXH, XZQHMC, KKMC, FXLX, GCSJ, HPZL, HPHM, CLPPXH, ORIGIN, IMPUTED, SOURCE, RN"


def cleaned(rows, **params):
    con = duckdb.connect()
    values = [
        (f"id{n}", "丰县", "G1", "1", datetime(2024, 1, 1), kind, plate, brand, "observed", "", f"a:{n}", n)
        for n, (kind, plate, brand) in enumerate(rows)
    ]
    con.execute(f"CREATE TABLE passes AS SELECT * FROM (VALUES {_values(values)}) t({COLUMNS})")
    relation, measured = clean(con, "passes", EtlParams(**params))
    return relation.order("SOURCE").fetchall(), measured, {f"a:{n}": rows[n] for n in range(len(rows))}


def _values(rows):
    def one(value):
        return f"TIMESTAMP '{value}'" if isinstance(value, datetime) else repr(value)

    return ", ".join("(" + ", ".join(one(value) for value in row) + ")" for row in rows)


def fleet(count, passes, brand_of=lambda n: "大众牌" if n % 2 else "福田牌"):
    """``count`` vehicles that pass often; every tenth pass lacks its brand."""
    rows = []
    for n in range(count):
        for i in range(passes):
            missing = (n * passes + i) % 10 == 3
            rows.append(("02", f"苏C{n:05d}", "-" if missing else brand_of(n)))
    return rows


def test_other_passes_of_the_same_whole_plate_fill_a_brand():
    rows, measured, given = cleaned(fleet(60, 20))
    for *_, kind, plate, brand, _origin, imputed, source in (
        (row[5], row[6], row[7], *row[8:]) for row in rows
    ):
        del kind
        if given[source][2] == "-" and imputed:
            assert imputed == "CLPPXH"
            assert brand == ("大众牌" if int(plate[2:]) % 2 else "福田牌")
    assert sum(row[9] == "CLPPXH" for row in rows) > 100
    assert measured["CLPPXH"].accuracy == 1.0
    assert measured["CLPPXH"].coverage > 0.9
    assert measured["CLPPXH"].baseline < 0.7


def test_it_abstains_where_nothing_is_known_about_a_vehicle():
    # Each vehicle passes once and brands are spread evenly: any guess would be luck.
    rows = [("02", f"苏C{n:05d}", f"牌{n % 9}" if n % 10 else "-") for n in range(900)]
    result, measured, _ = cleaned(rows)
    assert not any(row[9] for row in result)
    assert all(row[7] == "-" for row in result if row[10] in {f"a:{n}" for n in range(0, 900, 10)})
    assert measured["CLPPXH"].coverage == 0.0
    assert measured["CLPPXH"].accuracy is None


def test_a_lower_confidence_fills_more_and_is_measured_as_less_right():
    rows = [("02" if n % 10 < 8 else "01", f"苏C{n:05d}", "-") for n in range(1500)] + [
        ("-", "苏C99999", "-")
    ]
    _, strict, _ = cleaned(rows)
    filled, loose, _ = cleaned(rows, imputation_confidence=0.6)
    assert strict["HPZL"].coverage < 0.2
    assert loose["HPZL"].coverage == 1.0
    assert loose["HPZL"].accuracy == pytest.approx(0.8, abs=0.07)
    assert [row[5] for row in filled if row[6] == "苏C99999"] == ["02"]


def test_new_energy_plates_tell_their_type():
    plates = [("52", f"苏CD{n:05d}", "-") for n in range(400)] + [
        ("51", f"苏C{n:05d}D", "-") for n in range(400)
    ]
    rows, _, _ = cleaned([*plates, ("-", "苏CD99999", "-"), ("-", "苏C99999D", "-")])
    kinds = {row[6]: row[5] for row in rows}
    assert (kinds["苏CD99999"], kinds["苏C99999D"]) == ("52", "51")


def test_bad_plates_stay_as_they_were_read():
    plates = ["6***", "苏C12***", "-", "C1234", "苏C12345"] * 40
    rows, _, _ = cleaned([("02", plate, "大众牌") for plate in plates])
    assert sorted(row[6] for row in rows) == sorted(plates)


def test_without_any_known_value_nothing_is_measured():
    _, measured, _ = cleaned([("-", "苏C12345", "-")] * 5)
    assert measured["HPZL"].accuracy is None and measured["HPZL"].coverage is None
