"""Plate grammar: which written plates name one vehicle, and what is wrong with those that do not.

A truncated or masked plate stands for many vehicles. Two passes under it prove nothing, so every rule that
decides about a vehicle asks ``kind_of`` first and withholds its verdict unless the plate is whole.

The grammar is one table, ``FORMS``: each form is a row of cells, one character each. All patterns are made
from it, for Python, Java, Rust and SQL engines alike (no lookaround, no classes such as ``\\d``).

Sources: GA 36-2018 (letters I and O are not used; eight characters for new energy, with one letter of A–E for
electric and of F–K for other drives; 粤Z with 港 or 澳); 应急 plates as issued since 2019; the forces' plates
as issued since 2012; NY 345.1 for tractors.
"""

from __future__ import annotations

import re
from typing import Final, Literal, get_args

from kakou.fields import PROVINCES

PlateKind = Literal["whole", "masked", "malformed", "none"]
WholeClass = Literal[
    "ordinary", "new_energy_small", "new_energy_large", "trailer", "coach", "police", "hong_kong_macau",
    "consulate", "embassy", "emergency", "test", "oversize", "temporary", "armed_police", "military", "farm",
]  # fmt: skip
UndecidableClass = Literal["masked", "truncated", "impossible", "none"]
PlateClass = WholeClass | UndecidableClass
Form = tuple[WholeClass, tuple[str, ...]]

_P = "[" + "".join(PROVINCES) + "]"
_L = "[A-HJ-NP-Z]"  # letter of the issuing office
_S = "[A-HJ-NP-Z0-9]"  # serial
_N = "[0-9]"
_GREEN = "[A-HJK]"


def _ends(name: WholeClass, *marks: str) -> tuple[Form, ...]:
    return tuple((name, (_P, _L, *[_S] * 4, mark)) for mark in marks)


FORMS: Final[tuple[Form, ...]] = (
    ("ordinary", (_P, _L, *[_S] * 5)),
    ("new_energy_small", (_P, _L, _GREEN, _S, *[_N] * 4)),
    ("new_energy_large", (_P, _L, *[_N] * 5, _GREEN)),
    *_ends("trailer", "挂"),
    *_ends("coach", "学"),
    *_ends("police", "警"),
    *_ends("consulate", "领"),
    *_ends("test", "试"),
    *_ends("oversize", "超"),
    *_ends("temporary", "临"),
    ("temporary", (_P, _L, *[_S] * 5, "临")),
    ("hong_kong_macau", ("粤", "Z", *[_S] * 4, "[港澳]")),
    ("emergency", (_P, "[SX]", *[_N] * 4, "应", "急")),
    ("embassy", ("使", *[_N] * 6)),
    ("embassy", (*[_N] * 6, "使")),
    ("farm", (_P, *[_N] * 7)),
    ("armed_police", ("W", "J", _P, *[_N] * 4, _S)),
    ("armed_police", ("W", "J", *[_N] * 4, _L)),
    # With a second letter of A–K the same text is left of a new-energy plate that lost its province.
    ("military", (_L, "[LMNP-Z]", *[_N] * 5)),
)
MASKS: Final = ("*", "?", "＊", "？")
NO_PLATE_WORDS: Final[frozenset[str]] = frozenset(
    {"", "-", "--", "无牌", "无号牌", "无车牌", "无牌车", "未悬挂", "未识别", "未检测", "无", "未知", "车牌"}
    | {"号牌", "NULL", "null", "NONE", "N/A"}
)  # fmt: skip


def _sequence(cells: tuple[str, ...]) -> str:
    """The cells one after the other, runs counted so that the pattern stays short."""
    text, at = "", 0
    while at < len(cells):
        end = at
        while end < len(cells) and cells[end] == cells[at]:
            end += 1
        text += cells[at] + (f"{{{end - at}}}" if end - at > 1 else "")
        at = end
    return text


def _prefixes(cells: tuple[str, ...]) -> str:
    """Any beginning of the cells, at least one: ``a(b(c)?)?``."""
    return cells[0] + (f"({_prefixes(cells[1:])})?" if cells[1:] else "")


def pattern_of(name: WholeClass) -> str:
    """The pattern of one class of whole plates."""
    return "^(" + "|".join(_sequence(cells) for one, cells in FORMS if one == name) + ")$"


_MARK = "[" + "".join(MASKS) + "]"
_SUFFIXES = sorted({cells[at:] for _, cells in FORMS for at in range(len(cells))})
_PLACED = sorted({cells for _, cells in FORMS if cells[0] in (_P, "粤", "使") or cells[2] == _P})

WHOLE_CLASSES: Final[tuple[WholeClass, ...]] = get_args(WholeClass)
PLATE_CLASSES: Final[tuple[PlateClass, ...]] = (*WHOLE_CLASSES, *get_args(UndecidableClass))
WHOLE_PLATE_PATTERN: Final = "^(" + "|".join(_sequence(cells) for _, cells in FORMS) + ")$"
# Nothing was read; the export writes its mask behind that too: "-***".
NONE_PATTERN: Final = "^(" + "|".join(sorted(map(re.escape, NO_PLATE_WORDS))) + f"){_MARK}*$"
# The head is the beginning of a plate whose province is known, the rest is hidden.
MASKED_PATTERN: Final = "^(" + "|".join(map(_prefixes, _PLACED)) + f"){_MARK}"
# A piece of a whole plate, alone or beside hidden characters.
TRUNCATED_PATTERN: Final = "^(" + "|".join(map(_prefixes, _SUFFIXES)) + f")?($|{_MARK})"


def _compiled(pattern: str) -> re.Pattern[str]:
    # Python's $ also stands before a last line end; that of Rust and of the SQL engine does not.
    return re.compile(pattern.replace("$", r"\Z"))


_WHOLE_OF: Final = tuple((name, _compiled(pattern_of(name))) for name in WHOLE_CLASSES)
_WHOLE, _NONE, _MASKED, _TRUNCATED = map(
    _compiled, (WHOLE_PLATE_PATTERN, NONE_PATTERN, MASKED_PATTERN, TRUNCATED_PATTERN)
)


def kind_of(plate: str) -> PlateKind:
    """Says what a written plate can stand for.

    Returns:
        ``whole`` one vehicle; ``masked`` some characters are hidden; ``none`` no plate was read;
        ``malformed`` anything else.

    >>> kind_of("苏C12345"), kind_of("苏CD12345"), kind_of("苏C12***"), kind_of("-"), kind_of("6***")
    ('whole', 'whole', 'masked', 'none', 'malformed')
    """
    if _WHOLE.match(plate):
        return "whole"
    if _NONE.match(plate):
        return "none"
    return "masked" if _MASKED.match(plate) else "malformed"


def class_of(plate: str) -> PlateClass:
    """Names the class of a plate; of an undecidable one, what kept it from being a plate.

    Returns:
        a class of ``WHOLE_CLASSES``, else ``masked``, ``none``, ``truncated`` (a piece of a plate: its
        province or its end is lost) or ``impossible`` (no plate of the country reads so, nor does a piece of
        one). ``malformed`` of ``kind_of`` is ``truncated`` or ``impossible``.

    >>> class_of("苏C1234挂"), class_of("苏CD12345"), class_of("粤Z1234港"), class_of("使014578")
    ('trailer', 'new_energy_small', 'hong_kong_macau', 'embassy')
    >>> class_of("6***"), class_of("C12345"), class_of("苏C12***"), class_of("苏CI2345")
    ('truncated', 'truncated', 'masked', 'impossible')
    """
    kind = kind_of(plate)
    if kind == "whole":
        return next(name for name, pattern in _WHOLE_OF if pattern.match(plate))
    if kind == "malformed":
        return "truncated" if _TRUNCATED.match(plate) else "impossible"
    return kind


def is_decidable(plate: str) -> bool:
    """True if the plate names one vehicle, so that a contradiction under it means something."""
    return kind_of(plate) == "whole"


def completes(masked: str, whole: str) -> bool:
    """True if ``whole`` may be what ``masked`` hides; each mark stands for one character or more.

    The export writes three marks for the tail of any plate, whether it has three characters or four. This
    alone proves nothing: many whole plates fit. It is for two records of one pass.

    >>> completes("苏C12***", "苏C12345"), completes("苏CD1***", "苏CD12345")
    (True, True)
    >>> completes("苏C13***", "苏C12345"), completes("6***", "苏C12346")
    (False, False)
    """
    if kind_of(masked) != "masked" or kind_of(whole) != "whole":
        return False
    fits = "".join(".+" if sign in MASKS else re.escape(sign) for sign in masked)
    return re.fullmatch(fits, whole, re.DOTALL) is not None


def province_of(plate: str) -> str:
    """Province in words from the first character, ``未知`` where that is none.

    >>> province_of("苏C12345"), province_of("6***")
    ('江苏', '未知')
    """
    return PROVINCES.get(plate[:1], "未知")
