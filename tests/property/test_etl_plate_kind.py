"""Every engine sees plates as ``kakou.plates`` does."""

import re

import duckdb
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from etl.steps.plate_kind import completes as sql_completes
from etl.steps.plate_kind import plate_class, plate_kind
from kakou.fields import PROVINCES
from kakou.plates import FORMS, MASKS, WHOLE_CLASSES, WHOLE_PLATE_PATTERN, class_of, completes, kind_of

CON = duckdb.connect()
ALPHABET = "".join(PROVINCES) + "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789挂学警港澳领试超临应急使"


def cell(pattern):
    return st.sampled_from([sign for sign in ALPHABET if re.fullmatch(pattern, sign)])


WHOLE = st.sampled_from(FORMS).flatmap(
    lambda form: st.tuples(st.just(form[0]), st.tuples(*map(cell, form[1])).map("".join))
)


@st.composite
def nearly_whole(draw):
    """A real plate, cut, masked, or with one sign changed, doubled or added."""
    text = draw(WHOLE)[1]
    start, end = draw(st.integers(0, len(text))), draw(st.integers(0, len(text)))
    mask = draw(st.sampled_from(["", "", "*", "***", "?", "＊＊"]))
    spoil = draw(st.sampled_from(["", draw(st.sampled_from(ALPHABET)), draw(st.characters(codec="utf-8"))]))
    return draw(
        st.sampled_from(
            [text, text[start:end], text[:start] + mask, text[:start] + spoil + text[end:], mask + text]
        )
    ).replace("\x00", "")


PLATE_LIKE = st.one_of(
    nearly_whole(),
    st.text(max_size=9).filter(lambda text: "\x00" not in text),
    st.text("苏鲁使CDFIWJLX0123456789*?＊挂学警应急临-%_\n", max_size=9),
)


def in_engine(expression, rows):
    """The expression over columns ``a``, ``b`` … of rows, in their order."""
    names = "abcd"[: len(rows[0])]
    marks = ", ".join(f"(?, {', '.join('?' for _ in names)})" for _ in rows)
    answer = CON.execute(
        f"SELECT {expression} FROM (VALUES {marks}) t(n, {', '.join(names)}) ORDER BY n",
        [value for n, row in enumerate(rows) for value in (n, *row)],
    ).fetchall()
    return [one for (one,) in answer]


@settings(max_examples=60, deadline=None)
@given(st.lists(PLATE_LIKE, min_size=1, max_size=60))
def test_kinds_and_classes_agree(plates):
    plates = [*plates, "苏C12345\n", "C1\n", "-\n", "苏C1***\n"]
    rows = [(plate,) for plate in plates]
    assert in_engine(plate_kind("a"), rows) == [kind_of(plate) for plate in plates]
    assert in_engine(plate_class("a"), rows) == [class_of(plate) for plate in plates]
    # Detection asks the same pattern of another engine.
    whole = pl.Series(plates, dtype=pl.String).str.contains(WHOLE_PLATE_PATTERN).to_list()
    assert whole == [kind_of(plate) == "whole" for plate in plates]


@given(PLATE_LIKE)
def test_the_class_refines_the_kind(plate):
    kind = {"truncated": "malformed", "impossible": "malformed", "masked": "masked", "none": "none"}
    assert kind_of(plate) == kind.get(class_of(plate), "whole")


@given(WHOLE)
def test_each_form_is_whole_and_of_its_class_and_no_other(form_and_plate):
    name, plate = form_and_plate
    assert class_of(plate) == name and name in WHOLE_CLASSES


@given(WHOLE, st.integers(0, 8), st.integers(1, 9))
def test_a_piece_of_a_plate_is_never_called_impossible(form_and_plate, start, length):
    plate = form_and_plate[1]
    assert class_of(plate[start : start + length]) != "impossible"


@given(WHOLE, st.integers(1, 7), st.sampled_from(MASKS), st.integers(1, 3))
def test_what_hides_a_plate_is_completed_by_it(form_and_plate, shown, mark, marks):
    plate = form_and_plate[1]
    masked = plate[:shown] + mark * marks
    wanted = kind_of(masked) == "masked" and len(plate) - shown >= marks
    assert completes(masked, plate) == wanted


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(PLATE_LIKE, PLATE_LIKE), min_size=1, max_size=30),
    st.lists(WHOLE, min_size=1, max_size=9),
)
def test_completion_agrees(pairs, wholes):
    fitting = [(plate[:at] + "***", plate) for _, plate in wholes for at in range(1, 6)]
    mixed = [(masked, other) for (masked, _), (_, other) in zip(fitting, reversed(fitting), strict=True)]
    rows = [
        *pairs,
        *fitting,
        *mixed,
        ("苏C1*_5", "苏C12345"),
        ("苏C1*%", "苏C12345"),
        ("苏C?2?45", "苏C12345"),
    ]
    assert in_engine(sql_completes("a", "b"), rows) == [completes(*row) for row in rows]
