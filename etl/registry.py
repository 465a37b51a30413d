"""The gate registry: which spellings name one gate, and what is known about it.

A spelling that is not in the registry gets a *proposed* codename of its own. It is never taken for a known
gate because it looks alike: ``K10`` and ``K01`` are two roadsides. A person decides and adds the alias.
"""

from __future__ import annotations

import csv
import difflib
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib import resources

from pypinyin import lazy_pinyin

from kakou.fields import CODENAME_MAX

ALIAS_SEPARATOR = "|"
_ROAD_NUMBER = re.compile(r"(?<![A-Z])([GSXYC]\d{1,6})")
_ROAD_NAME = re.compile(r"([\u4e00-\u9fff]{1,6}?(?:路|线|大道))")
_STAKE = re.compile(r"K(\d{1,4})")
_PLACE = re.compile(r"[\u4e00-\u9fff]{1,3}?[省市县区]")


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


@cache
def known_gates() -> tuple[Gate, ...]:
    """The gates that a person has confirmed, by codename."""
    text = resources.files("etl").joinpath("data/gates.csv").read_text(encoding="utf-8")
    gates = [
        Gate(
            row["KKMC"], row["NAME"], tuple(row["ALIASES"].split(ALIAS_SEPARATOR)), row["XZQHMC"],
            row["ROAD"], row["STAKE"], row["BOUNDARY"], float(row["LON"]), float(row["LAT"]),
        )
        for row in csv.DictReader(text.splitlines())
    ]  # fmt: skip
    return tuple(sorted(gates, key=lambda gate: gate.kkmc))


def resolve(spellings: Iterable[tuple[str, str]]) -> dict[str, Gate]:
    """Maps each (spelling, district) to its gate: a known one by exact alias, else a proposed one.

    The answer depends on the set of spellings only, not on their order. Two unknown spellings always get two
    gates.
    """
    by_alias = {alias: gate for gate in known_gates() for alias in gate.aliases}
    by_code = {gate.kkmc: gate for gate in known_gates()}
    taken = set(by_code)
    answer: dict[str, Gate] = {}
    for spelling, district in sorted(spellings):
        if spelling in answer:
            continue
        known = by_alias.get(spelling) or by_code.get(spelling)
        answer[spelling] = known or propose(spelling, district, taken)
        taken.add(answer[spelling].kkmc)
    return answer


def propose(spelling: str, district: str, taken: set[str]) -> Gate:
    """A gate for a spelling that nobody has confirmed; its codename is not in ``taken``."""
    number, stake = _ROAD_NUMBER.search(spelling), _STAKE.search(spelling)
    named = None if number else _ROAD_NAME.search(_PLACE.sub("", spelling))
    place = district or next(iter(_PLACE.findall(spelling)[-1:]), "") or spelling[:4]
    road = _dedoubled(number.group(1)) if number else named.group(1) if named else ""
    parts = [
        _ascii(road) or "Gate",
        _ascii(place[:-1] if len(place) > 2 and place[-1] in "市县区" else place) or "Unknown",
        f"K{stake.group(1)}" if stake else "",
    ]
    digest = hashlib.sha256(spelling.encode()).hexdigest()
    code = "_".join(part[:20] for part in parts if part)[:CODENAME_MAX]
    if code in taken or not stake:
        code = f"{code[: CODENAME_MAX - 7]}_{digest[:6]}"
    alike = difflib.get_close_matches(
        spelling, [a for g in known_gates() for a in g.aliases], n=1, cutoff=0.6
    )
    boundary = next((word for word in ("省际", "市际") if word in spelling), "")
    return Gate(
        code, spelling, (spelling,), district, road, f"K{stake.group(1)}" if stake else "", boundary,
        lon=None, lat=None, proposed=True, looks_like=alike[0] if alike else "",
    )  # fmt: skip


def _dedoubled(road: str) -> str:
    """``G518518`` (number, then the number again as in ``G518518国道``) is G518.

    >>> _dedoubled("G3535"), _dedoubled("G104")
    ('G35', 'G104')
    """
    digits = road[1:]
    half = len(digits) // 2
    return road[0] + digits[:half] if half and digits[:half] == digits[half:] else road


def _ascii(text: str) -> str:
    word = "".join(lazy_pinyin(text, errors=lambda rest: re.sub(r"[^A-Za-z0-9]", "", rest)))
    return word[:1].upper() + word[1:]
