"""What a person says of an alert, and so of its case."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, get_args

from kakou.detection.case_steps import cases_of

Outcome = Literal["confirmed", "false"]
Reason = Literal["misread", "clock", "same_owner", "other"]
OUTCOMES: Final[tuple[str, ...]] = get_args(Outcome)
REASONS: Final[tuple[str, ...]] = get_args(Reason)
NOTE_MAX: Final = 500
REVIEWER_MAX: Final = 64


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
class StoredReview:
    """A review as it is kept; ``created_at`` is local time without an offset."""

    id: int
    alert_id: str
    review: Review
    created_at: datetime


@dataclass(frozen=True, slots=True)
class StoredStep:
    """An alert of a case without its evidence. Times are local, without an offset.

    Attributes:
        at: of its second pass.
    """

    alert_id: str
    case_id: str
    step: int
    hphm: str
    verdict: str
    confidence: float
    at: datetime
    detected_at: datetime


@dataclass(frozen=True, slots=True)
class ReviewedCase:
    """A case with the review that counts.

    Attributes:
        steps: its alerts, oldest first.
        review: the newest one of any of them.
    """

    steps: tuple[StoredStep, ...]
    review: StoredReview

    @property
    def last(self) -> StoredStep:
        """What the case says in the end."""
        return self.steps[-1]

    @property
    def confirmed(self) -> bool:
        return self.review.review.outcome == "confirmed"


def reviewed_cases(steps: Iterable[StoredStep], reviews: Iterable[StoredReview]) -> list[ReviewedCase]:
    """Each case that somebody reviewed, once, by the review that was said last of any of its alerts.

    Args:
        steps: all alerts of the cases that are asked for, in any order.
        reviews: in any order; those of other alerts say nothing.

    Returns:
        the case with the newest review first.
    """
    newest = {one.alert_id: one for one in sorted(reviews, key=lambda one: one.id)}
    found = []
    for case in cases_of(steps):
        said = [newest[one.alert_id] for one in case if one.alert_id in newest]
        if said:
            found.append(ReviewedCase(tuple(case), max(said, key=lambda one: one.id)))
    return sorted(found, key=lambda one: -one.review.id)
