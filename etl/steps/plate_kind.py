"""The plate grammar of ``kakou.plates`` as an expression of the batch engine."""

from __future__ import annotations

from typing import Final

from kakou.fields import PROVINCES
from kakou.plates import MASKS, NO_PLATE_WORDS, WHOLE_PLATE_PATTERN

_NONE: Final = ", ".join(f"'{word}'" for word in sorted(NO_PLATE_WORDS))
_MASK_CLASS: Final = "[" + "".join(MASKS) + "]"


def plate_kind(column: str) -> str:
    """SQL for ``kind_of``: ``whole``, ``masked``, ``none`` or ``malformed``."""
    return (
        f"CASE WHEN {column} IN ({_NONE}) THEN 'none' "
        f"WHEN regexp_matches({column}, '{_MASK_CLASS}') THEN "
        f"CASE WHEN contains('{''.join(PROVINCES)}', left({column}, 1)) AND length({column}) >= 3 "
        "THEN 'masked' ELSE 'malformed' END "
        f"WHEN regexp_matches({column}, '{WHOLE_PLATE_PATTERN}') THEN 'whole' ELSE 'malformed' END"
    )
