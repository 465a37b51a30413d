"""Refused records as lines: no byte is lost on the way to a person and back; what may come back is judged."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from poison import GOOD, POISON, line

from kakou.errors import BadInputError
from spark_jobs.rejected.discard import parse_place
from spark_jobs.rejected.fates import REASONS, demand_reason
from spark_jobs.rejected.lines import parse_mended, to_line
from spark_jobs.rejected.replay import judge


@given(st.none() | st.binary() | st.text().map(str.encode))
def test_every_byte_survives(value: bytes | None) -> None:
    text = to_line((3, 17), "nul", "2024-01-15 08:00:00", value)
    assert "\n" not in text
    assert parse_mended([text + "\n", "\n"]) == {(3, 17): value}


@pytest.mark.parametrize(
    "text",
    [
        "words",
        "[]",
        '{"partition": 0, "text": "a"}',
        '{"partition": 0, "offset": 1}',
        '{"partition": 0, "offset": 1, "text": 5}',
        '{"partition": 0, "offset": 1, "text": "\\ud800"}',
        '{"partition": 0, "offset": 1, "base64": "*"}',
        '{"partition": 0, "offset": 1, "text": "a", "base64": "YQ=="}',
    ],
)
def test_a_line_that_cannot_be_used_is_named(text: str) -> None:
    good = to_line((0, 0), "nul", "", b"a")
    with pytest.raises(BadInputError, match="Line 2 of the mended records"):
        parse_mended([good, text])


def test_a_place_that_comes_twice_is_named() -> None:
    with pytest.raises(BadInputError, match="names 0/0 again"):
        parse_mended([to_line((0, 0), "nul", "", b"a")] * 2)


def test_what_is_understood_comes_back_and_the_rest_says_why() -> None:
    for _, raw, reason in POISON:
        assert judge(reason, raw, raw) == reason
        assert judge(reason, raw, line()) == (line(), "苏C12345")
    for raw in GOOD:
        assert judge("bad_time", raw, raw) == (raw, raw.split(b"\t")[6].decode())
    assert judge("column_count", None, None) == "column_count"
    assert judge("bad_time", line(f4="x"), line(f9="7")) == "bad_flag"


def test_a_contradiction_comes_back_only_mended() -> None:
    assert judge("id_conflict", line(), line()) == "id_conflict"
    assert judge("id_conflict", line(), line(f0="other")) == (line(f0="other"), "苏C12345")


@pytest.mark.parametrize("text", ["", "0", "0/", "/1", "a/1", "0/-1", "0/1/2", "0 / 1", "²/1"])
def test_what_is_no_place_is_said(text: str) -> None:
    with pytest.raises(BadInputError, match="is no place"):
        parse_place(text)


def test_a_reason_that_there_is_not_looks_like_no_empty_answer() -> None:
    for reason in (None, *REASONS):
        demand_reason(reason)
    with pytest.raises(BadInputError, match=r"'bad-time'. Reasons are: .*bad_time.*id_conflict"):
        demand_reason("bad-time")
