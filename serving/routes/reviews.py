"""What people say of many warnings, in one answer."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Query
from pydantic import StringConstraints

from serving.dependencies import ServicesDep, Signed
from serving.shapes import CaseReview

router = APIRouter(prefix="/api/reviews", tags=["warnings"], dependencies=[Signed])

LIVE_SECONDS: Final = 2.0
MOST: Final = 100
AlertIds = Annotated[
    list[Annotated[str, StringConstraints(pattern="^[0-9a-f]{32}$")]],
    Query(min_length=1, max_length=MOST, description="`alert_id`, as often as needed"),
]


@router.get("", summary="What was said of the cases of many warnings")
def that_count(alert_id: AlertIds, held: ServicesDep) -> list[CaseReview]:
    """The newest review of the case of each warning. Warnings that are unknown, or of cases that nobody
    reviewed, are left out.
    """
    asked = frozenset(alert_id)
    return held.cache.get(("reviews", asked), LIVE_SECONDS, lambda: held.reviews.that_count(asked))
