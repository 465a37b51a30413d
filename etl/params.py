"""Parameters of the batch steps: frozen, so that a run can be told again from them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Final

from kakou.errors import BadInputError

# At this confidence more than 90 % of the missing plate types of whole plates are filled, 97 % of them right.
LEAST_SURE: Final = 0.75

_REPLICATE = re.compile(r"^(\d{1,2})-(\d{1,2}):(\d{1,2})-(\d{1,2})$")


@dataclass(frozen=True, slots=True)
class EtlParams:
    """What a user may choose.

    Attributes:
        replicate: ``12-17:18-21`` copies days 12–17 of each month onto its missing days 18–21; ``None``
            makes up nothing.
        imputation_confidence: a model fills a missing field only where it is at least this sure (0–1).
        max_reject_share: more failing rows than this share end the run with ``BadInputError``.
        first_day, last_day: only the days from the one to the other are built, all others keep what an
            earlier run made of them; ``None`` is no bound.
        gate_registry: a person's own file of gates over the package's, see ``etl.registry.known_gates``.
    """

    replicate: str | None = None
    imputation_confidence: float = LEAST_SURE
    max_reject_share: float = 0.05
    first_day: date | None = None
    last_day: date | None = None
    gate_registry: Path | None = None

    def __post_init__(self) -> None:
        for name in ("imputation_confidence", "max_reject_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise BadInputError(f"{name} must lie between 0 and 1, not {getattr(self, name)}.")
        if self.first_day and self.last_day and self.first_day > self.last_day:
            raise BadInputError(f"first_day {self.first_day} lies after last_day {self.last_day}.")
        if self.replicate:
            parse_replicate(self.replicate)


def parse_replicate(text: str) -> tuple[tuple[int, int], ...]:
    """Reads ``12-17:18-21`` into (source day, target day) pairs; a longer target begins the source again.

    >>> parse_replicate("12-17:18-21")
    ((12, 18), (13, 19), (14, 20), (15, 21))

    Raises:
        BadInputError: not of that form, a day outside 1–31, or the two ranges overlap.
    """
    match = _REPLICATE.match(text.strip())
    if not match:
        raise BadInputError(f"replicate '{text}' cannot be read; write it like 12-17:18-21.")
    first, last, begin, end = (int(part) for part in match.groups())
    if not (1 <= first <= last <= 31 and 1 <= begin <= end <= 31):
        raise BadInputError(f"replicate '{text}' names a day outside 1-31 or a range that runs backwards.")
    if first <= end and begin <= last:
        raise BadInputError(f"replicate '{text}' copies a range onto itself; the two must not overlap.")
    sources = range(first, last + 1)
    return tuple((sources[i % len(sources)], day) for i, day in enumerate(range(begin, end + 1)))
