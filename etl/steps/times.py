"""When a vehicle passed, from text of any form: fast for the usual forms, patient for the rest."""

from __future__ import annotations

from typing import Final

FIRST: Final = "TIMESTAMP '2000-01-01'"
BEYOND: Final = "TIMESTAMP '2100-01-01'"
# Forms of whole exports, before the patient way, which takes ten times as long.
_FORMATS: Final = (
    "%Y-%m-%d%H:%M:%S", "%Y%m%d%H%M%S", "%Y年%m月%d日 %H时%M分%S秒", "%Y-%m-%d %H:%M:%S.%f",
)  # fmt: skip
_OFFSET: Final = r"(:[0-9]{2}(?:\.[0-9]+)?)\s*(?:Z|([+-])([0-9]{2}):?([0-9]{2})?)$"
_DAY_OR_MONTH_FIRST: Final = r"^([0-9]{1,2})[-/.]([0-9]{1,2})[-/.]([0-9]{4})(.*)$"
_SERIAL: Final = r"^[2-7][0-9]{4}(\.[0-9]+)?$"
_EPOCH: Final = r"^1[0-9]{9}([0-9]{3})?(\.0)?$"
_HALF_OF_DAY: Final = r"(?i)(上午|下午|凌晨|早上|晚上|\b[AP]\.?M\.?)"
# Each turns one way of writing into `YYYY-M-D H:MM:SS`; a text that is that already passes through.
_REWRITES: Final = (
    (r'^="?([^"]*)"?$', r"\1"),
    (r"^([0-9]{8}|[0-9]{14})\.0$", r"\1"),
    (r"^([0-9]{4})([0-9]{2})([0-9]{2})[ T]?([0-9]{2})([0-9]{2})([0-9]{2})(\.?[0-9]+)?$",
     r"\1-\2-\3 \4:\5:\6"),
    (r"^([0-9]{4})([0-9]{2})([0-9]{2})\b", r"\1-\2-\3"),
    # Oracle in Chinese: 06-1月 -24 09.21.41.000000 下午
    (r"^([0-9]{1,2})-([0-9]{1,2})月\s*-([0-9]{2})\b", r"20\3-\2-\1"),
    (r"^([0-9]{4})年([0-9]{1,2})月([0-9]{1,2})[日号]?", r"\1-\2-\3 "),
    (r"([0-9]{1,2})[时点]([0-9]{1,2})分?(?:([0-9]{1,2})秒)?", r"\1:\2:0\3"),
    (r":0([0-9]{2})$", r":\1"),
    (r":0$", ":00"),
    (r"^([0-9]{4})[-/.]([0-9]{1,2})[-/.]([0-9]{1,2})[-/T]?([0-9]{2}[:.])", r"\1-\2-\3 \4"),
    (r"^([0-9]{4})\.([0-9]{1,2})\.([0-9]{1,2})", r"\1-\2-\3"),
    (r"^([23][0-9])[-/.]([0-9]{1,2})[-/.]([0-9]{1,2})(\s|$)", r"20\1-\2-\3\4"),
    (r"\s([0-9]{1,2})\.([0-9]{2})\.([0-9]{2})(\.[0-9]+)?(\s|$)", r" \1:\2:\3\5"),
)  # fmt: skip
_PLAIN: Final = (
    r"^[0-9]{4}[-/][0-9]{1,2}[-/][0-9]{1,2}([ T]+[0-9]{1,2}:[0-9]{1,2}(:[0-9]{1,2}(\.[0-9]+)?)?)?$"
)


def quick_time(column: str) -> str:
    """SQL: the time in a usual form, else NULL.

    The engine's cast drops an offset, AM, PM and any word behind the time, so nothing longer than
    ``2024-01-06 00:03:25`` and nothing that ends in a letter is left to it.
    """
    return (
        f"CASE WHEN strlen({column}) > 19 OR {column}[-1] > '9' THEN NULL "
        f"ELSE try_cast({column} AS TIMESTAMP) END"
    )


def patient_time(column: str) -> str:
    """SQL: the time in any other form that has one meaning, else NULL.

    A time without an offset is China's, one with an offset is turned into it. 12-hour clocks in English and
    Chinese, fractions of a second (cut), numbers of days (Excel, since 1900) and of seconds or milliseconds
    (since 1970), Oracle's day-month-year. A year of two digits stands first and is 20 to 39, as spreadsheets
    write it in China. Of 5/1/2024 and 1/5/2024 it cannot be known which is May: see ``ambiguous_time``.
    """
    text = column
    for pattern, instead in _REWRITES:
        text = f"regexp_replace({text}, '{pattern}', '{instead}')"
    formats = ", ".join(f"'{one}'" for one in _FORMATS)
    serial = f"TIMESTAMP '1899-12-30' + to_seconds(CAST(round(CAST({column} AS DOUBLE) * 86400) AS BIGINT))"
    seconds = f"(CAST({column}[:10] AS BIGINT) + 28800)"
    return (
        f"date_trunc('second', coalesce(try_strptime({column}, [{formats}]), "
        f"CASE WHEN regexp_matches({column}, '{_SERIAL}') THEN {serial} "
        f"WHEN regexp_matches({column}, '{_EPOCH}') THEN TIMESTAMP '1970-01-01' + to_seconds({seconds}) "
        f"ELSE {_written_out(text)} END))"
    )


def ambiguous_time(column: str) -> str:
    """SQL: whether ``column`` may be day, month, year as well as month, day, year."""
    one, two = (f"CAST(regexp_extract({column}, '{_DAY_OR_MONTH_FIRST}', {n}) AS INTEGER)" for n in (1, 2))
    return (
        f"CASE WHEN regexp_matches({column}, '{_DAY_OR_MONTH_FIRST}') "
        f"THEN {one} <= 12 AND {two} <= 12 AND {one} <> {two} ELSE false END"
    )


def _let(name: str, value: str, expression: str) -> str:
    """SQL: ``expression`` in which ``name`` stands for ``value``, which is worked out once."""
    return f"list_transform([{value}], lambda {name}: {expression})[1]"


def _written_out(text: str) -> str:
    """SQL: the time in ``text``, whose date stands in whatever order, with half of the day and offset."""
    bare = f"regexp_replace(whole, '{_OFFSET}', '\\1')"
    clock = f"trim(regexp_replace(regexp_replace({bare}, '{_HALF_OF_DAY}', ' '), '\\s+', ' ', 'g'))"
    one, two = (f"CAST(regexp_extract(clock, '{_DAY_OR_MONTH_FIRST}', {n}) AS INTEGER)" for n in (1, 2))
    turned = (
        f"CASE WHEN NOT regexp_matches(clock, '{_DAY_OR_MONTH_FIRST}') THEN clock "
        f"WHEN {one} > 12 THEN regexp_replace(clock, '{_DAY_OR_MONTH_FIRST}', '\\3-\\2-\\1\\4') "
        f"WHEN {two} > 12 OR {two} = {one} "
        f"THEN regexp_replace(clock, '{_DAY_OR_MONTH_FIRST}', '\\3-\\1-\\2\\4') END"
    )
    parsed = (
        f"CASE WHEN regexp_matches(ordered, '{_PLAIN}') THEN try_cast(ordered AS TIMESTAMP) "
        "ELSE try_strptime(ordered, ['%d-%b-%y %H:%M:%S', '%d-%b-%y', '%d-%b-%Y %H:%M:%S', '%d-%b-%Y']) END"
    )
    half = f"regexp_extract(whole, '{_HALF_OF_DAY}', 1)"
    in_utc = f"regexp_matches(whole, '{_OFFSET}')"
    moved = (
        f"moment + {_shift(half)} + CASE WHEN {in_utc} THEN {_to_china('whole')} ELSE INTERVAL 0 MINUTE END"
    )
    moment = _let("ordered", _let("clock", clock, turned), parsed)
    return _let("whole", text, _let("moment", moment, moved))


def _shift(half: str) -> str:
    late = f"(upper({half})[1] = 'P' OR {half} IN ('下午', '晚上'))"
    return (
        f"CASE WHEN {late} AND hour(moment) < 12 THEN INTERVAL 12 HOUR "
        f"WHEN {half} <> '' AND NOT {late} AND hour(moment) = 12 THEN INTERVAL (-12) HOUR "
        "ELSE INTERVAL 0 HOUR END"
    )


def _to_china(text: str) -> str:
    sign, hours, minutes = (f"regexp_extract({text}, '{_OFFSET}', {n})" for n in (2, 3, 4))
    ahead = (
        f"(coalesce(try_cast({hours} AS INTEGER), 0) * 60 + coalesce(try_cast({minutes} AS INTEGER), 0)) "
        f"* CASE WHEN {sign} = '-' THEN -1 ELSE 1 END"
    )
    return f"to_minutes(480 - {ahead})"
