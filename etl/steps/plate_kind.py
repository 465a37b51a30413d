"""The plate grammar of ``kakou.plates`` as expressions of the batch engine; tests hold the two equal."""

from __future__ import annotations

from typing import Final

from kakou.plates import (
    MASKED_PATTERN,
    MASKS,
    NONE_PATTERN,
    TRUNCATED_PATTERN,
    WHOLE_CLASSES,
    WHOLE_PLATE_PATTERN,
    pattern_of,
)

_MASK_CLASS: Final = "[" + "".join(MASKS) + "]"


def is_whole(column: str) -> str:
    """SQL for ``is_decidable``."""
    return f"regexp_matches({column}, '{WHOLE_PLATE_PATTERN}')"


def plate_kind(column: str) -> str:
    """SQL for ``kind_of``: ``whole``, ``masked``, ``none`` or ``malformed``."""
    return (
        f"CASE WHEN {is_whole(column)} THEN 'whole' "
        f"WHEN regexp_matches({column}, '{NONE_PATTERN}') THEN 'none' "
        f"WHEN regexp_matches({column}, '{MASKED_PATTERN}') THEN 'masked' ELSE 'malformed' END"
    )


def plate_class(column: str) -> str:
    """SQL for ``class_of``."""
    classes = [f"WHEN regexp_matches({column}, '{pattern_of(name)}') THEN '{name}'" for name in WHOLE_CLASSES]
    # Most plates are ordinary, so that is asked first; one question for all the rest, then which.
    return (
        f"CASE {classes[0]} WHEN {is_whole(column)} THEN CASE {' '.join(classes[1:])} END "
        f"WHEN regexp_matches({column}, '{NONE_PATTERN}') THEN 'none' "
        f"WHEN regexp_matches({column}, '{MASKED_PATTERN}') THEN 'masked' "
        f"WHEN regexp_matches({column}, '{TRUNCATED_PATTERN}') THEN 'truncated' ELSE 'impossible' END"
    )


def completes(masked: str, whole: str) -> str:
    """SQL for ``kakou.plates.completes`` over two columns."""
    # A plate with % or _ in it is no plate, and what it would wrongly match is not whole.
    pattern = f"regexp_replace({masked}, '{_MASK_CLASS}', '_%', 'g')"
    return (
        f"({plate_kind(masked)} = 'masked' AND NOT regexp_matches({masked}, '[%_]') "
        f"AND {is_whole(whole)} AND {whole} LIKE {pattern})"
    )
