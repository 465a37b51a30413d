"""``kkmc_statistics.txt`` counts each pass, tells spellings, days and gaps; its columns stand straight."""

import re
from datetime import date, timedelta

import duckdb
import pytest

from etl.registry import resolve
from etl.steps.profile import ranges, spelling_stats, statistics_text

KNOWN = "徐州市睢宁县S325淮宿线K63(325省道)63K+100M东侧-向西卡口市际卡口"
ALSO = "江苏省" + KNOWN
FIRST = date(2024, 1, 1)


def stats_of(rows):
    with duckdb.connect() as con:
        con.execute("CREATE TABLE passes (KKMC VARCHAR, XZQHMC VARCHAR, GCSJ TIMESTAMP)")
        con.executemany("INSERT INTO passes VALUES (?, ?, ?)", rows)
        return spelling_stats(con.table("passes"))


def text_of(rows):
    stats = stats_of(rows)
    return statistics_text(stats, resolve((one.spelling, one.district) for one in stats))


def cells(text):
    return sum(2 if ord(sign) > 0x2E80 else 1 for sign in text)


@pytest.fixture(scope="module")
def text():
    rows = [(KNOWN, "睢宁县", f"2024-01-0{day} 08:00:00") for day in (1, 2, 2, 5)]
    rows += [(ALSO, "睢宁县", "2024-01-03 09:00:00"), ("某卡口K9", "丰县", "2024-01-01 00:30:00")]
    return text_of(rows)


def test_gates_spellings_days_and_gaps_are_told(text):
    head, gates, spellings = (*text.split("\n\n")[:2], text.split("各卡口的写法")[1])
    assert "passes 过车 6 · gates 卡口 2 · spellings 写法 3 · days with passes 有数据日 4" in head
    assert "缺失日: 2024-01-04" in head
    (line,) = [line for line in gates.splitlines() if line.startswith("S325_Suining_K63")]
    assert line.split() == [
        "S325_Suining_K63", "5", "83.33%", "2024-01-01", "2024-01-05", "4", "0-7,", "10-23", "-",
    ]  # fmt: skip
    (line,) = [line for line in gates.splitlines() if line.startswith("Gate_Fengxian")]
    assert line.split()[3:6] == ["2024-01-01", "2024-01-01", "1"]
    assert line.split()[6:] == ["1-23", "2024-01-02..2024-01-03,", "2024-01-05"]
    assert [line.split()[1:5] for line in spellings.splitlines() if line.endswith(ALSO)] == [
        ["1", "2024-01-03", "2024-01-03", "1"]
    ]


def test_what_a_person_must_decide_stands_at_the_end(text):
    decide = text.split("To decide:")[1]
    assert "unknown gate 某卡口K9: proposed codename" in decide
    assert "S325_Suining_K63 has 2 spellings" in decide
    alone = text_of([(KNOWN, "睢宁县", "2024-01-01 08:00:00")])
    assert alone.split("To decide:")[1].splitlines()[1:] == ["- nothing · 无"]


@pytest.mark.parametrize("gates", [1, 20, 300])
def test_columns_stand_straight_for_any_number_of_gates(gates):
    rows = [
        (
            f"徐州市某{'区' * (n % 5)}县路K{n}卡口",
            "高速五大队" if n % 2 else "丰县",
            f"2024-01-{1 + n % 28:02d} 10:00:00",
        )
        for n in range(gates)
        for _ in range(1 + n % 7)
    ]
    blocks = text_of(rows).split("\n\n")
    # Where words of text columns begin: first and last day; in the second table district and spelling.
    for block, columns in ((blocks[1], (3, 4)), (blocks[3], (2, 3, 5, 6))):
        lines = block.splitlines()
        assert len(lines) == gates + 1
        words = [[cells(line[: word.start()]) for word in re.finditer(r"\S+", line)] for line in lines[1:]]
        assert len({tuple(begins[n] for n in columns) for begins in words}) == 1
    assert "To decide:" in blocks[-1]


def test_no_pass_gives_a_text_too():
    assert "passes 过车 0 · gates 卡口 0" in statistics_text([], {})


def test_ranges_join_neighbours_in_any_order():
    days = [FIRST + timedelta(n) for n in (5, 0, 1, 2, 9)]
    assert ranges(days) == "2024-01-01..2024-01-03, 2024-01-06, 2024-01-10"
    assert ranges([]) == "-"
