"""Raw files that nobody has seen: each row is read right, or set aside with reason and place."""

import gzip
import io
import json
from datetime import date, datetime

import duckdb
import openpyxl
import pytest

from etl.io.parts import read_part

NAMES = ["GCXH", "XZQHMC", "KKMC", "FXLX", "GCSJ", "HPZL", "HPHM", "CLPPXH"]
HEADER = ",".join(NAMES) + "\n"
TIME = "2023/12/12 9:21:41"


def line(
    gcxh,
    time=TIME,
    gate="徐州市睢宁县S325淮宿线",
    plate="苏C12345",
    kind="02",
    brand="大众",
    *,
    quote='"',
    end="\n",
):
    values = (gcxh, "睢宁县", gate, "2", time, kind, plate, brand)
    return ",".join(quote + value + quote for value in values) + end


A, B, C = (line(f"32030010000000000{n}") for n in (1, 2, 3))


class Read:
    """What became of one raw file."""

    def __init__(self, tmp_path, data, name="a.csv"):
        raw, out = tmp_path / "raw", tmp_path / "out"
        raw.mkdir()
        (raw / name).write_bytes(data.encode() if isinstance(data, str) else data)
        self.part = read_part(raw, name, out)
        files = [str(out / "parts" / file) for file in self.part.files]
        query = f"FROM read_parquet({files}) ORDER BY GCXH"
        self.rows = duckdb.sql(query).fetchall() if files else []
        notes = (out / "rejected").glob("*") if (out / "rejected").exists() else []
        told = [json.loads(text) for note in notes for text in note.read_text("utf-8").splitlines()]
        self.refused = [(one["row"], one["reason"]) for one in told]
        self.texts = [one["text"] for one in told]

    @property
    def places(self):
        """Last digit of each id and the row that it came from."""
        return [(row[0][-1], int(row[10].rsplit(":", 1)[1])) for row in self.rows]


def workbook(fill):
    book, file = openpyxl.Workbook(), io.BytesIO()
    fill(book)
    book.save(file)
    return file.getvalue()


def cells(gcxh, time=datetime(2024, 1, 6, 0, 3, 25)):
    return [gcxh, "丰县", "卡口", 1, time, 2, "苏C12345", None]


@pytest.mark.parametrize(
    ("data", "places", "refused"),
    [
        ("过车记录导出\n" + HEADER + A + B, [("1", 3), ("2", 4)], []),
        ("过车记录,,,,,,,\n,,,,,,,\n\n" + HEADER + A, [("1", 5)], []),
        (HEADER + A + HEADER + B, [("1", 2), ("2", 4)], [(3, "header_repeated")]),
        ("\ufeff" + HEADER + A + "\ufeff" + HEADER + B, [("1", 2), ("2", 4)], [(3, "header_repeated")]),
        (A + HEADER + B, [("1", 1), ("2", 3)], [(2, "header_repeated")]),
        ("1," + A + "2," + B, [("1", 1), ("2", 2)], []),
        ("ROWNUM," + HEADER + "1," + A, [("1", 2)], []),
        ("'G'||GCXH,XZQHMC,KKMC,FXLX,TO_CHAR(GCSJ,'YY,HPZL,SUBSTR(HPHM,0,4),CLPPXH\n" + A, [("1", 2)], []),
        (HEADER + A.replace("\n", ",\n") + B.replace("\n", ",\n"), [("1", 2), ("2", 3)], []),
        (HEADER + A.replace("\n", ",,,\n") + B.replace("\n", ",,,\n"), [("1", 2), ("2", 3)], []),
        (HEADER.replace("\n", ",,\n") + A + B, [("1", 2), ("2", 3)], []),
        (HEADER + "\n" + A + ",,,,,,,\n   \n,,\n" + B + "\x1a", [("1", 3), ("2", 7)], []),
        (HEADER + A + "1,2\n" + B.replace("\n", ",7,8\n") + C, [("1", 2), ("3", 5)],
         [(3, "column_count"), (4, "column_count")]),
        (HEADER + A.replace("\n", "\r\n") + B + C.strip(), [("1", 2), ("2", 3), ("3", 4)], []),
        ((HEADER + A + B).replace("\n", "\r"), [("1", 2), ("2", 3)], []),
        ((HEADER + A + B).replace("\n", "\r\r\n"), [("1", 2), ("2", 3)], []),
        (HEADER + A + '"2,睢宁县,"x\n' + C, [("1", 2), ("3", 4)], [(3, "column_count")]),
        (HEADER + A + '2,睢宁县,"卡口\n' + C, [("1", 2), ("3", 4)], [(3, "bad_quotes")]),
        (HEADER + A.replace('"', "") + '2,"睢\n' + B.replace('"', "") + C.replace('"', ""),
         [("1", 2), ("2", 4), ("3", 5)], [(3, "bad_quotes")]),
        (HEADER + line("2", brand="a\nb") + C, [("3", 3)], [(2, "control_character")]),
        (HEADER + A + line("2", brand="x" * 1_000_000) + C, [("1", 2), ("3", 4)], [(3, "too_long")]),
        (HEADER + A + ",".join("1" * 5_000) + "\n" + C, [("1", 2), ("3", 4)], [(3, "column_count")]),
        (HEADER, [], []),
    ],
)  # fmt: skip
def test_rows_and_places(tmp_path, data, places, refused):
    read = Read(tmp_path, data)
    assert (read.places, read.refused, read.part.problem) == (places, refused, "")


def test_an_open_quote_swallows_no_other_row_in_a_long_file(tmp_path):
    rows = [line(str(320300100000000000 + n)) for n in range(3_000)]
    rows[7] = rows[7].replace('大众"', "大众")
    read = Read(tmp_path, HEADER + "".join(rows))
    assert (read.part.rows, read.refused) == (2_999, [(9, "bad_quotes")])
    assert all(int(row[10].rsplit(":", 1)[1]) - 2 == int(row[0]) - 320300100000000000 for row in read.rows)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("G320300108874994318", "320300108874994318"), ("'320300108874994318", "320300108874994318"),
        ("320300108874994318\t", "320300108874994318"), ('=""320300108874994318""', "320300108874994318"),
        ("000320300108874994", "000320300108874994"), ("３２０３", "3203"), ("123.0", "123"),
        ("3.20300108874994E+17", None), ("3E+17", None), ("1e5", None), ("320300108874994000.0", None),
    ],
)  # fmt: skip
def test_ids_lose_what_was_put_around_them_and_damaged_ones_are_told(tmp_path, written, meant):
    read = Read(tmp_path, HEADER + line(written))
    assert [row[0] for row in read.rows] == ([meant] if meant else [])
    assert read.refused == ([] if meant else [(2, "id_damaged")])
    assert meant or read.texts[0].startswith(written), "as it was written, to be found again"


def test_a_table_of_rounded_ids_is_damaged_though_each_looks_whole(tmp_path):
    read = Read(tmp_path, HEADER + "".join(line(f"320300108874{n}000") for n in (994, 995, 997)))
    assert (read.rows, read.refused) == ([], [(row, "id_damaged") for row in (2, 3, 4)])


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("2024/1/6 9:03:25 PM", "2024-01-06 21:03:25"), ("2024/1/6 12:03:25 AM", "2024-01-06 00:03:25"),
        ("2024/1/6 下午 9:03:25", "2024-01-06 21:03:25"), ("2024/1/6 上午12:03", "2024-01-06 00:03:00"),
        ("2024-01-06T00:03:25+08:00", "2024-01-06 00:03:25"), ("2024-01-06T00:03:25Z", "2024-01-06 08:03:25"),
        ("2024-01-06 00:03:25-05:00", "2024-01-06 13:03:25"),
        ("2024-01-06 0:03:25.999", "2024-01-06 00:03:25"),
        ("2024/01/06 24:00:00", "2024-01-07 00:00:00"), ("24/1/6 0:03", "2024-01-06 00:03:00"),
        ("06-1月 -24 09.21.41.000000 下午", "2024-01-06 21:21:41"), ("06-JAN-24", "2024-01-06 00:00:00"),
        ("13/01/2024 10:11:12", "2024-01-13 10:11:12"), ("1/13/2024 1:02:03 PM", "2024-01-13 13:02:03"),
        ("1704470605", "2024-01-06 00:03:25"), ("1704470605123", "2024-01-06 00:03:25"),
        ("2024年01月06日00:03:25", "2024-01-06 00:03:25"), ("2024年1月6日 9时3分", "2024-01-06 09:03:00"),
        ("20240106 000325", "2024-01-06 00:03:25"), ("20240106.0", "2024-01-06 00:00:00"),
        ("2024.1.6 0:03:25", "2024-01-06 00:03:25"), ("2024-01-06-00.03.25.000000", "2024-01-06 00:03:25"),
        ("05/01/2024 10:11:12", "ambiguous_time"), ("1970-01-01 00:00:00", "bad_time"),
        ("infinity", "bad_time"),
        ("2024/1/6 9:03:25 xyz", "bad_time"), ("2024-02-30 00:00:00", "bad_time"), ("0:03:25", "bad_time"),
        ("2024-01-06 00:03:25 BC", "bad_time"), ("NULL", "bad_time"), ("2300-01-01", "bad_time"),
    ],
)  # fmt: skip
def test_times(tmp_path, written, meant):
    read = Read(tmp_path, HEADER + line("320300108874994318", written))
    assert [str(row[4]) for row in read.rows] + [reason for _, reason in read.refused] == [meant]


@pytest.mark.parametrize("word", ["NULL", "null", "(null)", "NaN", "None", "N/A", "#N/A", "-"])
def test_words_for_no_value_are_no_values(tmp_path, word):
    read = Read(tmp_path, HEADER + line("320300108874994318", plate=word, kind=word, brand=word) + line(word))
    assert [row[5:8] for row in read.rows] == [("-", "-", "-")]
    assert read.refused == [(3, "empty_id")]


def test_blanks_of_every_kind_go(tmp_path):
    read = Read(tmp_path, HEADER + line("\ufeff123456789", brand="\u00a0大众\u200b", plate="\u3000苏Ｃ1"))
    assert (read.rows[0][0], read.rows[0][6:8]) == ("123456789", ("苏C1", "大众"))


@pytest.mark.parametrize("lacking", ["XZQHMC", "FXLX", "HPZL", "CLPPXH"])
def test_a_file_without_an_optional_column_is_traffic_still(tmp_path, lacking):
    at = NAMES.index(lacking)
    data = "".join(
        ",".join(x for i, x in enumerate(row.strip().split(",")) if i != at) + "\n" for row in (HEADER, A)
    )
    read = Read(tmp_path, data)
    assert [row[at] for row in read.rows] == ["-" if lacking in ("HPZL", "CLPPXH") else ""]
    assert read.part.missing == (lacking,)


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-16", "utf-32", "gb18030", "utf-8-sig"])
def test_encodings_with_and_without_a_mark(tmp_path, encoding):
    read = Read(tmp_path, (HEADER + line("320300100000000001", brand="㐀大众")).encode(encoding))
    assert [row[7] for row in read.rows] == ["㐀大众"]


def test_a_few_broken_bytes_refuse_their_row_in_a_short_utf8_file(tmp_path):
    data = (HEADER + A).encode() + B.encode().replace("苏".encode(), b"\xed\xa0\x80") + C.encode()
    read = Read(tmp_path, data)
    assert (read.places, read.refused) == ([("1", 2), ("3", 4)], [(3, "encoding")])


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"\xef\xbb\xbf", "file_empty"), (b"\n\n \n", "file_empty"),
        (b"<html><table><tr><td>GCXH</td></tr></table></html>", "file_unreadable"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\x07" * 3000, "file_unreadable"),
        (b"Rar!\x1a\x07", "file_unreadable"), (b"\x1f\x8b broken", "file_unreadable"),
        (bytes(range(256)) * 40, "file_unknown_header"),
        ((",".join(f for f in NAMES if f != "GCXH") + "\n").encode(), "file_unknown_header"),
    ],
)  # fmt: skip
def test_what_is_no_table_is_set_aside(tmp_path, data, problem):
    read = Read(tmp_path, data)
    assert (read.part.problem, read.part.rows, read.refused) == (problem, 0, [(None, problem)])


def test_a_packed_table_is_unpacked(tmp_path):
    assert Read(tmp_path, gzip.compress((HEADER + A).encode("gb18030")), "a.csv.gz").places == [("1", 2)]


def test_sheets_that_are_no_tables_leave_the_others_alone(tmp_path):
    def fill(book):
        book.active.append(["行标签", "计数"])
        for gcxh, names in (("2", NAMES), ("3", NAMES[::-1])):
            sheet = book.create_sheet()
            sheet.append(["过车记录"])
            sheet.append(names)
            sheet.append(cells(gcxh)[:: 1 if names == NAMES else -1])
            sheet.sheet_state = "hidden"
        book.create_sheet("empty")

    read = Read(tmp_path, workbook(fill), "a.xlsx")
    assert (read.places, read.refused) == ([("2", 3), ("3", 3)], [(1, "sheet_unknown_header")])


def test_cells_of_every_type_and_places_below_empty_rows(tmp_path):
    def fill(book):
        sheet = book.active
        for row, values in (
            (5, NAMES),
            (6, cells("1", date(2024, 1, 6))),
            (8, cells(2, 45297.5)),
            (9, cells("3.2")),
        ):
            for column, value in enumerate(values):
                sheet.cell(row, 3 + column, value)

    read = Read(tmp_path, workbook(fill), "a.xlsx")
    assert [str(row[4]) for row in read.rows] == ["2024-01-06 00:00:00", "2024-01-06 12:00:00"]
    assert (read.places, read.refused) == ([("1", 6), ("2", 8)], [(9, "id_damaged")])


def test_dates_since_1904(tmp_path):
    def fill(book):
        book.epoch = openpyxl.utils.datetime.CALENDAR_MAC_1904
        book.active.append(NAMES)
        book.active.append(cells("1"))

    assert str(Read(tmp_path, workbook(fill), "a.xlsx").rows[0][4]) == "2024-01-06 00:03:25"


@pytest.mark.parametrize(
    "header",
    [
        "GCXH,gate,district,type,GCSJ,dir,HPHM,brand",
        "流水,地点,区县,类别,何时,去向,车辆,厂家",
        "a,b,c,d,e,f,g,h",
    ],
)
def test_names_that_nobody_knows_are_not_taken_for_an_order(tmp_path, header):
    read = Read(tmp_path, header + "\n" + A + B)
    assert (read.part.problem, read.part.rows) == ("file_unknown_header", 0)
