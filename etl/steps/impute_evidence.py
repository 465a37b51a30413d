"""What other passes say about a row: counts of known values per context, as arrays of whole columns.

A *context* is something that rows share: a plate, a plate at a gate, a brand at a gate. Texts are turned
into codes and hashes once, by the engine; from then on each context costs one sort of whole numbers. Two
texts with the same hash are taken for one, about once in 10¹² pairs, and then one outvotes the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from duckdb import DuckDBPyConnection
from numpy.typing import NDArray

from kakou.fields import MISSING

Array = NDArray[Any]
# Words of an export that knows nothing. "未知系列" after a maker is none of them: it says the maker.
BLANKS: Final = (MISSING, "", "未知", "无", "其他", "未识别", "NULL", "null")

_LAST: Final = "HPHM[7:7]"
# What the form of a plate says about its vehicle: a new-energy plate is longer and ends in a letter if the
# vehicle is large; else its length, its third sign (D and F of a cut plate) and a last one as of a trailer.
_SHAPE: Final = (
    "CASE WHEN length(HPHM) = 8 THEN CASE WHEN HPHM[8:8] BETWEEN 'A' AND 'Z' THEN 'large' ELSE 'small' END "
    f"ELSE HPHM[3:3] || length(HPHM) || CASE WHEN {_LAST} IN ('*', '挂', '学', '警', '港', '澳', '领') "
    f"THEN {_LAST} ELSE '' END END"
)
_READ: Final = {
    "plate": "hash(HPHM)",
    "shape": f"CAST(hash({_SHAPE}) % 4294967296 AS UINTEGER)",
    "city": "CAST(hash(HPHM[1:2]) % 4294967296 AS UINTEGER)",
    "four": "CAST(hash(HPHM[1:4]) % 4294967296 AS UINTEGER)",
    # The form only: how long, and whether cut. Rows of a form that nobody graded are not filled.
    "form": "CAST(length(HPHM) + CASE WHEN contains(HPHM, '*') THEN 100 ELSE 0 END AS UTINYINT)",
    "half_day": "CAST(hour(GCSJ) // 2 AS UTINYINT)",
    "day": "CAST(CAST(GCSJ AS DATE) - DATE '1970-01-01' AS UINTEGER)",
}
_CODED: Final = ("HPZL", "CLPPXH", "KKMC")


@dataclass(frozen=True, slots=True)
class Columns:
    """The passes as columns of whole numbers, in row order.

    Attributes:
        data: by name; ``maker`` is the part of the brand before the first hyphen.
        words: text of each code of HPZL and CLPPXH. blank: per code, whether it says nothing.
    """

    data: dict[str, Array]
    words: dict[str, list[str]]
    blank: dict[str, NDArray[np.bool_]]

    @property
    def rows(self) -> int:
        """Number of passes."""
        return len(self.data["plate"])

    def key(self, parts: Sequence[str], rows: Array) -> NDArray[np.uint64]:
        """One number per row of ``rows`` for what it has in all of ``parts``."""
        key = np.zeros(len(rows), dtype=np.uint64)
        for part in parts:
            key ^= self.data[part][rows].astype(np.uint64, copy=False)
            key *= np.uint64(0x9E3779B97F4A7C15)
            key ^= key >> np.uint64(29)
        key *= np.uint64(0xBF58476D1CE4E5B9)
        key ^= key >> np.uint64(32)
        return key


def read_columns(con: DuckDBPyConnection, passes: str) -> Columns:
    """Reads what the model looks at, about 35 bytes a row.

    Args:
        passes: name of a view with the 8 fields and ``RN``, the number of the row: 0, 1, 2 …
    """
    selected = [f"{text} AS {name}" for name, text in _READ.items()]
    words: dict[str, list[str]] = {}
    for name in _CODED:
        rows = con.execute(f"SELECT {name} FROM {passes} GROUP BY {name} ORDER BY {name}").fetchall()
        words[name] = [text for (text,) in rows]
        con.execute(f"DROP TYPE IF EXISTS impute_{name}")
        if rows:
            con.execute(f"CREATE TYPE impute_{name} AS ENUM (SELECT unnest(?::VARCHAR[]))", [words[name]])
            selected.append(f"enum_code(CAST({name} AS impute_{name})) AS {name}")
        else:
            selected.append(f"CAST(0 AS UTINYINT) AS {name}")
    data = dict(con.sql(f"SELECT RN, {', '.join(selected)} FROM {passes}").fetchnumpy())
    number = data.pop("RN")
    if (np.diff(number) < 0).any():
        # Several threads hand their rows over as they finish.
        order = np.argsort(number)
        data = {name: column[order] for name, column in data.items()}
    for name in _CODED:
        con.execute(f"DROP TYPE IF EXISTS impute_{name}")
    makers = [text.split("-")[0] or MISSING for text in words["CLPPXH"]]
    numbers = {maker: number for number, maker in enumerate(sorted(set(makers)))}
    table = np.array([numbers[maker] for maker in makers], dtype=np.uint16 if len(numbers) < 1 << 16 else int)
    data["maker"] = table[data["CLPPXH"]] if len(table) else np.zeros(0, dtype=np.uint16)
    blank = {name: np.isin(words[name], BLANKS) for name in ("HPZL", "CLPPXH")}
    return Columns(data, words, blank)


@dataclass(frozen=True, slots=True)
class Counts:
    """What one context says about some rows: parallel arrays, all zero where it says nothing.

    Attributes:
        n: known values in the context. value, c: the most frequent one and its count. value2, c2: the next.
    """

    n: Array
    value: Array
    c: Array
    value2: Array
    c2: Array

    def of(self, value: Array, some: slice) -> Array:
        """How often the context saw ``value``, as far as it is one of its two most frequent."""
        return np.where(value == self.value[some], self.c[some], 0) + np.where(
            value == self.value2[some], self.c2[some], 0
        )


def count(key: NDArray[np.uint64], value: Array, asked: NDArray[np.uint64], bits: int) -> Counts:
    """Counts ``value`` per ``key`` and answers for the keys ``asked``.

    Args:
        bits: width of a value's code; the rest of 64 bits is left for the key.
    """
    if not len(key):
        return Counts(*(np.zeros(len(asked), dtype=np.int32) for _ in range(5)))
    low, shift = np.uint64((1 << bits) - 1), np.uint64(bits)
    packed = np.sort((key & ~low) | value.astype(np.uint64))
    starts = _starts(packed)
    times, packed = np.diff(starts, append=len(packed)), packed[starts]
    keys = packed >> shift
    groups = _starts(keys)
    # Count before code in one number: the greatest is the most frequent, and ties fall alike each run.
    ranked = (times << bits) | (packed & low).astype(np.int64)
    n = np.add.reduceat(times, groups)
    first = np.maximum.reduceat(ranked, groups)
    ranked[ranked == np.repeat(first, np.diff(groups, append=len(ranked)))] = 0
    second = np.maximum.reduceat(ranked, groups)
    keys = keys[groups]
    wanted = asked >> shift
    at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    hit = keys[at] == wanted

    def told(column: Array) -> Array:
        return np.where(hit, column[at], 0).astype(np.int32)

    mask = (1 << bits) - 1
    return Counts(told(n), told(first & mask), told(first >> bits), told(second & mask), told(second >> bits))


def _starts(ordered: Array) -> Array:
    change = np.empty(len(ordered), dtype=bool)
    change[0] = True
    np.not_equal(ordered[1:], ordered[:-1], out=change[1:])
    return np.flatnonzero(change)


def mixed(rows: Array, salt: int) -> NDArray[np.uint64]:
    """A fixed scatter of row numbers, by which rows are held back and dealt to folds."""
    number = rows.astype(np.uint64) + np.uint64(salt * 0x9E3779B97F4A7C15 % (1 << 64))
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        number = (number ^ (number >> np.uint64(shift))) * np.uint64(factor)
    return number ^ (number >> np.uint64(31))
