"""Ids that went through a spreadsheet's numbers, which hold 15 digits: two ids may have become one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

EXACT_DIGITS: Final = 15
_LONG: Final = "G?[0-9]{17,19}"
_LEAST: Final = 3  # by chance one id in 64 looks rounded, and so three in a row of 260,000


def looks_rounded(ids: Sequence[str]) -> bool:
    """Whether all long ids at the beginning of a table look as if they had been numbers.

    >>> looks_rounded(["320300108874994000", "320300108874995000", "320300108874996000"])
    True
    >>> looks_rounded(["320300108874994318", "320300108874994221", "320300108874994698"])
    False
    """
    long = {id_.strip("'\"=").lstrip("G") for id_ in ids if re.fullmatch(_LONG, id_.strip("'\"="))}
    return len(long) >= _LEAST and all(id_.endswith("000") or str(int(float(id_))) == id_ for id_ in long)


def rounded_id(column: str) -> str:
    """SQL: whether a long id looks as if it had been a number: no digits at its end, or exactly a double."""
    digits = f"ltrim({column}, 'G')"
    exact = f"CAST(CAST(CAST({digits} AS DOUBLE) AS HUGEINT) AS VARCHAR) = {digits}"
    return (
        f"CASE WHEN regexp_full_match({column}, '{_LONG}') "
        f"THEN suffix({column}, '000') OR {exact} ELSE false END"
    )
