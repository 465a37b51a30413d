"""The two vehicles of a case: which passes are the owner's, and which are somebody else's."""

from __future__ import annotations

from dataclasses import dataclass

from kakou.detection.cases import Case
from kakou.detection.horizon import Passes
from kakou.detection.rules import Rules
from kakou.fields import MISSING


@dataclass(frozen=True)
class Seen:
    """A pass of a track. Times are seconds of local time: as stamped, and with the gate's clock set right."""

    gcxh: str
    kkmc: str
    kkmc_name: str
    stamped: int
    right: int
    clppxh: str
    hpzl: str


@dataclass(frozen=True)
class Tracks:
    """Passes of a plate by right time. A pass that a gate read twice is in it once.

    Attributes:
        own: those that one vehicle can have made.
        other: those that it cannot, and those that show their make. Which vehicle is the lawful one, nobody
            can tell from passes.
    """

    own: tuple[Seen, ...]
    other: tuple[Seen, ...]


def tracks_of(case: Case, passes: Passes, rules: Rules) -> Tracks:
    """Separates the passes of a case."""
    others = {one.look.index for one in case.odd}
    looks = passes.looks(case.plate)
    indices = [look.index for look in looks]
    rows = dict(zip(indices, passes.frame[indices].to_dicts(), strict=True))

    def seen(index: int) -> Seen:
        row = rows[index]
        return Seen(
            row["gcxh"], row["kkmc"], rules.name_of(row["kkmc"]), int(row["t"]), round(passes.t[index]),
            row["clppxh"] or MISSING, row["hpzl"] or MISSING,
        )  # fmt: skip

    return Tracks(
        tuple(seen(look.index) for look in looks if look.index not in others),
        tuple(seen(look.index) for look in looks if look.index in others),
    )
