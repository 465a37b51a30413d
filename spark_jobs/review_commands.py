"""``kakou detect review | reviews``: what people say of alerts."""

from __future__ import annotations

import getpass
import json
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from kakou.alert import CLONED
from kakou.errors import BadInputError
from kakou.settings import load_settings

if TYPE_CHECKING:
    from kakou.detection.precision import Precision
    from kakou.detection.reviews import Review, ReviewedCase


def review(
    case_or_alert: Annotated[str, typer.Argument(help="Id of an alert, or of a case: its newest alert.")],
    outcome: Annotated[str, typer.Argument(help="confirmed (a cloned plate) or false (none).")],
    reason: Annotated[str | None, typer.Option(help="Of false: misread, clock, same_owner or other.")] = None,
    note: Annotated[str, typer.Option(help="Free words.")] = "",
    reviewer: Annotated[str | None, typer.Option(help="Who says so; default: your login name.")] = None,
) -> None:
    """Say of an alert that the plate was cloned, or that it was not and why.

    The newest review of a case counts, of whichever alert of it. The next night weighs reasons by it.

    Examples:

      kakou detect review 3f0c…e1 confirmed

      kakou detect review 3f0c…e1 false --reason misread --note "8 for B"
    """
    from kakou.detection.reviews import Review
    from sql.reviews import store_review

    said = Review(outcome, reason, note, reviewer if reviewer is not None else _login())
    stored = store_review(load_settings(), case_or_alert, said)
    if stored is None:
        raise BadInputError(
            f"There is no alert and no case {case_or_alert}. Take the 32 characters alert_id or case_id of "
            "GET /api/warnings/realtime or of table warnings."
        )
    typer.echo(f"review {stored.id} of alert {stored.alert_id}: {_outcome(stored.review)}")


def reviews(
    limit: Annotated[int, typer.Option(min=1, help="Most cases that are listed.")] = 50,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the cases that were reviewed last, and how often cloned plates were right.

    Each case is shown with what it says in the end. Precision is over all reviewed cases that end with the
    verdict cloned_plate, with the interval that holds the true one 9 times in 10.

    Example: kakou detect reviews --limit 10
    """
    from kakou.detection.precision import precision_of
    from sql.reviews import all_reviewed

    found = all_reviewed(load_settings())
    precision = precision_of(one.confirmed for one in found if one.last.verdict == CLONED)
    if as_json:
        listed = [_in_json(one) for one in found[:limit]]
        shown = {"reviewed": len(found), "precision": _precision_in_json(precision), "reviews": listed}
        typer.echo(json.dumps(shown, ensure_ascii=False))
        return
    table = Table("plate", "verdict", "confidence", "outcome", "reviewer", "at", "alert", title="reviews")
    for one in found[:limit]:
        last, said = one.last, one.review.review
        cells = (last.hphm, last.verdict, f"{last.confidence:.3f}", _outcome(said), said.reviewer)
        when = one.review.created_at.isoformat(" ", "seconds")
        table.add_row(*(Text(cell) for cell in (*cells, when, one.review.alert_id)))
    Console().print(table)
    typer.echo(f"{table.row_count} of {len(found):,} reviewed cases shown")
    typer.echo(_in_words(precision))


def _login() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError) as error:
        raise BadInputError("This account has no login name. Name yourself with --reviewer.") from error


def _outcome(said: Review) -> str:
    return f"{said.outcome} ({said.reason})" if said.reason else said.outcome


def _in_json(one: ReviewedCase) -> dict[str, Any]:
    last, said = one.last, one.review.review
    return {
        "case_id": last.case_id, "alert_id": one.review.alert_id, "hphm": last.hphm, "verdict": last.verdict,
        "confidence": last.confidence, "outcome": said.outcome, "reason": said.reason, "note": said.note,
        "reviewer": said.reviewer, "created_at": one.review.created_at.isoformat(" ", "milliseconds"),
    }  # fmt: skip


def _precision_in_json(found: Precision) -> dict[str, Any] | None:
    if found.interval is None:
        return None
    low, high = found.interval
    n = found.confirmed + found.false
    return {"n": n, "confirmed": found.confirmed, "share": found.share, "low": low, "high": high}


def _in_words(found: Precision) -> str:
    if found.interval is None:
        return "precision: no case with the verdict cloned_plate was reviewed yet"
    low, high = found.interval
    return (
        f"precision {found.share:.1%} (90 % interval {low:.1%} to {high:.1%}): "
        f"{found.confirmed:,} of {found.confirmed + found.false:,} reviewed cloned plates were confirmed"
    )
