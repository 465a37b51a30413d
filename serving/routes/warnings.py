"""Live warnings, and what people say of them."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Path, Query

from serving.dependencies import Caller, ServicesDep, Signed
from serving.shapes import AlertItem, ReviewInput, ReviewItem

router = APIRouter(prefix="/api/warnings", tags=["warnings"], dependencies=[Signed])

LIVE_SECONDS: Final = 0.5
WarningId = Annotated[str, Path(description="`alert_id` or `case_id`")]


@router.get("/realtime", summary="The newest warnings of cloned plates")
def realtime(held: ServicesDep, limit: Annotated[int, Query(ge=1, le=1000)] = 10) -> list[AlertItem]:
    """Newest first, at most the latest 1,000."""
    return held.cache.get(("warnings", limit), LIVE_SECONDS, lambda: held.warnings.newest(limit))


@router.post("/{id}/review", status_code=201, summary="Say of a warning that it is right or false")
def review(id: WarningId, said: ReviewInput, caller: Caller, held: ServicesDep) -> ReviewItem:
    """Of a case its newest warning is meant. Nothing is overwritten: the newest review of a warning counts,
    and the next night weighs reasons by it.
    """
    return held.reviews.add(id, said.by(caller))


@router.get("/{id}/reviews", summary="What was said of a warning")
def reviews(id: WarningId, held: ServicesDep) -> list[ReviewItem]:
    """Newest first; of a case those of all its warnings."""
    return held.reviews.of(id)
