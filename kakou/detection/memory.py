"""What a casebook remembers between two batches."""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import dataclass, field
from typing import Final

from kakou.alert import Alert
from kakou.detection.cases import Episode
from kakou.detection.clocks import Clocks
from kakou.detection.crowds import Pair
from kakou.detection.episodes import episodes_of
from kakou.detection.horizon import Row
from kakou.detection.state import NO_TIME, State

# Of ``Memory`` and all that it holds, as it is kept.
CASEBOOK_FORMAT: Final = 2


@dataclass(frozen=True)
class Record:
    """What is known of a plate with contradictions.

    Attributes:
        pairs: its contradictions that belong to open episodes: gates and stamped times.
        rows: passes of these episodes, those of neighbours included.
        counted: its contradictions of episodes that are over.
        over: final episodes of its case, by time.
        step: alerts given so far.
        last: the last one of its case.
    """

    plate: str
    pairs: frozenset[Pair] = frozenset()
    rows: frozenset[Row] = frozenset()
    counted: frozenset[Pair] = frozenset()
    over: tuple[Episode, ...] = ()
    step: int = 0
    last: Alert | None = None

    @property
    def episodes(self) -> list[tuple[int, int]]:
        """First and last contradiction of the open ones."""
        return episodes_of(pair.t_b for pair in self.pairs)


@dataclass
class Memory:
    """What a casebook remembers.

    Attributes:
        passes: all passes, for as long as a contradiction may ask about them.
        sample: those by which the clocks are estimated.
        newest: newest stamped time seen.
        records: by plate.
        blocks: clocks that are final, by block.
        gates: those whose codes the clocks are by.
        traffic: passes by gate and slot of time, ``crowds.Traffic``.
    """

    passes: State = field(default_factory=State)
    sample: State = field(default_factory=State)
    newest: int = NO_TIME
    records: MutableMapping[str, Record] = field(default_factory=dict)
    blocks: MutableMapping[int, Clocks] = field(default_factory=dict)
    gates: tuple[str, ...] = ()
    traffic: MutableMapping[tuple[str, int], int] = field(default_factory=dict)
