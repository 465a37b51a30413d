"""Plates by example, from GA 36-2018 and from the road; no expectation here is taken from the patterns."""

import duckdb
import pytest

from etl.steps.undecidable import REASONS, UNDECIDABLE_COLUMNS, census, class_counts, kind_counts, undecidable
from kakou.plates import PLATE_CLASSES, class_of, is_decidable

OF_CLASS = {
    "ordinary": ["苏C12345", "苏CA1234", "京AAB123", "鲁Q1234Z", "粤Z12345"],
    "new_energy_small": ["苏CD12345", "苏CF12345", "苏CDA1234", "京AA12345", "沪BK12345"],
    "new_energy_large": ["苏C12345D", "苏C12345F", "京A00001G"],
    "trailer": ["苏C1234挂"],
    "coach": ["苏C1234学"],
    "police": ["苏C1234警", "苏CA123警"],
    "hong_kong_macau": ["粤Z1234港", "粤ZA12B澳"],
    "consulate": ["沪A0023领"],
    "embassy": ["使014578", "224001使"],
    "emergency": ["苏X1234应急", "川S0001应急"],
    "test": ["苏C1234试"],
    "oversize": ["苏C1234超"],
    "temporary": ["苏C1234临", "苏C12345临"],
    "armed_police": ["WJ苏1234X", "WJ苏12345", "WJ1234J"],
    "military": ["VR12345", "KL00001"],
    "farm": ["苏0312345"],
    "masked": ["苏C12***", "苏C*", "苏***", "苏C123??", "使014***", "WJ苏1***"],
    # The spoiled reads of the real export: "J678" was left of a plate, and its mask was written behind that.
    "truncated": [
        "6***", "J678***", "WV01***", "C12345", "CD12345", "WJ12345", "苏C1234", "苏", "*C12345", "1234挂",
    ],
    "impossible": [
        "4皖LG***", "5津82***", "苏CI2345", "苏CO2345", "苏C123456", "苏CL12345", "苏CDA123B", "苏C12345L",
        "苏C1234港", "台C12345", "苏苏C1234", "苏C1234567", "苏c12345", "ABCDEFGH",
    ],
    "none": ["", "-", "-***", "***", "无牌", "未识别", "NULL"],
}  # fmt: skip


@pytest.mark.parametrize(("plate", "name"), [(plate, name) for name in OF_CLASS for plate in OF_CLASS[name]])
def test_class_of(plate, name):
    assert class_of(plate) == name
    assert is_decidable(plate) == (name not in ("masked", "truncated", "impossible", "none"))


def test_every_class_has_its_example():
    assert set(OF_CLASS) == set(PLATE_CLASSES)


@pytest.fixture
def passes():
    """Each example as often as its place among all of them says."""
    con = duckdb.connect()
    con.execute("CREATE TABLE passes (HPHM VARCHAR, GCXH VARCHAR)")
    plates = [plate for group in OF_CLASS.values() for plate in group]
    for n, plate in enumerate(plates, start=1):
        con.execute("INSERT INTO passes SELECT ?, 'x' FROM range(?)", [plate, n])
    return con.table("passes")


def test_undecidable_plates_are_listed_with_their_reason_most_frequent_first(passes):
    listed = undecidable(census(passes))
    rows = listed.fetchall()
    assert tuple(listed.columns) == UNDECIDABLE_COLUMNS
    wanted = {plate for name in ("masked", "truncated", "impossible", "none") for plate in OF_CLASS[name]}
    assert {row[0] for row in rows} == wanted and len(rows) == len(wanted)
    assert all(row[1] == class_of(row[0]) and row[2] and row[3] for row in rows)
    assert [row[4] for row in rows] == sorted((row[4] for row in rows), reverse=True)


def test_equal_counts_are_sorted_by_plate():
    con = duckdb.connect()
    rows = undecidable(census(con.sql("SELECT unnest(['B1', '6***', 'A1', '6***']) AS HPHM"))).fetchall()
    assert [row[0] for row in rows] == ["6***", "A1", "B1"]


def test_the_reason_says_what_is_wrong(passes):
    english = {plate: en for plate, _, _, en, _ in undecidable(census(passes)).fetchall()}
    for plate, words in {
        "6***": "province", "C12345": "province", "苏C1234": "too short", "苏C12***": "hidden",
        "CD12345": "forces", "WJ12345": "forces", "苏CI2345": "I or O", "苏CL12345": "new-energy",
        "台C12345": "no plate has", "苏c12345": "no plate has", "苏C1234567": "too many",
        "苏C1234港": "stand where", "4皖LG***": "stand where", "-***": "no plate was read",
    }.items():  # fmt: skip
        assert words in english[plate], plate
    assert {reason.en for reason in REASONS} == set(english.values())


def test_counts_cover_every_pass(passes):
    counts = class_counts(census(passes))
    assert list(counts) == list(PLATE_CLASSES)
    total = passes.count("*").fetchall()[0][0]
    assert sum(counts.values()) == total == sum(kind_counts(counts).values())
    first = len(OF_CLASS["ordinary"])
    assert counts["ordinary"] == first * (first + 1) // 2


def test_no_pass_counts_nothing():
    empty = duckdb.connect().sql("SELECT '' AS HPHM WHERE false")
    assert set(class_counts(census(empty)).values()) == {0}
    assert undecidable(census(empty)).fetchall() == []
