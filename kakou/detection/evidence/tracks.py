"""The two tracks of a case as words: what a page of evidence shows, and how it is kept with the verdict.

Kept as JSON beside the alert, so that a page shows just the passes that the verdict was given on, long after
the passes themselves are forgotten. Times there are local, ``YYYY-MM-DD HH:MM:SS``::

    {"version": 1, "gates": {"A": "甲卡口"}, "way": {"seconds": 840, "basis": "history", "trips": 512, "kmh": null},
     "own": [{"gcxh": "1", "kkmc": "A", "gcsj": "…", "right": "…", "clppxh": "大众牌", "hpzl": "02"}],
     "other": […], "left_out": 0}
"""  # noqa: E501 - an example

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

from kakou.alert import CLONED, Alert
from kakou.detection.times import seconds_of, text_of

TRACKS_VERSION: Final = 1
Basis = Literal["history", "composed", "map"]
# Verdicts that a person may want to look into; the others are many, and explained.
_KEPT: Final = frozenset({CLONED, "undecided"})


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
class Way:
    """What the two passes that contradict each other are held against.

    Attributes:
        seconds: shortest honest travel time.
        basis: how it is known. ``history``: learned from trips between just these gates; ``composed``: from
            trips over gates between; ``map``: the straight line at ``kmh``.
        trips: direct trips behind it; None where nobody counted.
        kmh: None unless it is taken from the map.
    """

    seconds: int
    basis: Basis
    trips: int | None = None
    kmh: float | None = None


@dataclass(frozen=True)
class Tracks:
    """Passes of a plate by right time. A pass that a gate read twice is in it once.

    Attributes:
        own: those that one vehicle can have made.
        other: those that it cannot, and those that show their make. Which vehicle is the lawful one, nobody
            can tell from passes.
        way: None where the rules have changed since the two passes were compared.
        left_out: passes that are not among them because they are too many.
    """

    own: tuple[Seen, ...]
    other: tuple[Seen, ...]
    way: Way | None = None
    left_out: int = 0

    def to_json(self) -> str:
        """One line of JSON, Chinese kept as it is; a gate's long name once."""
        return json.dumps(
            {
                "version": TRACKS_VERSION,
                "gates": {one.kkmc: one.kkmc_name for one in (*self.own, *self.other)},
                "way": self.way and asdict(self.way),
                "own": [_to_dict(one) for one in self.own],
                "other": [_to_dict(one) for one in self.other],
                "left_out": self.left_out,
            },
            ensure_ascii=False,
            separators=(",", ":"),
        )

    @classmethod
    def from_json(cls, text: str) -> Tracks:
        """Reads what ``to_json`` wrote."""
        raw = json.loads(text)
        own, other = (
            tuple(_from_dict(one, raw["gates"]) for one in raw[which]) for which in ("own", "other")
        )
        return cls(own, other, raw["way"] and Way(**raw["way"]), raw["left_out"])


def has_kept_tracks(alert: Alert) -> bool:
    """Whether the tracks of an alert are kept: a person may want to see why, or why no longer."""
    return alert.verdict in _KEPT or alert.status == "withdrawn"


def _to_dict(one: Seen) -> dict[str, str]:
    return {
        "gcxh": one.gcxh, "kkmc": one.kkmc, "gcsj": text_of(one.stamped), "right": text_of(one.right),
        "clppxh": one.clppxh, "hpzl": one.hpzl,
    }  # fmt: skip


def _from_dict(raw: dict[str, Any], names: dict[str, str]) -> Seen:
    return Seen(
        raw["gcxh"], raw["kkmc"], names[raw["kkmc"]], seconds_of(raw["gcsj"]), seconds_of(raw["right"]),
        raw["clppxh"], raw["hpzl"],
    )  # fmt: skip
