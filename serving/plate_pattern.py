"""How a person searches for a plate: ``*`` stands for any characters, ``?`` for exactly one."""

from __future__ import annotations

from typing import Final

_WIDE: Final = str.maketrans("＊？％＿", "*?%_")
_LIKE: Final = {"*": "%", "?": "_", "%": r"\%", "_": r"\_", "\\": r"\\"}


def clean_plate(text: str) -> str:
    """Trims, makes letters upper case, and takes the wildcards of a Chinese keyboard for ours.

    >>> clean_plate(" 苏c123＊ ")
    '苏C123*'
    """
    return text.strip().upper().translate(_WIDE)


def has_wildcard(plate: str) -> bool:
    """True if the plate is a pattern."""
    return "*" in plate or "?" in plate


def like_pattern(plate: str) -> str:
    r"""The pattern as SQL's LIKE wants it (escape character ``\``, MySQL's own default).

    What LIKE itself would read as a wildcard is escaped, so ``%`` finds a percent sign and nothing else.

    >>> like_pattern("苏C1?3*")
    '苏C1_3%'
    >>> like_pattern("100%_") == r"100\%\_"
    True
    """
    return "".join(_LIKE.get(sign, sign) for sign in plate)
