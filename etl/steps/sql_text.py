"""Text as the batch engine's SQL writes it."""

from __future__ import annotations


def literal(text: str) -> str:
    """SQL literal of a text.

    >>> literal("it's")
    "'it''s'"
    """
    return "'" + text.replace("'", "''") + "'"
