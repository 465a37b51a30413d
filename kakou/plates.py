"""Plate grammar: which written plates name one vehicle, and which cannot.

A truncated or masked plate stands for many vehicles. Two passes under it prove nothing, so every rule that
decides about a vehicle asks ``kind_of`` first and withholds its verdict unless the plate is whole.

Source: GA 36-2018 (letters I and O are not used; a new-energy plate has eight characters).
"""

from __future__ import annotations

import re
from typing import Final, Literal

from kakou.fields import PROVINCES

PlateKind = Literal["whole", "masked", "malformed", "none"]

_PROVINCE = "[" + "".join(PROVINCES) + "]"
_LETTER = "[A-HJ-NP-Z]"
_SERIAL = "[A-HJ-NP-Z0-9]"
# One pattern for Python, Java and SQL engines (no lookaround, no classes such as \d).
WHOLE_PLATE_PATTERN: Final = (
    f"^({_PROVINCE}{_LETTER}"
    f"({_SERIAL}{{5}}|{_SERIAL}{{4}}[挂学警港澳领试超]"  # ordinary; trailer, coach, police and the like
    f"|[A-HJK]{_SERIAL}[0-9]{{4}}|[0-9]{{5}}[A-HJK])"  # new energy: small, large
    f"|{_PROVINCE}[SX][0-9]{{4}}应急|使[0-9]{{6}})$"  # fire and rescue; embassy
)
_WHOLE = re.compile(WHOLE_PLATE_PATTERN)
MASKS: Final = ("*", "?", "＊", "？")
NO_PLATE_WORDS: Final[frozenset[str]] = frozenset(
    {"", "-", "无牌", "未识别", "无", "未知", "车牌", "NULL", "null"}
)


def kind_of(plate: str) -> PlateKind:
    """Says what a written plate can stand for.

    Returns:
        ``whole`` one vehicle; ``masked`` some characters are hidden; ``none`` no plate was read;
        ``malformed`` anything else.

    >>> kind_of("苏C12345"), kind_of("苏CD12345"), kind_of("苏C12***"), kind_of("-"), kind_of("6***")
    ('whole', 'whole', 'masked', 'none', 'malformed')
    """
    if plate in NO_PLATE_WORDS:
        return "none"
    if any(mark in plate for mark in MASKS):
        # "苏C12***" hides characters of a real plate; "6***" was never one.
        return "masked" if plate[0] in PROVINCES and len(plate) >= 3 else "malformed"
    return "whole" if _WHOLE.match(plate) else "malformed"


def is_decidable(plate: str) -> bool:
    """True if the plate names one vehicle, so that a contradiction under it means something."""
    return kind_of(plate) == "whole"


def province_of(plate: str) -> str:
    """Province in words from the first character, ``未知`` where that is none.

    >>> province_of("苏C12345"), province_of("6***")
    ('江苏', '未知')
    """
    return PROVINCES.get(plate[:1], "未知")
