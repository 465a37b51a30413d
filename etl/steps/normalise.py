"""Raw text of any dialect → typed passes, and the rows that cannot be passes with the reason why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from duckdb import DuckDBPyRelation

from etl.steps.rounding import EXACT_DIGITS, rounded_id
from etl.steps.sql_text import literal
from etl.steps.times import BEYOND, FIRST, ambiguous_time, patient_time, quick_time
from kakou.fields import FIELDS, FIELDS_8, MISSING

# Full-width letters, digits and signs to their ASCII fellows, ideographic and no-break blanks to blanks, and
# what has no width, which copying out of a window leaves, to nothing.
_NO_WIDTH: Final = "\u200b\u200c\u200d\u200e\u200f\u2060\u202a\u202c\u202d\ufeff"
_WIDE: Final = literal("".join(chr(code) for code in range(0xFF01, 0xFF5F)) + "\u3000\u00a0" + _NO_WIDTH)
_PLAIN: Final = literal("".join(chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)) + "  ")
_WIDE_CLASS: Final = f"[\uff01-\uff5e\u3000\u00a0{_NO_WIDTH}]"
# What databases and spreadsheets write where there is no value.
# As a pattern: of a list of words the engine would make a join.
_NOTHING: Final = r"'(?i)null|\(null\)|<null>|none|nan|n/a|#n/a|\\n|nil|undefined'"
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


def _word(column: str, missing: str) -> str:
    """A value in words; ``missing`` where it says that there is none.

    Nearly every value begins with a Chinese character, which sorts behind ``~``, so one comparison settles
    it.
    """
    bare = f"regexp_replace({column}, '^=\"(.*)\"$', '\\1')"
    none = f"{column} = '' OR regexp_full_match({column}, {_NOTHING})"
    return f"CASE WHEN {column} > '~' THEN {column} WHEN {none} THEN '{missing}' ELSE {bare} END"


def _code(column: str, longest: int, missing: str) -> str:
    """A short code: a spreadsheet may hand 1 over as 1.0, or as a formula."""
    bare = f"regexp_replace({column}, '^=\"(.*)\"$|\\.0$', '\\1')"
    none = f"{column} = '' OR regexp_full_match({column}, {_NOTHING})"
    usual = f"strlen({column}) BETWEEN 1 AND {longest}"
    return f"CASE WHEN {usual} THEN {column} WHEN {none} THEN '{missing}' ELSE {bare} END"


def _id() -> str:
    """GCXH without prefix, formula and the fraction of a short number; hardly any needs the look."""
    bare = "regexp_replace(GCXH, '^=\"(.*)\"$', '\\1')"
    plain = (
        f"CASE WHEN GCXH = '-' OR regexp_full_match(GCXH, {_NOTHING}) THEN '' "
        f"WHEN regexp_full_match({bare}, 'G[0-9]{{6,}}') THEN {bare}[2:] "
        f"WHEN regexp_full_match(GCXH, '[0-9]{{1,{EXACT_DIGITS}}}\\.0+') "
        f"THEN regexp_replace(GCXH, '\\.0+$', '') ELSE {bare} END"
    )
    return f"CASE WHEN GCXH > ':' OR GCXH < '0' OR contains(GCXH, '.') THEN {plain} ELSE GCXH END"


def _damaged(rounded: bool) -> str:
    """SQL: whether the id went through a number of 15 digits, so that others may have become equal to it."""
    short = f"regexp_full_match(GCXH, '[0-9]{{1,{EXACT_DIGITS}}}\\.0+')"
    number = "regexp_full_match(GCXH, '[+-]?[0-9]+(\\.[0-9]+)?([eE][+]?[0-9]+)?')"
    bare = "strlen(GCXH) < 8 AND regexp_full_match(GCXH, '[0-9]+[eE][0-9]+')"
    damaged = (
        f"CASE WHEN contains(GCXH, '.') OR contains(GCXH, '+') THEN {number} AND NOT {short} ELSE {bare} END"
    )
    return f"{damaged} OR {rounded_id('GCXH')}" if rounded else damaged


def normalise(
    raw: DuckDBPyRelation,
    mapping: Mapping[str, int],
    *,
    odd: bool,
    broken: bool,
    wide: bool,
    rounded: bool = False,
    careful: bool = True,
) -> DuckDBPyRelation:
    """Types the rows of one table; a row that holds nothing at all is none.

    Args:
        raw: columns ``rn`` (number of the row in its file) and ``c0``, ``c1`` … as text.
        mapping: which column holds which field; a field without one is empty in every row.
        odd, broken, wide: look for TAB and NUL, for U+FFFD, for full-width characters; False where the file
            is known to hold none.
        careful: False reads the usual forms only and gives every other row the reason ``unclear``; planning
            the rest costs as much as reading ten thousand rows.
        rounded: the ids of the table went through numbers of a spreadsheet, see ``rounded_id``.

    Returns:
        the 8 fields (GCSJ as TIMESTAMP, HPZL as it was written but for blanks), ``ROW``, ``WRITTEN`` (GCSJ
        as text) and ``REASON``, which is NULL for a good pass, else ``empty_id``, ``id_damaged``,
        ``empty_gate``, ``bad_time``, ``ambiguous_time``, ``header_repeated``, ``too_long``,
        ``control_character`` or ``encoding``.
    """
    columns = {name: f"c{mapping[name]}" if name in mapping else "''" for name in FIELDS_8}
    trimmed = ", ".join(f"{_trimmed(columns[name], name, odd)} AS {name}" for name in FIELDS_8)
    narrowed = ", ".join(f"{_narrowed(name) if wide else name} AS {name}" for name in FIELDS_8)
    nothing = f"CASE WHEN GCXH = '' THEN concat({', '.join(FIELDS_8)}) = '' ELSE false END"
    typed = _careful_fields() if careful else _usual_fields()
    time = f"CASE WHEN QUICK >= {FIRST} THEN QUICK ELSE {patient_time('GCSJ')} END" if careful else "QUICK"
    reason = _reason(odd, broken, rounded) if careful else _unclear(odd, broken, rounded)
    return raw.query(
        "raw",
        f"WITH trimmed AS (SELECT {trimmed}, rn FROM raw), narrowed AS (SELECT {narrowed}, rn FROM trimmed), "
        f"quick AS (SELECT *, {quick_time('GCSJ')} AS QUICK FROM narrowed WHERE NOT {nothing}), "
        f"timed AS (SELECT * EXCLUDE (QUICK) REPLACE (date_trunc('second', {time}) AS GCSJ), "
        "GCSJ AS WRITTEN FROM quick) "
        f"SELECT * EXCLUDE (rn) REPLACE ({', '.join(f'{sql} AS {name}' for name, sql in typed.items())}), "
        f"CAST(rn AS INTEGER) AS ROW, {reason} AS REASON FROM timed",
    )


def _careful_fields() -> dict[str, str]:
    return {
        "GCXH": _id(),
        "XZQHMC": _word("XZQHMC", ""),
        "KKMC": _word("KKMC", ""),
        "FXLX": _code("FXLX", 1, ""),
        "HPZL": _code("HPZL", 2, MISSING),
        "HPHM": f"upper({_word('HPHM', MISSING)})",
        "CLPPXH": _word("CLPPXH", MISSING),
    }


def _usual_fields() -> dict[str, str]:
    number = "regexp_replace({0}, '\\.0$', '')"
    return {
        "GCXH": "CASE WHEN GCXH > ':' THEN GCXH[2:] ELSE GCXH END",
        "FXLX": f"CASE WHEN strlen(FXLX) > 1 THEN {number.format('FXLX')} ELSE FXLX END",
        "HPZL": f"CASE WHEN HPZL = '' THEN '{MISSING}' "
        f"WHEN strlen(HPZL) > 2 THEN {number.format('HPZL')} ELSE HPZL END",
        "HPHM": f"CASE WHEN HPHM = '' THEN '{MISSING}' ELSE upper(HPHM) END",
        "CLPPXH": f"CASE WHEN CLPPXH = '' THEN '{MISSING}' ELSE CLPPXH END",
    }


def _unclear(odd: bool, broken: bool, rounded: bool) -> str:
    """SQL: ``unclear`` where ``_usual_fields`` may be wrong or ``_reason`` may have something to say."""
    prefixed = "prefix(GCXH, 'G') AND regexp_full_match(GCXH, 'G[0-9]{6,}')"
    # Length first: many names of gates begin with the number of a road.
    short = f"strlen({{0}}) BETWEEN 1 AND 11 AND regexp_full_match({{0}}, {_NOTHING})"
    strange = f"prefix({{0}}, '=') OR ({short})"
    tests = [
        f"CASE WHEN GCXH > ':' THEN NOT ({prefixed}) ELSE strlen(GCXH) < 8 OR contains(GCXH, '.') "
        "OR contains(GCXH, '+') END",
        "KKMC = ''",
        f"(GCSJ >= {FIRST} AND GCSJ < {BEYOND}) IS NOT TRUE",
        *(
            f"CASE WHEN {name} > '~' OR {name} = '-' THEN false ELSE {strange.format(name)} END"
            for name in ("XZQHMC", "KKMC", "HPHM", "CLPPXH")
        ),
        *(
            f"CASE WHEN strlen({name}) > {usual} THEN {strange.format(name)} ELSE false END"
            for name, usual in (("FXLX", 1), ("HPZL", 2))
        ),
        _too_long(),
        _control(odd),
    ]
    if broken:
        tests.append(_without_meaning())
    if rounded:
        tests.append(rounded_id("GCXH"))
    return f"CASE WHEN {' OR '.join(f'({test})' for test in tests)} THEN 'unclear' END"


def _without_meaning() -> str:
    return " OR ".join(f"contains({name}, '\ufffd')" for name in TEXT_FIELDS)


def _control(odd: bool) -> str:
    if odd:
        return " OR ".join(f"regexp_matches({name}, '[\\x00-\\x1f]')" for name in TEXT_FIELDS)
    return f"contains(concat({', '.join(TEXT_FIELDS)}), chr(10))"


def _too_long() -> str:
    # Bytes first: a text of so few bytes cannot have too many characters, and bytes need no counting.
    return " OR ".join(
        f"(strlen({name}) > {_LIMITS[name]} AND length({name}) > {_LIMITS[name]})" for name in TEXT_FIELDS
    )


def _reason(odd: bool, broken: bool, rounded: bool) -> str:
    """SQL: why a row is no pass.

    It looks at values as they were written: the engine would work out a finished one again for each test.
    """
    whens = [(_without_meaning(), "'encoding'")] if broken else []
    no_time = (
        f"CASE WHEN regexp_matches(WRITTEN, '(?i)GCSJ|时间') THEN 'header_repeated' "
        f"WHEN {ambiguous_time('WRITTEN')} THEN 'ambiguous_time' ELSE 'bad_time' END"
    )
    whens += [
        (f"GCXH = '' OR CASE WHEN GCXH > ':' OR GCXH < '0' THEN {_id()} = '' ELSE false END", "'empty_id'"),
        (_damaged(rounded), "'id_damaged'"),
        (f"CASE WHEN KKMC > '~' THEN false ELSE {_word('KKMC', '')} = '' END", "'empty_gate'"),
        (f"GCSJ IS NULL OR GCSJ < {FIRST} OR GCSJ >= {BEYOND}", no_time),
        (_too_long(), "'too_long'"),
        (_control(odd), "'control_character'"),
    ]
    return "CASE " + " ".join(f"WHEN {test} THEN {reason}" for test, reason in whens) + " END"
