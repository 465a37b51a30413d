"""Plate search: what a person types, and what LIKE is given."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from serving.plate_pattern import clean_plate, has_wildcard, like_pattern


def like_matches(pattern: str, text: str) -> bool:
    """MySQL's LIKE with its default escape character, written from its manual."""
    out, signs = "", iter(pattern)
    for sign in signs:
        if sign == "\\":
            out += re.escape(next(signs, "\\"))
        else:
            out += {"%": ".*", "_": "."}.get(sign, re.escape(sign))
    return re.fullmatch(out, text, re.DOTALL) is not None


def glob_matches(plate: str, text: str) -> bool:
    """What the person means."""
    return (
        re.fullmatch("".join({"*": ".*", "?": "."}.get(s, re.escape(s)) for s in plate), text, re.DOTALL)
        is not None
    )


signs = st.text(alphabet="苏C12*?%_\\", max_size=8)


@given(plate=signs, text=signs)
def test_like_finds_what_the_wildcards_mean_and_nothing_else(plate: str, text: str) -> None:
    assert like_matches(like_pattern(plate), text) == glob_matches(plate, text)


@given(text=st.text(alphabet="苏C12%_\\", min_size=1, max_size=8))
def test_signs_that_like_would_read_as_wildcards_stand_for_themselves(text: str) -> None:
    assert like_matches(like_pattern(text), text)
    assert not has_wildcard(text)


def test_the_wildcards_of_a_chinese_keyboard_are_understood() -> None:
    assert clean_plate(" 苏c１？＊".replace("１", "1")) == "苏C1?*"
    assert has_wildcard(clean_plate("苏C＊"))
