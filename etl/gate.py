"""One roadside gate, and when two writings of its name are one and the same."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

ALIAS_SEPARATOR: Final = "|"
_NARROW: Final = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {0x3000: " "}
# Byte-order mark, zero-width blanks and joiners: nobody can see them.
_INVISIBLE: Final = dict.fromkeys((0x200B, 0x200C, 0x200D, 0x2060, 0xFEFF))
_BLANKS: Final = re.compile(r"\s+")
_NEEDLESS_BLANK: Final = re.compile(r"(?<![0-9]) | (?![0-9])")


@dataclass(frozen=True, slots=True)
class Gate:
    """One roadside gate; ``lon`` and ``lat`` are None where nobody knows them, ``proposed`` if no person
    confirmed it."""

    kkmc: str
    name: str
    aliases: tuple[str, ...]
    xzqhmc: str
    road: str
    stake: str
    boundary: str
    lon: float | None
    lat: float | None
    proposed: bool = False
    looks_like: str = ""


def normal_form(spelling: str) -> str:
    """One text for all writings of a name that differ in width, case, blanks and invisible characters only.

    A blank between two digits stays: ``G104 2号`` and ``G1042号`` may be two roads. Nothing else is dropped,
    so that different words keep different forms.

    >>> normal_form("Ｓ325 淮宿线Ｋ63（325省道）"), normal_form("s325淮宿线k63(325省道)")
    ('S325淮宿线K63(325省道)', 'S325淮宿线K63(325省道)')
    >>> normal_form("G104  2号")
    'G104 2号'
    """
    plain = _BLANKS.sub(" ", spelling.translate(_NARROW).translate(_INVISIBLE)).strip()
    return _NEEDLESS_BLANK.sub("", plain).upper()
