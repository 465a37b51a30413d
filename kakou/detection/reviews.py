"""What a person says of an alert, and how often alerts were right by that."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, get_args

Outcome = Literal["confirmed", "false"]
Reason = Literal["misread", "clock", "same_owner", "other"]
OUTCOMES: Final[tuple[str, ...]] = get_args(Outcome)
REASONS: Final[tuple[str, ...]] = get_args(Reason)
NOTE_MAX: Final = 500
REVIEWER_MAX: Final = 64
# A normal distribution has 90 % of its mass within so many standard deviations.
_Z_90: Final = 1.6448536269514722


@dataclass(frozen=True, slots=True)
class Review:
    """What a person says of an alert.

    Attributes:
        outcome: ``confirmed``: two vehicles drive under the plate, one of them cloned; ``false``: no plate
            was cloned. Whatever the alert's own verdict is.
        reason: of ``false``, what made the contradiction: a ``misread`` plate, a wrong ``clock``, two
            vehicles of the ``same_owner``, or something ``other``.
        note: free words, at most ``NOTE_MAX`` characters.
        reviewer: who says so, 1 to ``REVIEWER_MAX`` characters.
    """

    outcome: str
    reason: str | None
    note: str
    reviewer: str


def fault_of(review: Review) -> str | None:
    """Why a review cannot be taken, as one sentence; None where it can.

    >>> fault_of(Review("confirmed", None, "", "li"))
    >>> fault_of(Review("false", None, "", "li"))
    'A false alert needs a reason: misread, clock, same_owner or other.'
    """
    named = ", ".join(REASONS[:-1]) + f" or {REASONS[-1]}"
    if review.outcome not in OUTCOMES:
        return f"{review.outcome!r} is no outcome. Say confirmed or false."
    if review.outcome == "confirmed" and review.reason is not None:
        return "A confirmed alert has no reason. Leave it out, or say false."
    if review.outcome == "false" and review.reason is None:
        return f"A false alert needs a reason: {named}."
    if review.reason is not None and review.reason not in REASONS:
        return f"{review.reason!r} is no reason. Say {named}."
    if len(review.note) > NOTE_MAX:
        return f"The note has {len(review.note)} characters and may have {NOTE_MAX}. Shorten it."
    if not 1 <= len(review.reviewer.strip()) <= REVIEWER_MAX:
        return f"The reviewer's name must have 1 to {REVIEWER_MAX} characters."
    # A terminal would act on what is not printable.
    if not review.reviewer.isprintable() or not "".join(review.note.split()).isprintable():
        return "Note and reviewer must be printable text."
    return None


@dataclass(frozen=True, slots=True)
class Precision:
    """How many of the reviewed alerts were right.

    Attributes:
        n: alerts that were reviewed.
        confirmed: those that were right.
        low, high: between which the true share lies 9 times in 10, as far as chance goes.
    """

    n: int
    confirmed: int
    low: float
    high: float

    @property
    def share(self) -> float:
        return self.confirmed / self.n


def precision_of(confirmed: Sequence[bool]) -> Precision | None:
    """The share of right ones with Wilson's interval of 90 %; None where nothing was reviewed.

    The score interval of E. B. Wilson (1927), which holds for few reviews and for shares near 1, too.

    >>> found = precision_of([True] * 9 + [False])
    >>> round(found.low, 3), found.share, round(found.high, 3)
    (0.652, 0.9, 0.977)
    """
    n = len(confirmed)
    if not n:
        return None
    share, z2 = sum(confirmed) / n, _Z_90**2
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = _Z_90 / (1 + z2 / n) * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    return Precision(n, sum(confirmed), max(0.0, middle - half), min(1.0, middle + half))
