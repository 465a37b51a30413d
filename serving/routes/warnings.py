"""Live warnings."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Path, Query
from fastapi.responses import HTMLResponse

from serving.dependencies import ServicesDep, Signed
from serving.shapes import AlertItem

router = APIRouter(prefix="/api/warnings", tags=["warnings"], dependencies=[Signed])

LIVE_SECONDS: Final = 0.5
# The page needs its own styles and nothing else, whoever may have written what it shows.
_PAGE_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'"


@router.get("/realtime", summary="The newest warnings of cloned plates")
def realtime(held: ServicesDep, limit: Annotated[int, Query(ge=1, le=1000)] = 10) -> list[AlertItem]:
    """Newest first, at most the latest 1,000."""
    return held.cache.get(("warnings", limit), LIVE_SECONDS, lambda: held.warnings.newest(limit))


@router.get(
    "/{name}/evidence", summary="The page of evidence of a case or alert", response_class=HTMLResponse
)
def evidence(
    held: ServicesDep, name: Annotated[str, Path(pattern="^[0-9a-f]{32}$", description="Id of either")]
) -> HTMLResponse:
    """One page of HTML that needs nothing else: both tracks, the times, the travel time and its basis.

    Of a case the newest alert is shown.
    """
    return HTMLResponse(held.evidence.page(name), headers={"Content-Security-Policy": _PAGE_POLICY})
