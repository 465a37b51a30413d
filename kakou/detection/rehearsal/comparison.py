"""What another rule would have said: the verdicts of two rules on the same passes, side by side.

Ids of alerts and cases carry the version of the rule, so verdicts are matched by plate and time: what one
rule would put into one case (``cases.CASE_S``) is one matter, whichever rule says it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from kakou.alert import CLONED, Alert
from kakou.detection.cases import CASE_S, Case, judge_case
from kakou.detection.precision import Precision
from kakou.detection.reviews import Outcome
from kakou.detection.weighing import Weighing

Change = Literal["added", "removed", "kept", "neither"]


@dataclass(frozen=True)
class Said:
    """What a rule says of a case. Times are seconds of local time, as stamped.

    Attributes:
        begin, last: of the oldest and the newest pass that is told of.
        called: of the pass with which the plate was first called cloned; None if it is not.
    """

    alert: Alert
    begin: int
    last: int
    called: int | None


@dataclass(frozen=True)
class Matter:
    """A plate at one time, and what either rule says of it; None where it says nothing.

    Attributes:
        begin, last: of the oldest and the newest pass that either tells of.
    """

    plate: str
    begin: int
    last: int
    old: Said | None
    new: Said | None

    @property
    def change(self) -> Change:
        """What becomes of the call."""
        old, new = (one is not None and one.called is not None for one in (self.old, self.new))
        if old:
            return "kept" if new else "removed"
        return "added" if new else "neither"

    @property
    def differs(self) -> bool:
        """Whether verdict, severity or confidence is another one."""
        said = [
            one and (one.alert.verdict, one.alert.severity, one.alert.confidence)
            for one in (self.old, self.new)
        ]
        return said[0] != said[1]


@dataclass(frozen=True)
class Reviewed:
    """What a person found out about a case: its plate, when it passed (seconds of local time), and whether
    it was cloned."""

    plate: str
    at: int
    outcome: Outcome


@dataclass(frozen=True)
class ReviewedMatters:
    """Reviews held against what both rules say.

    Attributes:
        found: what the review found and what becomes of the call, by plate and begin of the matter.
        unmatched: reviews of plates of which neither rule says anything, by what they found.
    """

    found: dict[tuple[str, int], tuple[Outcome, Change]]
    unmatched: Counter[Outcome]

    @cached_property
    def counts(self) -> Counter[tuple[Outcome, Change]]:
        """Matters by what the review found and what becomes of the call."""
        return Counter(self.found.values())

    def of(self, matter: Matter) -> Outcome | None:
        """What the review of a matter found; None where there is none."""
        return self.found.get((matter.plate, matter.begin), (None,))[0]

    @property
    def old(self) -> Precision:
        """Of what the old rule calls."""
        return self._precision("removed")

    @property
    def new(self) -> Precision:
        """Of what the new rule calls."""
        return self._precision("added")

    def _precision(self, alone: Change) -> Precision:
        confirmed, false = (
            self.counts[outcome, "kept"] + self.counts[outcome, alone] for outcome in ("confirmed", "false")
        )
        return Precision(confirmed, false)


def said_of(alert: Alert, case: Case, weighing: Weighing) -> Said:
    """What a replay says, with the times that a comparison needs."""
    episodes = case.episodes
    called = None
    if alert.verdict == CLONED:
        so_far = (judge_case(episodes[:count], weighing) for count in range(1, len(episodes) + 1))
        called = next(one.episodes[-1].last for one in so_far if one.cause == case.cause)
    return Said(alert, min(one.begin for one in episodes), max(one.last for one in episodes), called)


def compare(old: Iterable[Said], new: Iterable[Said]) -> list[Matter]:
    """Matches what two rules say of the same passes.

    Where a rule has several cases in one matter, a called one stands for it, and of those the surest.

    Returns:
        matters, by time and plate.
    """
    by_plate: defaultdict[str, list[tuple[Said, bool]]] = defaultdict(list)
    for is_new, lot in ((False, old), (True, new)):
        for said in lot:
            by_plate[said.alert.hphm].append((said, is_new))
    found = [
        _matter(plate, group)
        for plate, every in by_plate.items()
        for group in _grouped(sorted(every, key=lambda one: (one[0].begin, one[0].last, one[1])))
    ]
    return sorted(found, key=lambda one: (one.begin, one.plate))


def _grouped(every: Sequence[tuple[Said, bool]]) -> list[list[tuple[Said, bool]]]:
    """Those by time that lie so close that one rule would make one case of them."""
    groups: list[list[tuple[Said, bool]]] = []
    last = 0
    for one in every:
        said, _ = one
        if groups and said.begin - last <= CASE_S:
            groups[-1].append(one)
            last = max(last, said.last)
        else:
            groups.append([one])
            last = said.last
    return groups


def _matter(plate: str, group: Sequence[tuple[Said, bool]]) -> Matter:
    def foremost(of_new: bool) -> Said | None:
        mine = [said for said, is_new in group if is_new == of_new]
        return max(mine, key=lambda one: (one.called is not None, one.alert.confidence), default=None)

    return Matter(
        plate, min(said.begin for said, _ in group), max(said.last for said, _ in group),
        foremost(False), foremost(True),
    )  # fmt: skip


def hold_against_reviews(matters: Iterable[Matter], reviews: Iterable[Reviewed]) -> ReviewedMatters:
    """Holds what both rules say against what people found out.

    A review belongs to the nearest matter of its plate, at most a case apart (``CASE_S``); of several reviews
    of a matter the last one counts.

    Args:
        reviews: the oldest first.
    """
    by_plate: defaultdict[str, list[Matter]] = defaultdict(list)
    for matter in matters:
        by_plate[matter.plate].append(matter)
    found: dict[tuple[str, int], tuple[Outcome, Change]] = {}
    unmatched: dict[tuple[str, int], Outcome] = {}
    for review in reviews:
        near = min(by_plate.get(review.plate, ()), key=lambda one: _apart(one, review.at), default=None)
        if near is not None and _apart(near, review.at) <= CASE_S:
            found[near.plate, near.begin] = review.outcome, near.change
        else:
            unmatched[review.plate, review.at] = review.outcome
    return ReviewedMatters(found, Counter(unmatched.values()))


def _apart(matter: Matter, at: int) -> int:
    return max(0, matter.begin - at, at - matter.last)
