"""A codename for a spelling that nobody has confirmed, and which known gate it looks like."""

from __future__ import annotations

import difflib
import hashlib
import re
from collections.abc import Sequence
from functools import lru_cache

from etl.gate import Gate
from kakou.fields import CODENAME_MAX

LEAST_LIKENESS = 0.6
# So many names that share most pairs of characters are compared closely.
COMPARED = 5
_ROAD_NUMBER = re.compile(r"(?<![A-Z])([GSXYC]\d{1,6})")
_ROAD_NAME = re.compile(r"([\u4e00-\u9fff]{1,6}?(?:路|线|大道))")
_STAKE = re.compile(r"K(\d{1,4})")
_PLACE = re.compile(r"[\u4e00-\u9fff]{1,3}?[省市县区]")


def road_and_stake(spelling: str) -> tuple[str, str]:
    """Road and stake mark that a spelling names, empty where it names none.

    >>> road_and_stake("徐州市丰县G518518国道K358马楼公路站省际卡口"), road_and_stake("鹿梁路卡口")
    (('G518', 'K358'), ('鹿梁路', ''))
    """
    number, stake = _ROAD_NUMBER.search(spelling), _STAKE.search(spelling)
    named = None if number else _ROAD_NAME.search(_PLACE.sub("", spelling))
    road = _dedoubled(number.group(1)) if number else named.group(1) if named else ""
    return road, f"K{stake.group(1)}" if stake else ""


def propose(spellings: Sequence[str], district: str, taken: set[str], known: Sequence[Gate]) -> Gate:
    """A gate for the writings of one unknown name; its codename is not in ``taken``.

    Args:
        spellings: one normal form, so one gate; the first gives it its name.
        known: gates that it may look like; it is never taken for one of them.
    """
    spelling = spellings[0]
    road, stake = road_and_stake(spelling)
    place = district or next(iter(_PLACE.findall(spelling)[-1:]), "") or spelling[:4]
    parts = [
        _ascii(road) or "Gate",
        _ascii(place[:-1] if len(place) > 2 and place[-1] in "市县区" else place) or "Unknown",
        stake,
    ]
    code = "_".join(part[:20] for part in parts if part)[:CODENAME_MAX]
    if code in taken or not stake:
        digest = hashlib.sha256(spelling.encode()).hexdigest()
        code = f"{code[: CODENAME_MAX - 7]}_{digest[:6]}"
    boundary = next((word for word in ("省际", "市际") if word in spelling), "")
    return Gate(
        code, spelling, tuple(spellings), district, road, stake, boundary, lon=None, lat=None, proposed=True,
        looks_like=most_alike(spelling, tuple(alias for gate in known for alias in gate.aliases)),
    )  # fmt: skip


def most_alike(spelling: str, names: tuple[str, ...]) -> str:
    """The name most like the spelling, empty where none is like it."""
    pairs = _pairs(spelling)
    shared = ((len(pairs & own), name) for name, own in zip(names, _pairs_of(names), strict=True))
    near = [name for count, name in sorted(shared, key=lambda one: (-one[0], one[1]))[:COMPARED] if count]
    return next(iter(difflib.get_close_matches(spelling, near, n=1, cutoff=LEAST_LIKENESS)), "")


def why_not(spelling: str, alike: str) -> tuple[str, str]:
    """Why a spelling was not taken for the known name that it looks like, in Chinese and English."""
    if not alike:
        return "没有相近的已知卡口", "no known gate has a name like it"
    (road, stake), (known_road, known_stake) = road_and_stake(spelling), road_and_stake(alike)
    if stake != known_stake:
        a, b = stake or "-", known_stake or "-"
        return f"桩号不同：{a} 与 {b}", f"another stake mark: {a}, not {b}"
    if road != known_road:
        a, b = road or "-", known_road or "-"
        return f"道路不同：{a} 与 {b}", f"another road: {a}, not {b}"
    steps = difflib.SequenceMatcher(None, alike, spelling, autojunk=False).get_opcodes()
    words = ", ".join(f"'{alike[a:b]}' → '{spelling[c:d]}'" for kind, a, b, c, d in steps if kind != "equal")
    return f"名称不同：{words}", f"the names differ: {words}"


def _pairs(text: str) -> frozenset[str]:
    return frozenset(text[at : at + 2] for at in range(len(text) - 1))


@lru_cache(maxsize=2)
def _pairs_of(names: tuple[str, ...]) -> tuple[frozenset[str], ...]:
    return tuple(_pairs(name) for name in names)


def _dedoubled(road: str) -> str:
    """``G518518`` (number, then the number again as in ``G518518国道``) is G518.

    >>> _dedoubled("G3535"), _dedoubled("G104")
    ('G35', 'G104')
    """
    digits = road[1:]
    half = len(digits) // 2
    return road[0] + digits[:half] if half and digits[:half] == digits[half:] else road


def _ascii(text: str) -> str:
    # Loaded when a name must be spelt: its dictionary takes longer to load than a small folder to read.
    from pypinyin import lazy_pinyin

    word = "".join(lazy_pinyin(text, errors=lambda rest: re.sub(r"[^A-Za-z0-9]", "", rest)))
    word = word.encode("ascii", "ignore").decode()
    return word[:1].upper() + word[1:]
