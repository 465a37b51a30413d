"""The report adds up, names what was planted, and its page and picture are the same bytes each time."""

import re
from datetime import date, datetime, timedelta
from html.parser import HTMLParser
from itertools import pairwise
from xml.etree import ElementTree

import duckdb
import numpy as np
import pytest

from etl.counts import merge_counts, read_counts
from etl.heat_maps import Traffic, heat_maps
from etl.io.parts import Part
from etl.io.plan import Plan
from etl.report import Seen, build_report, facts, missing_days, seen_passes, traffic_of
from etl.report_html import report_html

GATES = tuple(f"G{n}_Place_K{n}" for n in range(6))
FIRST = date(2024, 1, 1)
IMPUTED = {"HPZL": {"share": 0.02, "accuracy": 0.98, "coverage": None, "baseline": 0.7}}
RESTAMPED = [{"file": "202401/09.csv", "day": "2024-01-09", "of_day": "2024-01-02", "share": 0.9}]


def passes():
    """Six gates, ten days of which 01-05 is missing, 01-09 copied, 01-08 ends at nine; gate 2 is silent on
    01-03 from 8 to 14; one replicated row."""
    rng = np.random.default_rng(1)
    rows = []
    for day in (n for n in range(11) if n != 4):
        for gate in GATES:
            for hour in range(9 if day == 7 else 24):
                silent = day == 2 and gate == GATES[2] and 8 <= hour < 14
                at = datetime(2024, 1, 1) + timedelta(days=day, hours=hour)
                origin = "copied" if day == 8 else "observed"
                rows += [(gate, at, origin, "苏C12345")] * (0 if silent else int(rng.poisson(6)))
    rows[:3] = [(*row[:3], plate) for row, plate in zip(rows[:3], ("苏C1***", "-", "苏CD12345"), strict=True)]
    rows.append((GATES[0], datetime(2024, 1, 11, 5), "replicated", "苏C12345"))
    return rows


@pytest.fixture(scope="module")
def rows():
    return passes()


@pytest.fixture(scope="module")
def seen(rows):
    with duckdb.connect() as con:
        con.execute("CREATE TABLE expanded (KKMC VARCHAR, GCSJ TIMESTAMP, ORIGIN VARCHAR, HPHM VARCHAR)")
        con.executemany("INSERT INTO expanded VALUES (?, ?, ?, ?)", rows)
        return seen_passes(con, "expanded")


@pytest.fixture(scope="module")
def report(seen, rows):
    parts = [
        Part("202401/a.csv", "s1", "utf-8", len(rows), {"bad_time": 3}),
        Part("202401/b.csv", "s1", "utf-8", 40),
        Part("202401/c.xlsx", "s3", problem="file_unreadable"),
    ]
    copies = {"202401/b.csv": "202401/a.csv"}
    plan = Plan(
        (), copies, tuple(RESTAMPED), duplicates=38, conflicts=2, outside=0, left_out="", partial=False
    )
    merged = merge_counts(read_counts(parts, copies), plan, len(rows))
    return build_report(merged, IMPUTED, facts(seen, RESTAMPED), proposed_gates=1)


def test_contract_keys_come_first_and_others_last(report):
    keys = list(report)
    assert keys[:9] == [
        "rows_read", "rows_kept", "rows_duplicate", "rejected", "files", "days", "observed_share", "imputed",
        "plates",
    ]  # fmt: skip
    assert set(keys[9:]) == {
        "missing_days", "silent_gates", "origin", "plate_classes", "gates", "restamped", "proposed_gates",
        "rows_outside_range", "rows_of_earlier_runs",
    }  # fmt: skip
    assert all(list(day)[:3] == ["day", "rows", "partial"] for day in report["days"])
    assert all(list(file)[:4] == ["name", "rows", "encoding", "copy_of"] for file in report["files"])


def test_counts_add_up(report, rows):
    assert report["rows_read"] == report["rows_kept"] + report["rows_duplicate"] + 3 + 2
    assert report["rejected"] == {"bad_time": 3, "file_unreadable": 1, "id_conflict": 2}
    assert sum(day["rows"] for day in report["days"]) == len(rows) == sum(report["plate_classes"].values())
    assert report["plates"] == {"whole": len(rows) - 2, "masked": 1, "malformed": 1}
    copied = sum(row[2] == "copied" for row in rows)
    assert report["origin"] == pytest.approx(
        {
            "observed": (len(rows) - copied - 1) / len(rows),
            "copied": copied / len(rows),
            "replicated": 1 / len(rows),
        },
        abs=1e-6,
    )
    assert report["observed_share"] == report["origin"]["observed"]
    assert [(file["copy_of"], file["problem"]) for file in report["files"]] == [
        (None, None), ("202401/a.csv", None), (None, "file_unreadable"),
    ]  # fmt: skip


def test_days_say_what_is_wrong_with_them(report):
    days = {day["day"]: day for day in report["days"]}
    assert report["missing_days"] == ["2024-01-05"]
    assert [day for day in days if days[day]["partial"]] == ["2024-01-08"]
    assert days["2024-01-08"]["hours_missing"] == list(range(9, 24))
    assert [day for day in days if days[day]["copied_from"]] == ["2024-01-09"]
    assert days["2024-01-09"]["copied_from"] == "2024-01-02"
    assert days["2024-01-09"]["rows_copied"] == days["2024-01-09"]["rows"]


def test_the_silent_gate_is_named(report):
    (one,) = report["silent_gates"]
    assert (one["kkmc"], one["from"], one["to"], one["hours"]) == (
        GATES[2], "2024-01-03 08:00:00", "2024-01-03 14:00:00", 6,
    )  # fmt: skip
    assert 25 < one["expected"] < 50


def test_where_no_other_day_is_there_to_compare_with_the_empty_hours_tell():
    passes = np.zeros((1, 2, 24), dtype=np.int64)
    passes[0, 0, 10:12], passes[0, 1, 2:] = 500, 60
    by_origin = np.c_[passes.sum(axis=(0, 2)), np.zeros((2, 2), dtype=np.int64)]
    days = facts(Seen(GATES[:1], (FIRST, FIRST + timedelta(1)), passes, passes, by_origin, {}))["days"]
    assert [day["partial"] for day in days] == [True, False]
    assert days[0]["hours_missing"] == [*range(10), *range(12, 24)] and days[1]["hours_missing"] == []


def test_missing_days_lie_between_the_first_and_the_last():
    assert missing_days([date(2024, 2, 28), date(2024, 3, 2)]) == [date(2024, 2, 29), date(2024, 3, 1)]
    assert missing_days([date(2024, 2, 28)]) == [] == missing_days([])


def test_no_passes_at_all_is_a_report_too():
    with duckdb.connect() as con:
        con.execute("CREATE TABLE expanded (KKMC VARCHAR, GCSJ TIMESTAMP, ORIGIN VARCHAR, HPHM VARCHAR)")
        seen = seen_passes(con, "expanded")
    plan = Plan((), {}, (), duplicates=0, conflicts=0, outside=0, left_out="", partial=False)
    report = build_report(merge_counts(read_counts([], {}), plan, 0), {}, facts(seen))
    assert report["days"] == [] and report["observed_share"] == 0
    picture = heat_maps(traffic_of(seen, report))
    assert "无过车记录" in report_html(report, picture)


class Page(HTMLParser):
    """Text of a page, and the tags that were opened and never closed."""

    VOID = frozenset({"meta", "br", "link", "img"})

    def __init__(self, html):
        super().__init__()
        self.open, self.text, self.links, self.ids = [], [], [], set()
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.ids |= {value for name, value in attrs if name == "id"}
        self.links += [value for name, value in attrs if name in ("href", "src")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.ids |= {value for name, value in attrs if name == "id"}

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def test_the_page_tells_everything_and_needs_nothing(report, seen):
    proposals = [{"KKMC": "Gate_X", "NAME": "某<卡口>", "XZQHMC": "丰县", "looks_like": None}]
    picture = heat_maps(traffic_of(seen, report))
    html = report_html(report, picture, proposals)
    page = Page(html)
    assert page.open == []
    assert page.links and all(link.startswith("#") and link[1:] in page.ids for link in page.links)
    assert "<script" not in html and not re.search(r"url\((?!#)", html)
    text = " ".join(" ".join(page.text).split())
    for told in (
        "某<卡口>", "bad_time", "过车时间无法识别", "the pass time cannot be read", "file_unreadable",
        "rejected/202401_a.csv-", "2024-01-05", "09:00-24:00", "2024-01-03 08:00", GATES[2], "98.0 %",
        "新能源", "← 2024-01-02", "5 行被拒绝", "rejected/repeated_ids.jsonl",
    ):  # fmt: skip
        assert told in text, told
    assert html == report_html(report, picture, proposals)


def test_a_curve_of_the_model_is_shown_when_there_is_one(report, seen):
    picture = heat_maps(traffic_of(seen, report))
    curve = [
        {"confidence": c, "accuracy": a, "coverage": 0.99}
        for c, a in ((0.75, 0.91), (0.85, 0.91), (0.9, None))
    ]
    html = report_html({**report, "imputed": {"HPZL": {**IMPUTED["HPZL"], "curve": curve}}}, picture)
    told = [share for share in ("75.0 %", "85.0 %", "90.0 %", "91.0 %") if f">{share}<" in html]
    assert told == ["85.0 %", "90.0 %", "91.0 %"]
    assert "least confidence" not in report_html(report, picture)


def shapes(svg):
    return ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}rect")


def test_the_picture_marks_days_and_gates_by_pattern(report, seen):
    svg = heat_maps(traffic_of(seen, report))
    fills = [shape.get("fill") or shape.get("style", "") for shape in shapes(svg)]
    # One of each stands in the legend; missing and copied days have a strip and a column.
    marks = ("missing", "partial", "copied", "silent")
    assert [sum(f"url(#kk-{mark})" in fill for fill in fills) for mark in marks] == [3, 2, 3, 2]
    assert svg == heat_maps(traffic_of(seen, report))


@pytest.mark.parametrize("gates", [1, 20, 300, 1000])
@pytest.mark.parametrize("days", [1, 10, 800])
def test_the_picture_stays_readable_at_any_size(gates, days):
    rng = np.random.default_rng(1)
    names = tuple(f"G{n}_Place_K{n}" for n in range(gates))
    every = tuple(FIRST + timedelta(n) for n in range(days))
    daily = rng.poisson(np.where(np.arange(days) % 9, 50, 20), (gates, days)).astype(np.int64)
    svg = heat_maps(Traffic(names, every, daily, rng.poisson(30, (gates, 24)).astype(np.int64)))
    root = ElementTree.fromstring(svg)
    width, height = (float(n) for n in root.get("viewBox").split()[2:])
    assert width == 1120 and height < 6500
    texts = [one for one in root.iter("{http://www.w3.org/2000/svg}text") if one.text in names]
    places = sorted(float(one.get("y")) for one in texts[: len(texts) // 2])
    assert len(places) >= min(gates, 20) and all(b - a >= 8.9 for a, b in pairwise(places))
    assert all(
        float(one.get("x", 0)) + float(one.get("width")) <= width + 0.01
        for one in shapes(svg)
        if one.get("width")
    )


def test_one_wrong_clock_does_not_squeeze_the_picture():
    every = (date(2001, 1, 1), *(FIRST + timedelta(n) for n in range(9)))
    counts = np.full((2, 10), 5, dtype=np.int64)
    svg = heat_maps(Traffic(("a", "b"), every, counts, np.full((2, 24), 5, dtype=np.int64)))
    assert "scale(30 18)" in svg
