"""Live warnings, and what people say of them."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Path, Query
from fastapi.responses import HTMLResponse

from serving.dependencies import ServicesDep, Signed, Writer
from serving.shapes import AlertItem, ReviewInput, ReviewItem

router = APIRouter(prefix="/api/warnings", tags=["warnings"], dependencies=[Signed])

LIVE_SECONDS: Final = 0.5
WarningId = Annotated[str, Path(description="`alert_id` or `case_id`")]
# The page needs its own styles and nothing else, whoever may have written what it shows.
_PAGE_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'"


@router.get("/realtime", summary="The newest warnings of cloned plates")
def realtime(held: ServicesDep, limit: Annotated[int, Query(ge=1, le=1000)] = 10) -> list[AlertItem]:
    """Newest first, at most the latest 1,000."""
    return held.cache.get(("warnings", limit), LIVE_SECONDS, lambda: held.warnings.newest(limit))


@router.post("/{id}/review", status_code=201, summary="Say of a warning that it is right or false")
def review(id: WarningId, said: ReviewInput, caller: Writer, held: ServicesDep) -> ReviewItem:
    """Of a case its newest warning is meant. Nothing is overwritten: the newest review of a case counts, of
    whichever warning of it, and the next night weighs reasons by it.
    """
    return held.reviews.add(id, said.by(caller))


@router.get("/{id}/reviews", summary="What was said of a warning")
def reviews(id: WarningId, held: ServicesDep) -> list[ReviewItem]:
    """Newest first; of a case those of all its warnings."""
    return held.reviews.of(id)


@router.get("/{id}/evidence", summary="The page of evidence of a case or alert", response_class=HTMLResponse)
def evidence(id: Annotated[WarningId, Path(pattern="^[0-9a-f]{32}$")], held: ServicesDep) -> HTMLResponse:
    """One page of HTML that needs nothing else: both tracks, the times, the travel time and its basis.

    Of a case the newest alert is shown.
    """
    return HTMLResponse(held.evidence.page(id), headers={"Content-Security-Policy": _PAGE_POLICY})
