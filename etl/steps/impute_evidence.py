"""What other passes say about a row: counts of known values per context, as arrays of whole columns.

A *context* is something that rows share: a plate, a plate at a gate, a brand at a gate. Texts are turned
into codes and hashes once, by the engine; from then on each context costs one sort of whole numbers. Two
texts with the same hash are taken for one, about once in 10¹² pairs, and then one outvotes the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from duckdb import DuckDBPyConnection
from numpy.typing import NDArray

from etl.steps.sql_text import literal
from kakou.errors import BadInputError
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
# Read of every row: what other passes of the same plate tell with.
_READ: Final = {
    "plate": "hash(HPHM)",
    "cut": "CAST(contains(HPHM, '*') AS UTINYINT)",
    "observed": "CAST(ORIGIN = 'observed' AS UTINYINT)",
    "half_day": "CAST(epoch_us(GCSJ) // 7200000000 AS UINTEGER)",
}
# Read of the few rows that are near: of the sample, and of those to fill.
_READ_NEAR: Final = {
    "shape": f"CAST(hash({_SHAPE}) % 4294967296 AS UINTEGER)",
    "city": "CAST(hash(HPHM[1:2]) % 4294967296 AS UINTEGER)",
    "four": "CAST(hash(HPHM[1:4]) % 4294967296 AS UINTEGER)",
    # The form only: how long, and whether cut. Rows of a form that nobody graded are not filled.
    "form": "CAST(length(HPHM) + CASE WHEN contains(HPHM, '*') THEN 100 ELSE 0 END AS UTINYINT)",
}
_CODED: Final = ("HPZL", "CLPPXH", "KKMC")
SAMPLED_ROWS: Final = 400_000
_BATCH: Final = 200_000
_PLATE_BITS: Final = 22


@dataclass(frozen=True, slots=True)
class Columns:
    """The passes as columns of whole numbers, in row order.

    Attributes:
        data: by name, of every row; of ``near`` rows also shape, city, four and form.
        near: numbers of the rows to fill and of every k-th row, the sample. sampled: which are of the sample.
        words: text of each code of HPZL and CLPPXH. blank: per code, whether it says nothing.
        maker: per code of CLPPXH a number for the part before the first hyphen.
    """

    data: dict[str, Array]
    near: Array
    sampled: NDArray[np.bool_]
    words: dict[str, list[str]]
    blank: dict[str, NDArray[np.bool_]]
    maker: Array

    @property
    def rows(self) -> int:
        """Number of passes."""
        return len(self.data["plate"])

    def of(self, part: str, rows: Array) -> Array:
        """What ``rows`` have in ``part``; rows must be near ones for what only those have."""
        if part in _READ_NEAR:
            return self.data[part][np.searchsorted(self.near, rows)]
        if part == "maker":
            return self.maker[self.data["CLPPXH"][rows]]
        return self.data["half_day"][rows] // 12 if part == "day" else self.data[part][rows]

    def key(self, parts: Sequence[str], rows: Array) -> NDArray[np.uint64]:
        """One number per row of ``rows`` for what it has in all of ``parts``."""
        key = np.zeros(len(rows), dtype=np.uint64)
        for part in parts:
            key ^= self.of(part, rows).astype(np.uint64, copy=False)
            key *= np.uint64(0x9E3779B97F4A7C15)
            key ^= key >> np.uint64(29)
        key *= np.uint64(0xBF58476D1CE4E5B9)
        key ^= key >> np.uint64(32)
        return key

    def sharing_a_plate(self, told: NDArray[np.bool_], asked: Array) -> Array:
        """Rows of the mask ``told`` that have the plate of one of ``asked``, and a few more.

        A table of bits instead of a join: other rows cost time only, as no one asks for their plates.
        """
        bits = np.uint64((1 << _PLATE_BITS) - 1)
        wanted = np.zeros(1 << _PLATE_BITS, dtype=bool)
        wanted[self.data["plate"][asked] & bits] = True
        found = [
            start
            + np.flatnonzero(
                wanted[self.data["plate"][start : start + _BATCH] & bits] & told[start : start + _BATCH]
            )
            for start in range(0, self.rows, _BATCH)
        ]
        return np.concatenate(found) if found else np.zeros(0, dtype=np.int64)


def read_columns(con: DuckDBPyConnection, passes: str) -> Columns:
    """Reads what the model looks at, about 20 bytes a row.

    Args:
        passes: name of a view with the 8 fields, ``ORIGIN`` and ``RN``, the number of the row: 0, 1, 2 …
    """
    words = {name: _words(con, passes, name) for name in _CODED}
    rows = con.execute(f"SELECT count(*) FROM {passes}").fetchall()[0][0]
    blank = {name: np.isin(words[name], BLANKS) for name in ("HPZL", "CLPPXH")}
    if not rows:
        none = np.zeros(0, dtype=np.uint8)
        empty = dict.fromkeys((*_READ, *_READ_NEAR, *_CODED), none)
        return Columns(empty, none, none.astype(bool), words, blank, none)
    for name in _CODED:
        con.execute(
            f"CREATE OR REPLACE TYPE impute_{name} AS ENUM (SELECT unnest(?::VARCHAR[]))", [words[name]]
        )
    coded = {name: f"enum_code(CAST({name} AS impute_{name}))" for name in _CODED}
    data = _fetch(con, f"FROM {passes}", _READ | coded, rows)
    data["cut"], data["observed"] = data["cut"].astype(bool), data["observed"].astype(bool)
    to_fill = blank["HPZL"][data["HPZL"]] | blank["CLPPXH"][data["CLPPXH"]]
    step = max(1, rows // SAMPLED_ROWS)
    to_fill[::step] = True
    near = np.flatnonzero(to_fill)
    blanks = ", ".join(literal(word) for word in BLANKS)
    wanted = f"RN % {step} = 0 OR HPZL IN ({blanks}) OR CLPPXH IN ({blanks})"
    data |= _fetch(con, f"FROM {passes} WHERE {wanted}", _READ_NEAR, rows, near)
    for name in _CODED:
        con.execute(f"DROP TYPE impute_{name}")
    makers = [text.split("-")[0] or MISSING for text in words["CLPPXH"]]
    numbers = {maker: number for number, maker in enumerate(sorted(set(makers)))}
    maker = np.array([numbers[one] for one in makers], dtype=np.uint32)
    return Columns(data, near, near % step == 0, words, blank, maker)


def _words(con: DuckDBPyConnection, passes: str, name: str) -> list[str]:
    rows = con.execute(f"SELECT {name} FROM {passes} GROUP BY {name} ORDER BY {name}").fetchall()
    return [text for (text,) in rows]


def _fetch(
    con: DuckDBPyConnection, source: str, texts: Mapping[str, str], rows: int, near: Array | None = None
) -> dict[str, Array]:
    """Columns in the order of rows, in batches: whichever thread ends first, each row falls in its place.

    Args:
        near: numbers of the rows that ``source`` holds, if it does not hold all ``rows``.
    """
    selected = ", ".join(f"{text} AS {name}" for name, text in texts.items())
    data: dict[str, Array] = {}
    filled = 0
    for batch in con.sql(f"SELECT RN, {selected} {source}").to_arrow_reader(_BATCH):
        # Not by ``to_numpy``, which imports pandas: that takes longer than all that is read here.
        at = np.from_dlpack(batch.column(0))
        at = at if near is None else np.searchsorted(near, at)
        filled += len(at)
        for name, column in zip(texts, batch.columns[1:], strict=True):
            part = np.from_dlpack(column)
            if name not in data:
                data[name] = np.empty(rows if near is None else len(near), dtype=part.dtype)
            data[name][at] = part
    if filled != (rows if near is None else len(near)):
        raise BadInputError("The passes changed while they were read; run the step again.")
    return data


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

    @property
    def tells(self) -> bool:
        """Whether it says anything about any row."""
        return bool(self.n.any())

    @classmethod
    def nothing(cls, rows: int) -> Counts:
        """Of a context that says nothing."""
        return cls(*(np.zeros(rows, dtype=np.int32) for _ in range(5)))

    def of(self, value: Array) -> Array:
        """How often the context saw ``value``, as far as it is one of its two most frequent."""
        return np.where(value == self.value, self.c, 0) + np.where(value == self.value2, self.c2, 0)

    def put(self, rows: Array, answers: Counts) -> None:
        """Sets what it says about some rows."""
        for name in ("n", "value", "c", "value2", "c2"):
            getattr(self, name)[rows] = getattr(answers, name)


def count(key: NDArray[np.uint64], value: Array, asked: NDArray[np.uint64], bits: int) -> Counts:
    """Counts ``value`` per ``key`` and answers for the keys ``asked``.

    Args:
        bits: width of a value's code; the rest of 64 bits is left for the key.
    """
    if not len(key):
        return Counts.nothing(len(asked))
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
