"""The wire form: what is read, what is rejected, and in which order of precedence."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from poison import GOOD, POISON

from kakou.errors import Reject
from kakou.passage import REJECT_REASONS, Passage, format_passage, parse_passage

ONE = Passage(
    "320300108874994318", "睢宁县", "S325_Xiangxi_K63", "2", datetime(2023, 12, 12, 10, 21, 41),
    "51", "苏C05123", "宇通牌", "江苏", 0, 1, "大型新能源汽车",
)  # fmt: skip


def test_wire_form_is_the_fields_by_tab() -> None:
    assert format_passage(ONE).decode() == (
        "320300108874994318\t睢宁县\tS325_Xiangxi_K63\t2\t2023-12-12 10:21:41\t51\t苏C05123\t宇通牌\t"
        "江苏\t0\t1\t大型新能源汽车"
    )
    assert parse_passage(format_passage(ONE)) == ONE


_KEY = st.text(st.characters(exclude_characters="\t\x00 ", exclude_categories=["Cs"]), min_size=1, max_size=8)

_VALUE = st.text(st.characters(exclude_characters="\t\x00", exclude_categories=["Cs"]))


@given(
    gcxh=_KEY, kkmc=_KEY, hphm=_KEY, brand=_VALUE,
    gcsj=st.datetimes(datetime(1000, 1, 1), datetime(2999, 12, 31)),
)  # fmt: skip
def test_what_is_written_is_read_back(gcxh: str, kkmc: str, hphm: str, brand: str, gcsj: datetime) -> None:
    one = replace(ONE, gcxh=gcxh, kkmc=kkmc, hphm=hphm, clppxh=brand[:100], gcsj=gcsj.replace(microsecond=0))
    assert parse_passage(format_passage(one)) == one


@pytest.mark.parametrize(("name", "raw", "reason"), [(name, *rest) for name, *rest in POISON])
def test_poison(name: str, raw: bytes, reason: str) -> None:
    assert parse_passage(raw) == Reject(reason, raw)


@pytest.mark.parametrize("raw", GOOD)
def test_good(raw: bytes) -> None:
    assert isinstance(parse_passage(raw), Passage)


def test_the_corpus_holds_every_reason() -> None:
    assert {reason for _, _, reason in POISON} == set(REJECT_REASONS)


@given(st.binary(max_size=200))
def test_no_bytes_raise(raw: bytes) -> None:
    assert isinstance(parse_passage(raw), Passage | Reject)
