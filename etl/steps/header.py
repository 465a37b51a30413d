"""Which column of a raw file is which field: by the meaning of its name, then by its place."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Final

from kakou.fields import FIELDS, FIELDS_8

# Besides our own names and meanings; the export shortens HPHM to HP.
_OTHER_NAMES: Final[dict[str, str]] = {
    "HP": "HPHM", "车牌": "HPHM", "车牌号": "HPHM", "车牌号码": "HPHM", "号牌": "HPHM",
    "卡口": "KKMC", "行政区划": "XZQHMC", "方向": "FXLX", "过车编号": "GCXH", "车辆品牌": "CLPPXH",
    "品牌": "CLPPXH", "车辆类型代码": "HPZL",
}  # fmt: skip
_BY_NAME: Final[dict[str, str]] = {
    **{field.name: field.name for field in FIELDS[:8]},
    **{field.meaning_zh: field.name for field in FIELDS[:8]},
    **_OTHER_NAMES,
}
# A pass may hold a word that is also a name, such as the gate 卡口; a header holds many.
_LEAST_NAMES: Final = 4
_TIME_LIKE: Final = re.compile(r"^\d{4}[-/年.]?\d{1,2}[-/月.]?\d{1,2}|^\d{5}(\.\d+)?$")


def field_of(name: str) -> str | None:
    """The field that a column name means, also inside an Oracle expression; None if it means none.

    >>> field_of("'G'||GCXH"), field_of("TO_CHAR(GCSJ,'YYYY-MM-DDHH24:M"), field_of("SUBSTR(HPHM,0,4)||'***'")
    ('GCXH', 'GCSJ', 'HPHM')
    >>> field_of(" hp "), field_of("号牌种类"), field_of("备注")
    ('HPHM', 'HPZL', None)
    """
    plain = unicodedata.normalize("NFKC", name).strip("\ufeff \t\"'").upper()
    if plain in _BY_NAME:
        return _BY_NAME[plain]
    inside = {field for word in re.findall(r"[A-Z]+", plain) if (field := _BY_NAME.get(word))}
    return inside.pop() if len(inside) == 1 else None


def map_columns(first_row: Sequence[str]) -> tuple[dict[str, int], bool] | None:
    """Maps each of the 8 fields to a column by the first row of a table.

    Returns:
        the mapping and whether the first row is a header (False: it is a pass already, in the contract's
        order); None if some field cannot be found.
    """
    found: dict[str, int] = {}
    for index, name in enumerate(first_row):
        field = field_of(name)
        if field and field not in found:
            found[field] = index
    missing = [field for field in FIELDS_8 if field not in found]
    if not missing:
        return found, True
    if len(found) < _LEAST_NAMES:
        looks_like_a_pass = len(first_row) == len(FIELDS_8) and _TIME_LIKE.match(first_row[4].strip("'\" "))
        return ({field: i for i, field in enumerate(FIELDS_8)}, False) if looks_like_a_pass else None
    # A name that nobody knows takes the place that the contract's order gives it, if all others stand in
    # theirs.
    in_order = all(index == FIELDS_8.index(field) for field, index in found.items())
    if in_order and len(first_row) == len(FIELDS_8):
        return {field: i for i, field in enumerate(FIELDS_8)}, True
    return None
