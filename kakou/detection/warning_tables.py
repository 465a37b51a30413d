"""Edge: tables ``warnings``, ``warning_tracks`` and ``reviews`` as they are read.

The one place that knows which alerts belong to a case, which reviews to its alerts, and which alerts screens
are told of. Whoever reads brings a connection: the API its pool at the endpoint, a command the first node.
The endpoint is never asked to join.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Final, Protocol

from kakou.alert import CLONED, is_id
from kakou.detection.case_steps import cases_of
from kakou.detection.reviews import Review, ReviewedCase, StoredReview, StoredStep, reviewed_cases

# What screens are told: cloned plates, and that one is none after all.
TOLD: Final = f"(verdict = '{CLONED}' OR status = 'withdrawn')"
# Ids of the cases that somebody reviewed; for the node itself, where both tables are.
REVIEWED: Final = "SELECT w.case_id FROM warnings w JOIN reviews r ON r.alert_id = w.alert_id"
REVIEW: Final = "id, alert_id, verdict, reason, note, reviewer, created_at"
_CHUNK: Final = 500
# Our own names all of them, and no value of anybody's.
_STEPS: Final = (
    "SELECT alert_id, case_id, step, hphm, verdict, confidence, second_gcsj, detected_at "
    "FROM warnings WHERE case_id IN "
)
_REVIEWS: Final = f"SELECT {REVIEW} FROM reviews"  # noqa: S608
_CASES_OF: Final = "SELECT DISTINCT case_id FROM warnings WHERE alert_id IN %s"
_BODIES: Final = "SELECT alert_id, body FROM warnings WHERE alert_id IN %s"
_TRACKS: Final = "SELECT body FROM warning_tracks WHERE alert_id = %s"
_NEWEST_TOLD: Final = (
    f"SELECT body FROM warnings WHERE {TOLD} ORDER BY detected_at DESC, alert_id DESC LIMIT %s"  # noqa: S608
)


class Ask(Protocol):
    """Answers the rows of a statement; ``%s`` stands for a value, or for a list of them in brackets."""

    def __call__(self, statement: str, values: Sequence[object] = (), /) -> Sequence[Any]: ...


def asking(cursor: Any) -> Ask:
    """Asks over a cursor of the driver."""

    def ask(statement: str, values: Sequence[object] = (), /) -> Sequence[Any]:
        cursor.execute(statement, values)
        rows: Sequence[Any] = cursor.fetchall()
        return rows

    return ask


def newest_told(ask: Ask, limit: int) -> list[str]:
    """JSON of the newest alerts that screens are told of, newest first."""
    return [str(row[0]) for row in ask(_NEWEST_TOLD, (limit,))]


def case_named(ask: Ask, name: str) -> list[StoredStep]:
    """The steps of a case, oldest first; none where nothing is called so.

    Args:
        name: id of one of its alerts, or of the case: the newest one that has it.
    """
    if not is_id(name):
        return []
    steps = _steps(ask, [name])
    if not steps:
        # Two questions, as an OR over two columns would read the whole table.
        steps = _steps(ask, [row[0] for row in ask(_CASES_OF, ([name],))])
    cases = cases_of(steps)
    mine = (case for case in cases if any(one.alert_id == name for one in case))
    return next(mine, cases[-1] if cases else [])


def bodies_of(ask: Ask, alerts: Sequence[str]) -> dict[str, str]:
    """JSON of alerts by their ids."""
    chunks = [alerts[start : start + _CHUNK] for start in range(0, len(alerts), _CHUNK)]
    return {str(row[0]): str(row[1]) for chunk in chunks for row in ask(_BODIES, (chunk,))}


def tracks_kept_with(ask: Ask, alert: str) -> str | None:
    """JSON of the passes that an alert was given on; None where they are not kept."""
    return next((str(row[0]) for row in ask(_TRACKS, (alert,))), None)


def reviews_named(ask: Ask, name: str) -> list[StoredReview] | None:
    """Every review of an alert, or of all alerts of a case, newest first; None where nothing is called so."""
    case = [one.alert_id for one in case_named(ask, name)]
    return _reviews_of(ask, [name] if name in case else case) if case else None


def what_counts_of(ask: Ask, alerts: Collection[str]) -> dict[str, StoredReview]:
    """By alert the review that counts of its case; alerts of cases that nobody reviewed are left out."""
    asked = sorted(filter(is_id, set(alerts)))
    steps = _steps(ask, [row[0] for row in ask(_CASES_OF, (asked,))] if asked else [])
    found = reviewed_cases(steps, _reviews_of(ask, [one.alert_id for one in steps]))
    return {step.alert_id: case.review for case in found for step in case.steps if step.alert_id in alerts}


def all_reviewed(ask: Ask) -> list[ReviewedCase]:
    """Every reviewed case, the one with the newest review first; of the node itself."""
    steps = [_step(row) for row in ask(f"{_STEPS} ({REVIEWED})")]
    return reviewed_cases(steps, [review_of(row) for row in ask(_REVIEWS)])


def review_of(row: Sequence[Any]) -> StoredReview:
    """From the columns ``REVIEW``."""
    number, alert, outcome, reason, note, reviewer, at = row
    return StoredReview(int(number), str(alert), Review(outcome, reason, note, reviewer), at)


def _reviews_of(ask: Ask, alerts: Sequence[str]) -> list[StoredReview]:
    rows = ask(f"{_REVIEWS} WHERE alert_id IN %s ORDER BY id DESC", (alerts,)) if alerts else ()
    return [review_of(row) for row in rows]


def _steps(ask: Ask, cases: Sequence[str]) -> list[StoredStep]:
    return [_step(row) for row in ask(f"{_STEPS} %s", (cases,))] if cases else []


def _step(row: Sequence[Any]) -> StoredStep:
    alert, case, step, plate, verdict, confidence, at, detected = row
    return StoredStep(
        str(alert), str(case), int(step), str(plate), str(verdict), float(confidence), at, detected
    )
