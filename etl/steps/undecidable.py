"""Plates that name no one vehicle, each with the reason, for a person to look at; none is ever completed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from duckdb import DuckDBPyRelation

from etl.steps.plate_kind import plate_class
from etl.steps.sql_text import literal
from kakou.fields import PROVINCES
from kakou.plates import PLATE_CLASSES, WHOLE_CLASSES, UndecidableClass

UNDECIDABLE_COLUMNS: Final = ("HPHM", "CLASS", "REASON_ZH", "REASON_EN", "PASSES")


@dataclass(frozen=True, slots=True)
class Reason:
    """Why plates of a class whose text matches ``pattern`` cannot be decided."""

    plate_class: UndecidableClass
    pattern: str
    zh: str
    en: str


_PLACES: Final = "".join(PROVINCES)
# Within a class the first that matches holds; the last of each class matches all.
REASONS: Final[tuple[Reason, ...]] = (
    Reason("none", "", "没有读出号牌", "no plate was read"),
    Reason(
        "masked", "", "有字符被遮盖，符合的车辆不止一辆", "characters are hidden; more than one vehicle fits"
    ),
    Reason(
        "truncated",
        "^[A-HJ-NP-Z][A-HJK][0-9]{5}$",
        "可能是军警号牌，也可能是缺少省份的新能源号牌",
        "a plate of the forces, or a new-energy plate that lost its province",
    ),
    Reason("truncated", f"^[{_PLACES}使]", "字符不足，末尾或中间有缺失", "too short; its end is lost"),
    Reason("truncated", "", "缺少省份简称，各省都可能", "its province is lost or hidden; any province fits"),
    Reason("impossible", "[IO]", "含有号牌不用的字母 I 或 O", "holds I or O, which no plate has"),
    Reason(
        "impossible",
        f"[^A-Z0-9{_PLACES}挂学警领试超临港澳应急使*?＊？]",
        "含有号牌不用的字符",
        "holds a character that no plate has",
    ),
    Reason("impossible", "^[^*?＊？]{9}", "字符太多", "too many characters"),
    Reason(
        "impossible",
        f"^[{_PLACES}][A-Z][A-Z0-9]{{6}}$",
        "八位号牌不符合新能源号牌的规则（第三位或末位应为 A–K，其余位有误）",
        "eight characters, but not as a new-energy plate has them (A-K third or last, digits elsewhere)",
    ),
    Reason("impossible", "", "字符的位置不合号牌规则", "its characters stand where no plate has them"),
)


def census(passes: DuckDBPyRelation) -> DuckDBPyRelation:
    """Counts the passes by class of plate, undecidable ones by their text too.

    One scan serves both ``undecidable`` and ``class_counts``: keep the answer as a table.

    Returns:
        CLASS, HPHM (NULL for whole plates), PASSES; in any order.
    """
    whole = ", ".join(f"'{name}'" for name in WHOLE_CLASSES)
    return passes.query(
        "passes",
        f"SELECT CLASS, CASE WHEN CLASS NOT IN ({whole}) THEN HPHM END AS HPHM, count(*) AS PASSES "
        f"FROM (SELECT HPHM, {plate_class('HPHM')} AS CLASS FROM passes) GROUP BY 1, 2",
    )


def undecidable(counted: DuckDBPyRelation) -> DuckDBPyRelation:
    """The undecidable plates of a census, one row each, most passes first; columns as
    ``UNDECIDABLE_COLUMNS``."""
    return counted.query(
        "counted",
        f"SELECT HPHM, CLASS, {_reason('zh')} AS REASON_ZH, {_reason('en')} AS REASON_EN, PASSES "
        "FROM counted WHERE HPHM IS NOT NULL ORDER BY PASSES DESC, HPHM",
    )


def class_counts(counted: DuckDBPyRelation) -> dict[str, int]:
    """Passes of each class of ``PLATE_CLASSES``, 0 where there is none; ``plate_classes`` of the report."""
    rows = counted.query(
        "counted", "SELECT CLASS, sum(PASSES)::BIGINT FROM counted GROUP BY CLASS"
    ).fetchall()
    return {**dict.fromkeys(PLATE_CLASSES, 0), **dict(rows)}


def kind_counts(classes: dict[str, int]) -> dict[str, int]:
    """``plates`` of the report from ``class_counts``: what was not read at all counts as malformed.

    >>> kind_counts({"ordinary": 5, "police": 1, "masked": 2, "truncated": 3, "impossible": 4, "none": 1})
    {'whole': 6, 'masked': 2, 'malformed': 8}
    """
    whole = sum(classes.get(name, 0) for name in WHOLE_CLASSES)
    masked = classes.get("masked", 0)
    return {"whole": whole, "masked": masked, "malformed": sum(classes.values()) - whole - masked}


def _reason(language: str) -> str:
    whens = " ".join(
        f"WHEN CLASS = '{one.plate_class}'"
        + (f" AND regexp_matches(HPHM, '{one.pattern}')" if one.pattern else "")
        + f" THEN {literal(getattr(one, language))}"
        for one in REASONS
    )
    return f"CASE {whens} END"
