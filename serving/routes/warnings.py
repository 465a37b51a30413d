"""Live warnings."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Query

from serving.dependencies import ServicesDep, Signed
from serving.shapes import AlertItem

router = APIRouter(prefix="/api/warnings", tags=["warnings"], dependencies=[Signed])

LIVE_SECONDS: Final = 0.5


@router.get("/realtime", summary="The newest warnings of cloned plates")
def realtime(held: ServicesDep, limit: Annotated[int, Query(ge=1, le=1000)] = 10) -> list[AlertItem]:
    """Newest first, at most the latest 1,000."""
    return held.cache.get(("warnings", limit), LIVE_SECONDS, lambda: held.warnings.newest(limit))
