"""The five steps over a small generated folder: nothing lost, sorted, the same bytes each time."""

import csv
import hashlib
import json
import shutil
from dataclasses import replace

import duckdb
import pytest

from etl import pipeline
from etl.generate.raw_folder import generate_raw
from etl.io.engine import engine
from etl.params import EtlParams
from etl.steps.replicate import replicate
from kakou.errors import BadInputError
from kakou.fields import DIMENSION_COLUMNS, FIELDS_8, FIELDS_12

PARAMS = EtlParams()
CSVS = {
    "merged_data": FIELDS_8,
    "merged_data_standardized": FIELDS_8,
    "master_data_cleaned": FIELDS_8,
    "master_data_expanded": FIELDS_12,
}
SCALE = 0.05


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    folder = tmp_path_factory.mktemp("raw")
    generate_raw(folder, days=10, scale=SCALE, seed=5)
    return folder


@pytest.fixture(scope="module")
def out(raw, tmp_path_factory):
    folder = tmp_path_factory.mktemp("out")
    pipeline.run(raw, folder, PARAMS)
    return folder


def rows_of(out, name):
    with (out / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def digests(out):
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(out.iterdir())
        if path.suffix in (".csv", ".parquet", ".json", ".txt", ".html", ".svg")
    }


@pytest.mark.parametrize(("name", "fields"), CSVS.items())
def test_artefacts_have_the_contracts_columns_order_and_times(out, name, fields):
    rows = rows_of(out, name)
    assert tuple(rows[0]) == fields
    keys = [(row["GCSJ"], row["GCXH"]) for row in rows]
    assert keys == sorted(keys)
    assert all(len(row["GCSJ"]) == 19 and row["GCSJ"][10] == " " for row in rows)
    columns = duckdb.sql(f"SELECT * FROM read_parquet('{out}/{name}.parquet') LIMIT 0").columns
    assert tuple(columns) == (*fields, "ORIGIN", "IMPUTED", "SOURCE")


def test_report_begins_with_the_contracts_keys_and_adds_up(out):
    report = json.loads((out / "report.json").read_text(encoding="utf-8"))
    assert list(report)[:9] == [
        "rows_read", "rows_kept", "rows_duplicate", "rejected", "files", "days", "observed_share",
        "imputed", "plates",
    ]  # fmt: skip
    assert report["rows_read"] == report["rows_kept"] + report["rows_duplicate"]
    assert report["rows_read"] == sum(file["rows"] for file in report["files"])
    assert (
        report["rows_kept"] == len(rows_of(out, "merged_data")) == sum(day["rows"] for day in report["days"])
    )
    assert sum(report["plates"].values()) == report["rows_kept"]
    assert report["observed_share"] == 1.0
    assert set(report["imputed"]) == {"HPZL", "CLPPXH"}
    assert all(
        set(one) >= {"share", "accuracy", "coverage", "baseline"} for one in report["imputed"].values()
    )


def test_byte_copies_are_named_and_their_rows_counted_as_duplicates(out):
    report = json.loads((out / "report.json").read_text(encoding="utf-8"))
    copies = {file["name"]: file["copy_of"] for file in report["files"] if file["copy_of"]}
    assert copies == {
        **{f"202312/to_yqy_120{day}.csv": "202312/to_yqy_12017.csv" for day in (18, 19, 20, 21)},
        "202401/13.xlsx": "202401/02.xlsx",
    }
    copied = sum(file["rows"] for file in report["files"] if file["copy_of"])
    assert report["rows_duplicate"] == copied > 0
    assert not any(row["GCSJ"].startswith("2023-12-18") for row in rows_of(out, "merged_data"))


def test_partial_days_are_named(out):
    report = json.loads((out / "report.json").read_text(encoding="utf-8"))
    assert "2024-01-03" in {day["day"] for day in report["days"] if day["partial"]}
    assert "2023-12-15" not in {day["day"] for day in report["days"] if day["partial"]}


def test_gates_have_codenames_and_the_dimension_knows_each(out):
    with (out / "kkmc_dimension.csv").open(encoding="utf-8", newline="") as file:
        dimension = list(csv.DictReader(file))
    assert tuple(dimension[0]) == DIMENSION_COLUMNS
    used = {row["KKMC"] for row in rows_of(out, "merged_data_standardized")}
    assert used <= {gate["KKMC"] for gate in dimension}
    assert len({gate["KKMC"] for gate in dimension}) == len(dimension)
    assert all(gate["KKMC"].isascii() and len(gate["KKMC"]) <= 50 for gate in dimension)
    statistics = (out / "kkmc_statistics.txt").read_text(encoding="utf-8")
    assert all(gate in statistics for gate in used)


def test_plate_type_codes_have_two_digits_and_no_quote(out):
    assert any(row["HPZL"].startswith("'") for row in rows_of(out, "merged_data"))
    kinds = {row["HPZL"] for row in rows_of(out, "merged_data_standardized")}
    assert kinds <= {"01", "02", "13", "22", "23", "51", "52", "-"}


def test_nothing_but_missing_values_is_changed_by_cleaning(out):
    before, after = rows_of(out, "merged_data_standardized"), rows_of(out, "master_data_cleaned")
    imputed = [
        row[0] for row in duckdb.sql(f"SELECT IMPUTED FROM '{out}/master_data_cleaned.parquet'").fetchall()
    ]
    assert len(before) == len(after)
    for old, new, names in zip(before, after, imputed, strict=True):
        changed = [name for name in FIELDS_8 if old[name] != new[name]]
        assert ",".join(changed) == names
        assert all(old[name] == "-" and name in ("HPZL", "CLPPXH") for name in changed)
    assert any(imputed)


def test_source_names_the_raw_row(raw, out):
    got, source = duckdb.sql(
        f"SELECT GCXH, SOURCE FROM '{out}/merged_data.parquet' WHERE SOURCE LIKE '%.csv:%' LIMIT 1 OFFSET 77"
    ).fetchall()[0]
    name, _, row = source.rpartition(":")
    lines = (raw / name).read_bytes().decode("gb18030").splitlines()
    assert lines[int(row) - 1].startswith(f'"{got}"')


def test_a_rerun_and_a_fresh_run_give_the_same_bytes(raw, out, tmp_path):
    first = digests(out)
    pipeline.run(raw, out, PARAMS)
    assert digests(out) == first
    pipeline.run(raw, tmp_path / "fresh", PARAMS)
    assert digests(tmp_path / "fresh") == first


def test_steps_one_by_one_give_the_same_bytes_as_a_run(raw, out, tmp_path):
    for name in reversed(pipeline.list_raw_files(raw)):
        pipeline.read_file(raw, name, tmp_path, PARAMS)
    days = pipeline.plan(raw, tmp_path, PARAMS).to_merge
    for day in reversed(days):
        pipeline.merge_days(tmp_path, [day])
    pipeline.merge(tmp_path, PARAMS)
    for step in (pipeline.profile, pipeline.standardise, pipeline.clean, pipeline.expand):
        step(tmp_path, PARAMS)
        step(tmp_path, PARAMS)
    assert digests(tmp_path) == digests(out)


def test_equal_ids_in_two_files_are_kept_once_and_the_first_wins(raw, tmp_path):
    folder, header = tmp_path / "raw", "GCXH,XZQHMC,KKMC,FXLX,GCSJ,HPZL,HPHM,CLPPXH\n"
    folder.mkdir()
    (folder / "a.csv").write_text(
        header + "1,丰县,卡口,1,2024-01-01 00:00:01,02,苏C12345,A\n", encoding="utf-8"
    )
    again = (
        "1,丰县,卡口,1,2024-01-01 00:00:01,02,苏C12345,B\n2,丰县,卡口,1,2024-01-01 00:00:00,02,苏C12345,B\n"
    )
    (folder / "b.csv").write_text(header + again, encoding="utf-8")
    report = pipeline.run(folder, tmp_path / "out", PARAMS)
    assert [(row["GCXH"], row["CLPPXH"]) for row in rows_of(tmp_path / "out", "merged_data")] == [
        ("2", "B"), ("1", "A"),
    ]  # fmt: skip
    assert (report["rows_read"], report["rows_kept"], report["rejected"]) == (3, 2, {"id_conflict": 1})


def test_days_are_replicated_only_on_request_and_marked(raw, tmp_path):
    report = pipeline.run(raw, tmp_path, replace(PARAMS, replicate="14-15:18-19"))
    rows = duckdb.sql(
        f"SELECT * FROM '{tmp_path}/master_data_cleaned.parquet' WHERE ORIGIN = 'replicated'"
    ).fetchall()
    days = {(row[4].day, row[0].rpartition("-R")[2]) for row in rows}
    assert days == {(18, "18"), (19, "19")}
    originals = {
        row[0]: row for row in duckdb.sql(f"SELECT * FROM '{tmp_path}/merged_data.parquet'").fetchall()
    }
    for row in rows[:50]:
        assert row[4].time() == originals[row[0].rpartition("-R")[0]][4].time()
    assert report["observed_share"] == pytest.approx(
        report["rows_kept"] / (report["rows_kept"] + len(rows)), abs=1e-6
    )
    keys = [(row["GCSJ"], row["GCXH"]) for row in rows_of(tmp_path, "master_data_expanded")]
    assert keys == sorted(keys)


def test_too_many_bad_rows_stop_the_run_and_few_do_not(tmp_path):
    folder = tmp_path / "raw"
    folder.mkdir()
    good = "".join(f"{n},丰县,卡口,1,2024-01-02 00:00:00,02,苏C12345,A\n" for n in range(8))
    text = "GCXH,XZQHMC,KKMC,FXLX,GCSJ,HPZL,HPHM,CLPPXH\n" + good + "9,丰县,卡口,1,never,02,苏C12345,A\n"
    (folder / "a.csv").write_text(text, encoding="utf-8")
    with pytest.raises(BadInputError, match="1 of 9 rows"):
        pipeline.run(folder, tmp_path / "out", PARAMS)
    report = pipeline.run(folder, tmp_path / "out", replace(PARAMS, max_reject_share=0.2))
    assert report["rejected"] == {"bad_time": 1}
    assert report["rows_read"] == 9 and report["rows_kept"] == 8


def test_a_folder_without_any_pass_is_bad_input(tmp_path):
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "a.csv").write_text("what,ever\n1,2\n", encoding="utf-8")
    with pytest.raises(BadInputError, match="No file of the raw folder holds a pass"):
        pipeline.run(tmp_path / "raw", tmp_path / "out", PARAMS)


def test_a_step_without_the_one_before_says_so(tmp_path):
    with pytest.raises(BadInputError, match="earlier steps"):
        pipeline.clean(tmp_path, PARAMS)


def test_a_failed_write_leaves_the_old_artefact_and_no_draft(raw, out, tmp_path):
    shutil.copytree(out, tmp_path / "copy")
    copy = tmp_path / "copy"
    before = digests(copy)
    (copy / "master_data_cleaned.parquet").write_bytes(b"no parquet")
    with pytest.raises(BadInputError):
        pipeline.expand(copy, PARAMS)
    assert digests(copy)["master_data_expanded.parquet"] == before["master_data_expanded.parquet"]
    assert not [path for path in copy.iterdir() if path.name.startswith(".")]


def test_an_unknown_gate_is_proposed_and_never_taken_for_a_known_one(tmp_path):
    folder = tmp_path / "raw"
    folder.mkdir()
    near = "徐州市睢宁县S325淮宿线K64(325省道)63K+100M东侧-向西卡口市际卡口"
    known = "徐州市睢宁县S325淮宿线K63(325省道)63K+100M东侧-向西卡口市际卡口"
    text = "GCXH,XZQHMC,KKMC,FXLX,GCSJ,HPZL,HPHM,CLPPXH\n" + "".join(
        f"{n},睢宁县,{gate},1,2024-01-02 00:00:0{n},02,苏C12345,A\n" for n, gate in enumerate((near, known))
    )
    (folder / "a.csv").write_text(text, encoding="utf-8")
    pipeline.run(folder, tmp_path / "out", PARAMS)
    codes = [row["KKMC"] for row in rows_of(tmp_path / "out", "merged_data_standardized")]
    assert codes == ["S325_Suining_K64", "S325_Suining_K63"]
    proposals = json.loads((tmp_path / "out" / "gate_proposals.json").read_text(encoding="utf-8"))
    assert [(one["KKMC"], one["NAME"]) for one in proposals] == [("S325_Suining_K64", near)]
    assert (
        near in (tmp_path / "out" / "kkmc_statistics.txt").read_text(encoding="utf-8").split("To decide:")[1]
    )


def test_the_engine_writes_nothing_into_our_output(tmp_path):
    with engine(tmp_path) as con:
        assert con.execute("SELECT current_setting('enable_progress_bar')").fetchall() == [(False,)]


def test_undecidable_plates_are_listed_with_their_reason_and_none_is_completed(tmp_path):
    (tmp_path / "raw").mkdir()
    plates = ("6***", "苏C12***", "苏C12***", "苏C12345", "C12345", "-")
    rows = "".join(
        f"{n},丰县,卡口,1,2024-01-01 00:00:{n:02d},02,{plate},A\n" for n, plate in enumerate(plates)
    )
    header = "GCXH,XZQHMC,KKMC,FXLX,GCSJ,HPZL,HPHM,CLPPXH\n"
    (tmp_path / "raw" / "a.csv").write_text(header + rows, encoding="utf-8")
    out = tmp_path / "out"
    report = pipeline.run(tmp_path / "raw", out, PARAMS)
    assert tuple(row["HPHM"] for row in rows_of(out, "master_data_expanded")) == plates
    listed = rows_of(out, "plates_undecidable")
    assert [(row["HPHM"], row["CLASS"], row["PASSES"]) for row in listed] == [
        ("苏C12***", "masked", "2"), ("-", "none", "1"),
        ("6***", "truncated", "1"), ("C12345", "truncated", "1"),
    ]  # fmt: skip
    assert all(row["REASON_ZH"] and row["REASON_EN"] for row in listed)
    assert report["plates"] == {"whole": 1, "masked": 2, "malformed": 3}
    assert sum(report["plate_classes"].values()) == 6 and report["plate_classes"]["ordinary"] == 1


def test_a_gate_that_a_person_accepted_is_no_proposal_any_more(raw, tmp_path):
    (tmp_path / "raw").mkdir()
    line = "1,丰县,某某新卡口,1,2024-01-01 00:00:01,02,苏C12345,A\n"
    header = "GCXH,XZQHMC,KKMC,FXLX,GCSJ,HPZL,HPHM,CLPPXH\n"
    (tmp_path / "raw" / "a.csv").write_text(header + line, encoding="utf-8")
    first = pipeline.run(tmp_path / "raw", tmp_path / "out", PARAMS)
    assert first["proposed_gates"] == 1
    own = tmp_path / "gates.csv"
    own.write_text(
        "KKMC,NAME,ALIASES,XZQHMC,ROAD,STAKE,BOUNDARY,LON,LAT\nNew_Gate,某某新卡口,某某新卡口,丰县,,,,,\n",
        encoding="utf-8",
    )
    second = pipeline.run(tmp_path / "raw", tmp_path / "out", replace(PARAMS, gate_registry=own))
    assert second["proposed_gates"] == 0
    assert [row["KKMC"] for row in rows_of(tmp_path / "out", "master_data_expanded")] == ["New_Gate"]


def test_a_copied_day_is_neither_replicated_nor_replicated_onto(tmp_path):
    with engine(tmp_path) as con:
        con.execute(
            "CREATE TABLE passes AS SELECT 'a' AS GCXH, TIMESTAMP '2023-12-12 01:00:00' AS GCSJ, "
            "'observed' AS ORIGIN UNION ALL SELECT 'b', TIMESTAMP '2023-12-12 02:00:00', 'copied' "
            "UNION ALL SELECT 'c', TIMESTAMP '2023-12-18 01:00:00', 'copied'"
        )
        rows = replicate(con.table("passes"), [(12, 18), (12, 19)]).fetchall()
    assert [row[0] for row in rows] == ["a", "b", "c", "a-R19"]
