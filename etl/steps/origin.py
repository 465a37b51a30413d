"""Where passes come from: days that were written again under another date.

Real exports hold such days: to fill a gap, the passes of one day are written once more with a later date, and
with new ids or the old ones. Every file is read on its own, so each leaves a small *sketch* of each of its
days; the sketches together say which days repeat which, and only those days are then compared row by row.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from math import exp, inf, lgamma, log, log1p
from typing import Any, Final

SKETCH_SIZE: Final = 128
# Below this share a day is not called re-stamped, however sure it is that some of its rows were.
LEAST_SHARE: Final = 0.2
# How often two honest days may share a row: with times to the second, and to the minute only.
CHANCE_TO_THE_SECOND, CHANCE_TO_THE_MINUTE = 0.005, 0.05
# One false alarm in so many folders, whatever number of pairs of days a folder holds.
FALSE_ALARM: Final = 1e-6

_SECOND_OF_DAY: Final = "epoch_us(GCSJ) % 86400000000 // 1000000"
_TWIN: Final = (_SECOND_OF_DAY, "KKMC", "FXLX", "HPHM")


@dataclass(frozen=True, slots=True)
class Sketch:
    """The smallest hashes of a day's passes without their date (bottom-k sketch).

    Attributes:
        hashes: sorted, each once; ``SKETCH_SIZE`` of them at most when it comes from a file.
        whole: nothing was left out; else hashes above the last one may be missing.
        to_the_minute: no time of the day has seconds, so chance twins are far more likely.

    Source: Broder, "On the resemblance and containment of documents" (1997).
    """

    hashes: tuple[int, ...]
    whole: bool = True
    to_the_minute: bool = False

    @classmethod
    def of(cls, hashes: Sequence[int] | None, to_the_minute: bool) -> Sketch:
        """The sketch from the two columns of ``sketch_sql``."""
        given = hashes or ()
        return cls(tuple(sorted(set(given))), len(given) < SKETCH_SIZE, to_the_minute)

    @classmethod
    def from_json(cls, note: Mapping[str, Any]) -> Sketch:
        """What ``as_json`` wrote."""
        return cls(tuple(note["hashes"]), note["whole"], note["to_the_minute"])

    def as_json(self) -> dict[str, Any]:
        """For a part's note, beside the engine's version: two versions hash differently."""
        return {"hashes": list(self.hashes), "whole": self.whole, "to_the_minute": self.to_the_minute}

    @property
    def bound(self) -> float:
        """Every hash of the day that is not above it is among ``hashes``."""
        return inf if self.whole else self.hashes[-1]

    def united(self, other: Sketch) -> Sketch:
        """The sketch of the passes of both, as if they had been in one file."""
        bound = min(self.bound, other.bound)
        hashes = sorted(h for h in {*self.hashes, *other.hashes} if h <= bound)
        whole = self.whole and other.whole
        return Sketch(tuple(hashes), whole, self.to_the_minute and other.to_the_minute)


@dataclass(frozen=True, slots=True)
class Restamped:
    """A day of a file that repeats an earlier day.

    Attributes:
        of_day: the original, the earliest day that holds these passes.
        share: estimated share of the day's rows that ``of_day`` holds as well (0-1).
        twins: every earlier day that holds a good part of it, ``of_day`` first; rows are compared with all.
    """

    file: str
    day: date
    of_day: date
    share: float
    twins: tuple[date, ...]


def sketch_sql() -> str:
    """Aggregates for a ``GROUP BY CAST(GCSJ AS DATE)``: columns ``hashes`` and ``to_the_minute``.

    ``Sketch.of(hashes, to_the_minute)`` takes them; ``hashes`` is NULL for a day whose rows have no time of
    day, as such rows are alike on every day. Costs about 0.06 s of processor time for a million rows.
    """
    timed = f"{_SECOND_OF_DAY} > 0"
    return (
        f"min(hash({', '.join(_TWIN)}), {SKETCH_SIZE}) FILTER (WHERE {timed}) AS hashes, "
        f"coalesce(bool_and(second(GCSJ) = 0) FILTER (WHERE {timed}), true) AS to_the_minute"
    )


def restamped_days(sketches: Mapping[tuple[str, date], Sketch]) -> list[Restamped]:
    """Which days of which files repeat an earlier day.

    A day counts as re-stamped if at least ``LEAST_SHARE`` of its sketch lies in an earlier day, and chance
    does not explain it. Two honest days share a row only if one second, gate, direction and plate text meet
    by chance: about 5e-5 of the rows with whole plates, below 1e-3 even at a gate with a pass every two
    seconds and plates cut to four characters. ``CHANCE_TO_THE_SECOND`` is five times that, so a real copy
    stands out as soon as four or five of its rows are seen, and a day of one or two rows never does. With 128
    hashes the estimate of a share of 0.6 has a standard error of 0.05 (0.06 if the rest of the day was left
    out), so it cannot fall below 0.2.

    The original is the earliest day: rows can be copied only from a day that was recorded already, and gaps
    are filled with what lies before them. All links of a chain 17 → 18 → 19 therefore name 17.

    Args:
        sketches: of each (file, day); a file that is a copy of another is left out by the caller.

    Returns:
        sorted by day, then file.
    """
    of_day: dict[date, Sketch] = {}
    for (_, day), sketch in sorted(sketches.items()):
        # A day may lie in many files, and its copy in others, cut elsewhere.
        of_day[day] = of_day[day].united(sketch) if day in of_day else sketch
    holders: defaultdict[int, list[date]] = defaultdict(list)
    for day, sketch in sorted(of_day.items()):
        for one in sketch.hashes:
            holders[one].append(day)
    pairs = max(1, len(sketches) * (len(of_day) - 1))
    found = []
    for (file, day), sketch in sketches.items():
        shares = _shares(sketch, day, holders, of_day, FALSE_ALARM / pairs)
        if shares:
            first = min(shares)
            found.append(Restamped(file, day, first, round(shares[first], 4), tuple(sorted(shares))))
    return sorted(found, key=lambda one: (one.day, one.file))


def _shares(
    sketch: Sketch, day: date, holders: Mapping[int, list[date]], of_day: Mapping[date, Sketch], level: float
) -> dict[date, float]:
    """Share of the sketch in each earlier day that it repeats."""
    met: Counter[date] = Counter()
    for one in sketch.hashes:
        met.update(earlier for earlier in holders[one] if earlier < day)
    answer = {}
    for earlier, matches in met.items():
        # Above the other day's bound nothing is known of it, so nothing is compared.
        compared = bisect_right(sketch.hashes, of_day[earlier].bound)
        coarse = sketch.to_the_minute and of_day[earlier].to_the_minute
        chance = CHANCE_TO_THE_MINUTE if coarse else CHANCE_TO_THE_SECOND
        if matches >= LEAST_SHARE * compared and _log_tail(matches, compared, chance) <= log(level):
            answer[earlier] = matches / compared
    return answer


@cache
def _log_tail(matches: int, compared: int, chance: float) -> float:
    """Log of the binomial probability of ``matches`` or more of ``compared``."""

    def term(k: int) -> float:
        ways = lgamma(compared + 1) - lgamma(k + 1) - lgamma(compared - k + 1)
        return ways + k * log(chance) + (compared - k) * log1p(-chance)

    top = term(matches)
    if matches <= chance * compared:
        return 0.0
    return top + log(sum(exp(term(k) - top) for k in range(matches, compared + 1)))


def copied_rows(passes: str, source: str) -> str:
    """SQL: all columns of ``passes`` and ``ORIGIN``, ``copied`` for rows that have their twin in ``source``.

    A twin has the same second of day, gate, direction and plate; all other rows are ``observed``. A row
    without a time of day has no twin. The order of rows is not kept.

    Args:
        passes: name of a view of one re-stamped day (a ``Restamped.day`` of its ``file``).
        source: name of a view of the passes of its ``Restamped.twins``, from all files.
    """
    same = " AND ".join(
        f"{_of(column, 'twin')} IS NOT DISTINCT FROM {_of(column, 'pass')}" for column in _TWIN
    )
    return (
        f"SELECT pass.*, CASE WHEN {_of(_SECOND_OF_DAY, 'pass')} > 0 AND EXISTS "
        f"(SELECT 1 FROM {source} AS twin WHERE {same}) THEN 'copied' ELSE 'observed' END AS ORIGIN "
        f"FROM {passes} AS pass"
    )


def _of(expression: str, table: str) -> str:
    for column in ("GCSJ", "KKMC", "FXLX", "HPHM"):
        expression = expression.replace(column, f"{table}.{column}")
    return expression
