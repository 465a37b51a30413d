"""The interactive search over single passes."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from fastapi import APIRouter

from serving.clock import naive
from serving.dependencies import ServicesDep, Signed
from serving.problems import InvalidInputError
from serving.shapes import PassPage, PassQuery

router = APIRouter(tags=["passes"], dependencies=[Signed])


@router.post("/api/query", summary="Search passes by plate, gate, time, type and direction")
def query(wanted: PassQuery, held: ServicesDep) -> PassPage:
    """Newest first. A plate may hold `*` and `?`; times are local, both ends included."""
    kkmc = held.gates.codename(wanted.kkmc) if wanted.kkmc else None
    start = _local(wanted.start, held.settings.timezone)
    end = _local(wanted.end, held.settings.timezone)
    if start and end and start > end:
        raise InvalidInputError("start must not be after end.")
    return held.passes.search(wanted.model_copy(update={"kkmc": kkmc, "start": start, "end": end}))


def _local(moment: datetime | None, timezone: str) -> datetime | None:
    if moment is None:
        return None
    return naive(moment.astimezone(ZoneInfo(timezone)) if moment.tzinfo else moment)
