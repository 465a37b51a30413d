"""Which column of a raw file is which field: by the meaning of its name, then by its place."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from kakou.fields import FIELDS, FIELDS_8, FIELDS_12

# Besides our own names and meanings; the export shortens HPHM to HP.
_OTHER_NAMES: Final[dict[str, str]] = {
    "HP": "HPHM", "车牌": "HPHM", "车牌号": "HPHM", "车牌号码": "HPHM", "号牌": "HPHM",
    "卡口": "KKMC", "行政区划": "XZQHMC", "方向": "FXLX", "过车编号": "GCXH", "车辆品牌": "CLPPXH",
    "品牌": "CLPPXH", "车辆类型代码": "HPZL", "车牌种类": "HPZL", "车牌类型": "HPZL", "号牌类型": "HPZL",
    "行政区": "XZQHMC", "行政区域": "XZQHMC", "区县": "XZQHMC", "行驶方向": "FXLX", "过车流水号": "GCXH",
    "流水号": "GCXH", "卡口点名称": "KKMC", "通过时间": "GCSJ", "经过时间": "GCSJ", "抓拍时间": "GCSJ",
    "过车日期": "GCSJ", "车辆品牌及型号": "CLPPXH", "品牌型号": "CLPPXH", "厂牌型号": "CLPPXH",
}  # fmt: skip
_BY_NAME: Final[dict[str, str]] = {
    **{field.name: field.name for field in FIELDS[:8]},
    **{field.meaning_zh: field.name for field in FIELDS[:8]},
    **_OTHER_NAMES,
}
# A pass may hold a word that is also a name, such as the gate 卡口; a header holds many.
_LEAST_NAMES: Final = 4
# Traffic without these is still traffic: every pass then lacks the value. Without an id, a gate, a time or a
# plate it is not.
OPTIONAL: Final = frozenset({"XZQHMC", "FXLX", "HPZL", "CLPPXH"})
# A file may begin with a title, a note on the query or empty lines; further down stands no header.
LINES_ABOVE: Final = 40
_TIME_LIKE: Final = re.compile(r"^\d{4}[-/年.]?\d{1,2}[-/月.]?\d{1,2}|^\d{5}(\.\d+)?$")


def field_of(name: str) -> str | None:
    """The field that a column name means, also inside an Oracle expression; None if it means none.

    >>> field_of("'G'||GCXH"), field_of("TO_CHAR(GCSJ,'YYYY-MM-DDHH24:M"), field_of("SUBSTR(HPHM,0,4)||'***'")
    ('GCXH', 'GCSJ', 'HPHM')
    >>> field_of(" hp "), field_of("号牌种类"), field_of("备注")
    ('HPHM', 'HPZL', None)
    """
    plain = re.sub(r"\s+", "", unicodedata.normalize("NFKC", name)).strip("\ufeff\"'").upper()
    unit = re.sub(r"[(\[【].*$", "", plain)
    for word in (plain, unit):
        if word in _BY_NAME:
            return _BY_NAME[word]
    inside = {field for word in re.findall(r"[A-Z]+", plain) if (field := _BY_NAME.get(word))}
    return inside.pop() if len(inside) == 1 else None


@dataclass(frozen=True, slots=True)
class Layout:
    """How a table is laid out.

    Attributes:
        mapping: field → column number, without the optional fields that it lacks.
        above: rows above the first pass that are none: title, blank ones, header.
        header: the number of the header row; None without one.
    """

    mapping: dict[str, int]
    above: int
    header: int | None


def find_layout(first_rows: Sequence[Sequence[str]]) -> Layout | None:
    """Finds the header among the first rows of a table.

    What stands above it is no pass; but if a pass stands above it, the table begins without a header. None if
    there is neither, or if names stand above the passes that nobody knows.
    """
    for number, row in enumerate(first_rows[:LINES_ABOVE]):
        found = map_columns(row)
        if found and found[1]:
            return Layout(found[0], number + 1, number)
        if found:
            above = next((one for one in reversed(first_rows[:number]) if any(map(str.strip, one))), None)
            # Names that nobody knows must not be taken for an order that they may well deny.
            return None if above and _are_names(above, len(row)) else Layout(found[0], 0, None)
    return None


def _are_names(row: Sequence[str], width: int) -> bool:
    """Whether a row above passes names their columns: a name in each, and no figure in any."""
    named = [cell for cell in row if cell.strip()]
    return len(named) >= width - 1 and not any(sign.isdigit() for cell in named for sign in cell)


def map_columns(row: Sequence[str]) -> tuple[dict[str, int], bool] | None:
    """Maps each of the 8 fields to a column by a row that may be the header.

    Returns:
        the mapping and whether the row is a header (False: it is a pass already, in the contract's order,
        perhaps behind a row number); None if a field that is not optional cannot be found.
    """
    found: dict[str, int] = {}
    for index, name in enumerate(row):
        field = field_of(name)
        if field and field not in found:
            found[field] = index
    missing = {field for field in FIELDS_8 if field not in found}
    if not missing:
        return found, True
    if len(found) < _LEAST_NAMES:
        first = _first_of_a_pass(row)
        if first is None:
            return None
        return {field: i for i, field in enumerate(FIELDS_8, first) if i < len(row)}, False
    # A name that nobody knows takes the place that the contract's order gives it, if all others stand in
    # theirs.
    in_order = all(index == FIELDS_8.index(field) for field, index in found.items())
    if in_order and len(row) >= len(FIELDS_8):
        return {field: i for i, field in enumerate(FIELDS_8)}, True
    return (found, True) if missing <= OPTIONAL else None


def _first_of_a_pass(row: Sequence[str]) -> int | None:
    """Where a pass in the contract's order begins in ``row``, which may have a row number in front."""
    cells = [cell.strip("'\"=\ufeff \t") for cell in row]
    for first in (0, 1):
        behind = len(cells) - first
        fits = len(FIELDS_8) - 1 <= behind <= len(FIELDS_12) + 1 and (not first or cells[0].isdigit())
        if fits and _TIME_LIKE.match(cells[first + 4]) and cells[first] and cells[first + 2]:
            return first
    return None
