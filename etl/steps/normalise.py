"""Raw text of any dialect → typed passes, and the rows that cannot be passes with the reason why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from duckdb import DuckDBPyRelation

from etl.steps.sql_text import literal
from kakou.fields import FIELDS, FIELDS_8, MISSING

# Full-width letters, digits and signs, and the ideographic space, to their ASCII fellows.
_WIDE: Final = literal("".join(chr(code) for code in range(0xFF01, 0xFF5F)) + "\u3000")
_PLAIN: Final = literal("".join(chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)) + " ")
_WIDE_CLASS: Final = "[\uff01-\uff5e\u3000]"
_TIME_FORMATS: Final = (
    "%Y-%m-%d%H:%M:%S", "%Y%m%d%H%M%S", "%Y%m%d %H:%M:%S", "%Y年%m月%d日 %H:%M:%S",
    "%Y年%m月%d日%H时%M分%S秒", "%Y年%m月%d日 %H时%M分%S秒", "%Y/%m/%d %H:%M", "%Y-%m-%d %H:%M",
    "%Y.%m.%d %H:%M:%S", "%Y年%m月%d日", "%Y%m%d", "%d-%b-%Y %H:%M:%S", "%m/%d/%Y %H:%M:%S",
)  # fmt: skip
_FIRST_YEAR, _LAST_YEAR = 2000, 2099
_OFFSET: Final = "([+-][0-9]{2}:?([0-9]{2})?|Z)$"
_EXCEL_SERIAL: Final = r"^[2-7][0-9]{4}(\.[0-9]+)?$"
_LIMITS: Final = {field.name: field.max_chars for field in FIELDS[:8]}
# A raw gate name becomes a codename later, so the table's limit does not bind it yet.
_LIMITS["KKMC"] = 200
TEXT_FIELDS: Final = tuple(name for name in FIELDS_8 if name != "GCSJ")


def _trimmed(column: str, field: str, odd: bool) -> str:
    """Without outer blanks and a leading quote, which spreadsheets put before numbers kept as text.

    The tests look at the two ends of a text and cost a sixth of trimming it, so only what fails them is
    trimmed. Every blank, every quote and the empty text sort before ``(``.
    """
    text = f"coalesce({column}, '')"
    trimmed, ends = f"trim({text})", f"suffix({text}, ' ')"
    if odd:
        trimmed = f"trim({text}, ' ' || chr(9) || chr(10) || chr(13))"
        ends += f" OR suffix({text}, chr(9))"
    # HPZL keeps its quote until it is standardised: the merged file shows what was written.
    bare = trimmed if field == "HPZL" else f"ltrim({trimmed}, '''')"
    return f"CASE WHEN {text} < '(' OR {ends} THEN {bare} ELSE {text} END"


def _narrowed(column: str) -> str:
    """Full-width characters as plain ones; the test first, as hardly any row holds one."""
    wide = f"strlen({column}) > length({column}) AND regexp_matches({column}, '{_WIDE_CLASS}')"
    return f"CASE WHEN {wide} THEN trim(translate({column}, {_WIDE}, {_PLAIN})) ELSE {column} END"


def _time(column: str) -> str:
    formats = ", ".join(f"'{one}'" for one in _TIME_FORMATS)
    serial = (
        f"TIMESTAMP '1899-12-30' + to_seconds(CAST(round(try_cast({column} AS DOUBLE) * 86400) AS BIGINT))"
    )
    # The engine turns a time with an offset into UTC; China has had one offset since 1991.
    with_offset = f"strlen({column}) > 19 AND regexp_matches({column}, '{_OFFSET}')"
    as_it_is = f"try_cast({column} AS TIMESTAMP)"
    return (
        f"date_trunc('second', CASE WHEN {with_offset} THEN {as_it_is} + INTERVAL 8 HOUR "
        f"ELSE coalesce({as_it_is}, CASE WHEN regexp_matches({column}, '{_EXCEL_SERIAL}') THEN {serial} "
        f"ELSE try_strptime({column}, [{formats}]) END) END)"
    )


def normalise(
    raw: DuckDBPyRelation, mapping: Mapping[str, int], *, odd: bool, broken: bool, wide: bool
) -> DuckDBPyRelation:
    """Types the rows of one table; a row that holds nothing at all is none.

    Args:
        raw: columns ``rn`` (number of the row in its file) and ``c0``, ``c1`` … as text.
        mapping: which column holds which field.
        odd, broken, wide: look for TAB and NUL, for U+FFFD, for full-width characters; False where the file
            is known to hold none.

    Returns:
        the 8 fields (GCSJ as TIMESTAMP, HPZL as it was written but for blanks), ``ROW`` and ``REASON``,
        which is NULL for a good pass, else ``empty_id``, ``empty_gate``, ``bad_time``, ``too_long``,
        ``control_character`` or ``encoding``.
    """
    trimmed = ", ".join(f"{_trimmed(f'c{mapping[name]}', name, odd)} AS {name}" for name in FIELDS_8)
    narrowed = ", ".join(f"{_narrowed(name) if wide else name} AS {name}" for name in FIELDS_8)
    number = "regexp_replace({0}, '\\.0$', '')"  # a spreadsheet may hand 1 over as 1.0
    typed = (
        "CASE WHEN prefix(GCXH, 'G') AND regexp_full_match(GCXH, 'G[0-9]{6,}') THEN GCXH[2:] ELSE GCXH END "
        "AS GCXH, XZQHMC, KKMC, "
        f"CASE WHEN strlen(FXLX) > 1 THEN {number.format('FXLX')} ELSE FXLX END AS FXLX, "
        f"{_time('GCSJ')} AS GCSJ, CASE WHEN HPZL = '' THEN '{MISSING}' "
        f"WHEN strlen(HPZL) > 2 THEN {number.format('HPZL')} ELSE HPZL END AS HPZL, "
        f"CASE WHEN HPHM = '' THEN '{MISSING}' ELSE upper(HPHM) END AS HPHM, "
        f"CASE WHEN CLPPXH = '' THEN '{MISSING}' ELSE CLPPXH END AS CLPPXH"
    )
    nothing = f"CASE WHEN GCXH = '' THEN concat({', '.join(FIELDS_8)}) = '' ELSE false END"
    return raw.query(
        "raw",
        f"WITH trimmed AS (SELECT {trimmed}, rn FROM raw), narrowed AS (SELECT {narrowed}, rn FROM trimmed), "
        f"typed AS (SELECT {typed}, CAST(rn AS INTEGER) AS ROW FROM narrowed WHERE NOT {nothing}) "
        f"SELECT *, {_reason(odd, broken)} AS REASON FROM typed",
    )


def _reason(odd: bool, broken: bool) -> str:
    whens = []
    if broken:
        whens.append((" OR ".join(f"contains({name}, '\ufffd')" for name in TEXT_FIELDS), "encoding"))
    control = f"contains(concat({', '.join(TEXT_FIELDS)}), chr(10))"
    if odd:
        control = " OR ".join(f"regexp_matches({name}, '[\\x00-\\x1f]')" for name in TEXT_FIELDS)
    # Bytes first: a text of so few bytes cannot have too many characters, and bytes need no counting.
    too_long = " OR ".join(
        f"(strlen({name}) > {_LIMITS[name]} AND length({name}) > {_LIMITS[name]})" for name in TEXT_FIELDS
    )
    whens += [
        ("GCXH = ''", "empty_id"),
        ("KKMC = ''", "empty_gate"),
        (f"GCSJ IS NULL OR year(GCSJ) NOT BETWEEN {_FIRST_YEAR} AND {_LAST_YEAR}", "bad_time"),
        (too_long, "too_long"),
        (control, "control_character"),
    ]
    return "CASE " + " ".join(f"WHEN {test} THEN '{reason}'" for test, reason in whens) + " END"
