"""The model fills only what is nearly certain, and its own measure of itself is honest."""

from datetime import datetime

import duckdb
import numpy as np
import pytest

from etl.params import EtlParams
from etl.steps.clean import clean
from etl.steps.impute import impute
from etl.steps.impute_evidence import read_columns

COLUMNS = "GCXH, XZQHMC, KKMC, FXLX, GCSJ, HPZL, HPHM, CLPPXH, ORIGIN, IMPUTED, SOURCE, RN"


def passes_table(con, rows):
    values = [
        (f"id{n}", "丰县", "G1", "1", datetime(2024, 1, 1), kind, plate, brand, "observed", "", f"a:{n}", n)
        for n, (kind, plate, brand) in enumerate(rows)
    ]
    kinds = ("VARCHAR", "VARCHAR", "VARCHAR", "VARCHAR", "TIMESTAMP", *["VARCHAR"] * 6, "BIGINT")
    shape = ", ".join(f"{name} {kind}" for name, kind in zip(COLUMNS.split(", "), kinds, strict=True))
    con.execute(f"CREATE TABLE passes ({shape})")
    if values:
        con.execute(f"INSERT INTO passes VALUES {_values(values)}")


def cleaned(rows, threads=2, **params):
    con = duckdb.connect(config={"threads": threads})
    passes_table(con, rows)
    relation, measured = clean(con, "passes", EtlParams(**params))
    return (
        relation.order("CAST(SOURCE[3:] AS INTEGER)").fetchall(),
        measured,
        {f"a:{n}": rows[n] for n in range(len(rows))},
    )


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
    brands = ["大众牌" if n * 7 % 10 < 8 else "福田牌" for n in range(1500)]
    rows = [("02", f"苏C{n:05d}", brand) for n, brand in enumerate(brands)] + [("02", "苏C99999", "-")]
    _, strict, _ = cleaned(rows, imputation_confidence=0.95)
    filled, loose, _ = cleaned(rows, imputation_confidence=0.6)
    assert strict["CLPPXH"].coverage == 0.0
    assert loose["CLPPXH"].coverage == 1.0
    assert loose["CLPPXH"].accuracy == pytest.approx(0.8, abs=0.03)
    assert [row[7] for row in filled if row[6] == "苏C99999"] == ["大众牌"]


def test_filled_plate_types_as_a_whole_stay_right_however_little_confidence_is_asked_for():
    # Ordinary plates at 80 % and new-energy ones at 100 %: filling both would be right 90 % of the time.
    small = np.random.default_rng(5).random(1500) < 0.8
    ordinary = [("02" if small[n] else "01", f"苏C{n:05d}", "-") for n in range(1500)]
    green = [("52", f"苏CD{n:05d}", "-") for n in range(1500)]
    rows, measured, _ = cleaned(
        [*ordinary, *green, ("-", "苏C99999", "-"), ("-", "苏CD99999", "-")], imputation_confidence=0.0
    )
    kinds = {row[6]: row[5] for row in rows}
    assert (kinds["苏C99999"], kinds["苏CD99999"]) == ("-", "52")
    assert measured["HPZL"].accuracy >= 0.97
    assert measured["HPZL"].coverage == pytest.approx(0.5, abs=0.05)


def test_new_energy_plates_tell_their_type():
    plates = [("52", f"苏CD{n:05d}", "-") for n in range(400)] + [
        ("51", f"苏C{n:05d}D", "-") for n in range(400)
    ]
    rows, _, _ = cleaned([*plates, ("-", "苏CD99999", "-"), ("-", "苏C99999D", "-")])
    kinds = {row[6]: row[5] for row in rows}
    assert (kinds["苏CD99999"], kinds["苏C99999D"]) == ("52", "51")


def test_a_plate_of_a_form_that_no_known_row_has_is_not_filled():
    rows, _, _ = cleaned([*(("02", f"苏C{n:05d}", "-") for n in range(500)), ("-", "F378***", "-")])
    assert [row[5] for row in rows if row[6] == "F378***"] == ["-"]


def noisy_fleet(seed, count=4000):
    """Vehicles seen one to nine times, brands misread at a rate of each vehicle's own; a sixth is missing."""
    rng = np.random.default_rng(seed)
    rows, truth = [], []
    for n in range(count // 5):
        brand, misread = f"牌{rng.integers(0, 6)}", rng.choice([0.0, 0.2, 0.5])
        for _ in range(rng.integers(1, 10)):
            read = f"牌{rng.integers(0, 6)}" if rng.random() < misread else brand
            rows.append(("02", f"苏C{n:05d}", "-" if rng.random() < 1 / 6 else read))
            truth.append(read)
    return rows, truth


def columns_of(rows):
    con = duckdb.connect()
    passes_table(con, rows)
    return read_columns(con, "passes")


def test_a_row_filled_with_a_confidence_is_right_about_that_often():
    sure, right = [], []
    for seed in range(3):
        rows, truth = noisy_fleet(seed)
        columns = columns_of(rows)
        filled = impute(columns, "CLPPXH", 0.0)
        for at in np.flatnonzero(filled.code >= 0):
            sure.append(filled.confidence[at])
            right.append(columns.words["CLPPXH"][filled.code[at]] == truth[at])
    sure, right = np.array(sure), np.array(right)
    assert len(sure) > 1500
    for low, high in ((0.0, 0.6), (0.6, 0.8), (0.8, 0.9), (0.9, 1.0)):
        some = (sure >= low) & (sure < high)
        assert some.sum() > 100
        assert right[some].mean() == pytest.approx(sure[some].mean(), abs=0.08)


def test_what_is_measured_is_what_happens_to_the_rows_that_are_filled():
    rows, truth = noisy_fleet(7, 12_000)
    columns = columns_of(rows)
    filled = impute(columns, "CLPPXH", 0.8)
    at = np.flatnonzero(filled.code >= 0)
    right = np.mean([columns.words["CLPPXH"][filled.code[row]] == truth[row] for row in at])
    missing = sum(brand == "-" for _, _, brand in rows)
    assert right == pytest.approx(filled.measured.accuracy, abs=0.04)
    assert len(at) / missing == pytest.approx(filled.measured.coverage, abs=0.06)
    assert min(filled.confidence[at]) >= 0.8


def test_the_curve_falls_in_coverage_and_begins_with_every_row_that_has_a_guess():
    measured = impute(columns_of(noisy_fleet(3)[0]), "CLPPXH", 0.9).measured
    coverage = [point["coverage"] for point in measured.curve]
    assert coverage == sorted(coverage, reverse=True)
    assert coverage[0] > 0.95
    assert {"confidence": 0.9, "accuracy": measured.accuracy, "coverage": measured.coverage} in measured.curve


def test_the_same_rows_get_the_same_values_with_one_thread_and_with_two():
    rows, _ = noisy_fleet(11)
    answers = [cleaned(rows, threads=threads, imputation_confidence=0.5) for threads in (1, 2, 2)]
    assert answers[0][0] == answers[1][0] == answers[2][0]
    assert answers[0][1] == answers[1][1] == answers[2][1]


def test_many_rows_in_a_file_stay_in_order_and_get_their_own_values(tmp_path):
    # Enough row groups for both threads; the brand can be told from the plate, and the plate from the number.
    path, con = tmp_path / "many.parquet", duckdb.connect(config={"threads": 2})
    con.execute(
        "COPY (SELECT 'id' || lpad(n::VARCHAR, 9, '0') AS GCXH, '丰县' AS XZQHMC, 'G1' AS KKMC, '1' AS FXLX, "
        "TIMESTAMP '2024-01-01' + to_seconds(n) AS GCSJ, '02' AS HPZL, '苏C' || (10000 + n % 5000) AS HPHM, "
        "CASE WHEN n * 7919 % 13 < 3 THEN '-' ELSE '牌' || n % 5 END AS CLPPXH, 'observed' AS ORIGIN, "
        f"'a:' || n AS SOURCE FROM range(600000) t(n)) TO '{path}' (FORMAT parquet, ROW_GROUP_SIZE 20000)"
    )
    con.execute(
        "CREATE VIEW passes AS SELECT * EXCLUDE (file_row_number), file_row_number AS RN "
        f"FROM read_parquet('{path}', file_row_number = true)"
    )
    for _ in range(3):
        relation, _ = clean(con, "passes", EtlParams())
        target = tmp_path / "cleaned.parquet"
        relation.query("passes_cleaned", f"COPY passes_cleaned TO '{target}' (FORMAT parquet)")
        wrong, unordered, filled = con.execute(
            "SELECT count(*) FILTER (WHERE CLPPXH <> '牌' || CAST(SOURCE[3:] AS INTEGER) % 5), "
            "count(*) FILTER (WHERE CAST(SOURCE[3:] AS INTEGER) <> RN), "
            "count(*) FILTER (WHERE IMPUTED <> '') "
            f"FROM (SELECT *, file_row_number AS RN FROM read_parquet('{target}', file_row_number = true))"
        ).fetchall()[0]
        assert (wrong, unordered) == (0, 0)
        assert filled > 100_000


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_few_rows_stay_as_they_are(count):
    given = [("-", "苏C12345", "-"), ("02", "苏C12345", "大众牌"), ("-", "苏C12***", "-")][:count]
    rows, measured, _ = cleaned(given, imputation_confidence=0.0)
    assert [(row[5], row[6], row[7]) for row in rows] == given
    assert all(one.share == 0.0 and one.accuracy is None for one in measured.values())


def test_wholly_known_fields_are_measured_and_nothing_is_filled():
    rows, measured, _ = cleaned([("02", f"苏C{n % 50:05d}", f"牌{n % 50 % 5}") for n in range(1000)])
    assert not any(row[9] for row in rows)
    assert measured["CLPPXH"].share == 0.0
    assert measured["CLPPXH"].accuracy == 1.0


def test_blank_words_are_neither_learned_nor_filled_in():
    words = ["未知", "无", "其他", "大众牌"]
    rows, _, given = cleaned([("02", f"苏C{n % 40:05d}", words[n // 40 % 4]) for n in range(1600)])
    filled = {row[7] for row in rows if row[9]}
    assert filled == {"大众牌"}
    assert all(row[7] == given[row[10]][2] for row in rows if not row[9])


def test_bad_plates_stay_as_they_were_read():
    plates = ["6***", "苏C12***", "-", "C1234", "苏C12345"] * 40
    rows, _, _ = cleaned([("02", plate, "大众牌") for plate in plates])
    assert sorted(row[6] for row in rows) == sorted(plates)


def test_without_any_known_value_nothing_is_measured():
    _, measured, _ = cleaned([("-", "苏C12345", "-")] * 5)
    assert measured["HPZL"].accuracy is None and measured["HPZL"].coverage is None


def test_a_copied_row_is_no_evidence_for_the_row_that_it_was_copied_from():
    brands = np.random.default_rng(4).choice(["大众牌", "福田牌", "丰田牌", "本田牌"], 400)
    once = [("02", f"苏C{n:05d}", str(brand)) for n, brand in enumerate(brands)]
    con = duckdb.connect()
    passes_table(con, once + once)
    con.execute("UPDATE passes SET ORIGIN = 'copied' WHERE RN >= 400")
    _, measured = clean(con, "passes", EtlParams(imputation_confidence=0.9))
    assert measured["CLPPXH"].coverage < 0.02, "each plate was seen once, and its copy does not confirm it"
