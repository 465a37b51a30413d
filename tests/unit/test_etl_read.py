"""A raw file of any dialect becomes typed passes; what is no pass is set aside with reason and place."""

import json
from datetime import datetime

import duckdb
import numpy as np
import openpyxl
import pytest

from etl.io.parts import list_raw_files, load_part, read_part
from etl.io.xlsx_write import write_xlsx
from kakou.errors import RawFolderError

HEADER = '"GCXH","XZQHMC","KKMC","FXLX","GCSJ","HPZL","HP","CLPPXH"\n'
GATE = "徐州市睢宁县S325淮宿线K63(325省道)63K+100M东侧-向西卡口市际卡口"


def line(
    gcxh="320300100000000001", gate=GATE, time="2023/12/12 9:21:41", kind="02", plate="苏C12345", brand="-"
):
    return ",".join(f'"{value}"' for value in (gcxh, "睢宁县", gate, "2", time, kind, plate, brand)) + "\n"


def read(tmp_path, name, data):
    """Reads one file; returns its note, its good rows and its refused ones."""
    raw, out = tmp_path / "raw", tmp_path / "out"
    path = raw / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data) if isinstance(data, bytes) else data(path)
    part = read_part(raw, name, out)
    tables = [str(out / "parts" / file) for file in part.files]
    row = "CAST(regexp_extract(SOURCE, '([0-9]+)$', 1) AS INTEGER) AS ROW"
    query = f"SELECT * EXCLUDE (ORIGIN, IMPUTED, SOURCE), {row} FROM read_parquet({tables}) ORDER BY ROW"
    rows = duckdb.sql(query).fetchall() if tables else []
    files = list((out / "rejected").glob("*.jsonl")) if (out / "rejected").exists() else []
    refused = [json.loads(text) for file in files for text in file.read_text(encoding="utf-8").splitlines()]
    return part, rows, refused


def test_gb18030_with_unpadded_hours(tmp_path):
    part, rows, refused = read(tmp_path, "202312/a.csv", (HEADER + line()).encode("gb18030"))
    assert (part.encoding, part.rows, refused) == ("gb18030", 1, [])
    assert rows[0][:8] == (
        "320300100000000001", "睢宁县", GATE, "2", datetime(2023, 12, 12, 9, 21, 41), "02", "苏C12345", "-",
    )  # fmt: skip
    assert rows[0][8] == 2, "the header is row 1"


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("2023/12/7 0:00:23", datetime(2023, 12, 7, 0, 0, 23)),
        ("2024-01-06 00:03:25", datetime(2024, 1, 6, 0, 3, 25)),
        ("2024-01-0600:03:25", datetime(2024, 1, 6, 0, 3, 25)),
        ("20240106000325", datetime(2024, 1, 6, 0, 3, 25)),
        ("2024年1月6日 0时03分25秒", datetime(2024, 1, 6, 0, 3, 25)),
        ("2024-01-06", datetime(2024, 1, 6)),
        ("45297.5", datetime(2024, 1, 6, 12)),
        ("'2024-01-06 00:03:25", datetime(2024, 1, 6, 0, 3, 25)),
        ("２０２４-01-06 00:03:25", datetime(2024, 1, 6, 0, 3, 25)),
    ],
)
def test_times_of_every_form(tmp_path, written, meant):
    _, rows, refused = read(tmp_path, "a.csv", (HEADER + line(time=written)).encode())
    assert refused == []
    assert rows[0][4] == meant


def test_quotes_prefix_blanks_and_full_width_characters_go(tmp_path):
    odd = line(gcxh="'G320300100000000001", plate=" 苏Ｃ１２３４５ ", kind="'2", brand="　大众牌　")
    _, rows, _ = read(tmp_path, "a.csv", (HEADER + odd).encode())
    assert rows[0][0] == "320300100000000001"
    assert rows[0][5:8] == ("'2", "苏C12345", "大众牌"), "HPZL keeps its quote until it is standardised"


def test_empty_values_become_the_sign_for_missing(tmp_path):
    _, rows, _ = read(tmp_path, "a.csv", (HEADER + line(kind="", plate="", brand="")).encode())
    assert rows[0][5:8] == ("-", "-", "-")


def test_refused_rows_have_reason_place_and_text(tmp_path):
    data = (
        HEADER
        + line("1")
        + '"2","short"\n'
        + line("3")
        + '"4","a"x,"b","1","2023/12/12 1:00:00","02","苏C12345","x"\n'
        + line("5", time="not a time")
        + line("", plate="苏C00001")
        + line("7", gate="")
        + line("8", brand="two\nlines")
        + line("9" * 65)
        + line("10", time="1899/01/01 0:00:00")
        + line("11")
    )
    part, rows, refused = read(tmp_path, "202312/a.csv", data.encode())
    assert [(row[0], row[8]) for row in rows] == [("1", 2), ("3", 4), ("11", 12)]
    assert [(one["row"], one["reason"]) for one in refused] == [
        (3, "column_count"), (5, "bad_quotes"), (6, "bad_time"), (7, "empty_id"), (8, "empty_gate"),
        (9, "control_character"), (10, "too_long"), (11, "bad_time"),
    ]  # fmt: skip
    assert refused[0]["text"] == '"2","short"'
    assert {one["file"] for one in refused} == {"202312/a.csv"}
    assert part.rows + sum(part.rejected.values()) == 11


def test_row_numbers_hold_in_a_file_of_many_buffers(tmp_path):
    bad = {70_000, 200_000, 200_001, 399_999}
    lines = ['"x"\n' if n in bad else line(str(n)) for n in range(400_000)]
    part, rows, refused = read(tmp_path, "a.csv", (HEADER + "".join(lines)).encode("gb18030"))
    assert part.rejected == {"column_count": 4}
    assert {one["row"] - 2 for one in refused} == bad
    assert all(int(row[0]) == row[8] - 2 for row in rows)


def test_undecodable_bytes_refuse_their_row_only(tmp_path):
    bad = line("2").encode("gb18030").replace("苏".encode("gb18030"), b"\xff\xff")
    data = HEADER.encode() + line("1").encode("gb18030") + bad + line("3").encode("gb18030")
    _, rows, refused = read(tmp_path, "a.csv", data)
    assert [row[0] for row in rows] == ["1", "3"]
    assert [(one["row"], one["reason"]) for one in refused] == [(3, "encoding")]


def test_tabs_and_nul_inside_values_are_refused(tmp_path):
    data = HEADER + line("1", brand="a\tb") + line("2", plate="苏C1\x002345") + line("3")
    _, rows, refused = read(tmp_path, "a.csv", data.encode())
    assert [row[0] for row in rows] == ["3"]
    assert [one["reason"] for one in refused] == ["control_character"] * 2


def test_semicolons_and_a_mark_and_another_order(tmp_path):
    data = (
        "\ufeffHPHM;GCXH;KKMC;GCSJ;XZQHMC;FXLX;HPZL;CLPPXH\n苏C12345;7;卡口;2024-01-06 00:03:25;丰县;1;02;-\n"
    )
    part, rows, _ = read(tmp_path, "a.csv", data.encode())
    assert part.encoding == "utf-8-sig"
    assert rows[0][:8] == ("7", "丰县", "卡口", "1", datetime(2024, 1, 6, 0, 3, 25), "02", "苏C12345", "-")


def test_xlsx_with_oracle_header_and_empty_second_sheet(tmp_path):
    header = ["'G'||GCXH", "XZQHMC", "KKMC", "FXLX", "TO_CHAR(GCSJ,'YYYY-MM-DDHH24:M", "HPZL",
              "SUBSTR(HPHM,0,4)||'***'", "CLPPXH"]  # fmt: skip
    cells = ["G320300100000000009", "丰县", "卡口 & <K1>", "1", "2024-01-06 00:03:25", "01", "苏C12***", "-"]
    part, rows, refused = read(
        tmp_path,
        "202401/06.xlsx",
        lambda path: write_xlsx(path, header, [np.array([cell]) for cell in cells]),
    )
    assert (part.encoding, part.rows, refused) == ("xlsx", 1, [])
    assert rows[0][:8] == (
        "320300100000000009", "丰县", "卡口 & <K1>", "1",
        datetime(2024, 1, 6, 0, 3, 25), "01", "苏C12***", "-",
    )  # fmt: skip
    assert rows[0][8] == 2


def test_xlsx_of_another_hand_with_real_dates_numbers_and_two_sheets(tmp_path):
    def make(path):
        book = openpyxl.Workbook()
        first, second = book.active, book.create_sheet("more")
        for sheet, ids in ((first, (1, 2)), (second, (3,))):
            sheet.append(["GCXH", "XZQHMC", "KKMC", "FXLX", "GCSJ", "HPZL", "HPHM", "CLPPXH"])
            for number in ids:
                sheet.append(
                    [str(number), "丰县", "卡口", 1, datetime(2024, 1, 6, 0, 3, 25), 2, "苏C12345", None]
                )
        book.save(path)

    part, rows, _ = read(tmp_path, "a.xlsx", make)
    assert part.rows == 3 and len(part.tables) == 2
    assert sorted(row[0] for row in rows) == ["1", "2", "3"]
    assert {row[3:8] for row in rows} == {("1", datetime(2024, 1, 6, 0, 3, 25), "2", "苏C12345", "-")}


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("a.xlsx", b"PK\x03\x04 not a workbook", "file_unreadable"),
        ("a.csv", b"", "file_empty"),
        ("a.csv", b"some,other\ntable,here\n", "file_unknown_header"),
    ],
)
def test_an_unreadable_file_is_set_aside_with_its_reason(tmp_path, name, data, reason):
    part, rows, refused = read(tmp_path, name, data)
    assert (part.problem, part.rows, rows) == (reason, 0, [])
    assert [(one["file"], one["reason"]) for one in refused] == [(name, reason)]


def test_a_csv_that_is_named_xlsx_is_read_as_what_it_is(tmp_path):
    part, _, _ = read(tmp_path, "a.xlsx", (HEADER + line()).encode("gb18030"))
    assert (part.encoding, part.rows) == ("gb18030", 1)


def test_a_part_is_used_again_until_its_file_changes(tmp_path):
    read(tmp_path, "a.csv", (HEADER + line()).encode())
    raw, out = tmp_path / "raw", tmp_path / "out"
    made = {file: file.stat().st_mtime_ns for file in (out / "parts").iterdir()}
    assert read_part(raw, "a.csv", out) == load_part(raw, "a.csv", out)
    assert {file: file.stat().st_mtime_ns for file in (out / "parts").iterdir()} == made
    (raw / "a.csv").write_bytes((HEADER + line() + line("2")).encode())
    assert load_part(raw, "a.csv", out) is None
    assert read_part(raw, "a.csv", out).rows == 2


def test_names_are_sorted_and_foreign_files_left_out(tmp_path):
    for name in ("202401/b.XLSX", "202312/a.csv", "202312/~$a.xlsx", "notes.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    assert list_raw_files(tmp_path) == ["202312/a.csv", "202401/b.XLSX"]


def test_a_missing_or_empty_folder_is_said_in_one_sentence(tmp_path):
    with pytest.raises(RawFolderError, match="does not exist"):
        list_raw_files(tmp_path / "nowhere")
    (tmp_path / "one.csv").touch()
    with pytest.raises(RawFolderError, match=f"is a file; name the folder that it lies in, {tmp_path},"):
        list_raw_files(tmp_path / "one.csv")
    (tmp_path / "one.csv").unlink()
    with pytest.raises(RawFolderError, match="holds no CSV or XLSX"):
        list_raw_files(tmp_path)
