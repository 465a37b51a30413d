"""The two vehicles of a case: which passes are the owner's, and which are somebody else's."""

from __future__ import annotations

from dataclasses import dataclass

from kakou.detection.cases import Case
from kakou.detection.horizon import Look
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


def tracks_of(case: Case, rules: Rules) -> Tracks:
    """Separates the passes of a case."""
    others = {one.look.row for one in case.odd}
    looks = [look for episode in case.episodes for look in episode.looks]

    def seen(look: Look) -> Seen:
        row = look.row
        return Seen(
            row.gcxh, row.kkmc, rules.name_of(row.kkmc), row.t, round(look.t), row.clppxh or MISSING,
            row.hpzl or MISSING,
        )  # fmt: skip

    return Tracks(
        tuple(seen(look) for look in looks if look.row not in others),
        tuple(seen(look) for look in looks if look.row in others),
    )
