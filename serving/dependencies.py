"""What a route can ask for, as types: a route then reads as a sentence."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated

from fastapi import Depends, Query, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from serving.services import Services

_BEARER = HTTPBearer(auto_error=False, description="Token of `POST /api/login`")


def services(request: Request) -> Services:
    """The process's services."""
    found: Services = request.app.state.services
    return found


ServicesDep = Annotated[Services, Depends(services)]


def caller(
    request: Request,
    held: ServicesDep,
    bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(_BEARER)],
) -> str:
    """Who asks, by bearer token or by the screen's cookie; anybody else gets a 401."""
    cookie = request.cookies.get(held.gatekeeper.cookie)
    return held.gatekeeper.admit(bearer.credentials if bearer else None, cookie)


def signed_in(
    held: ServicesDep, bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(_BEARER)]
) -> str:
    """Who writes, by bearer token. Whoever opens the page gets the screen's cookie: it may only read."""
    return held.gatekeeper.admit(bearer.credentials if bearer else None, None)


def now(held: ServicesDep) -> datetime:
    """Local time without offset."""
    return held.now()


def day_or_today(current: Now, date_: Annotated[date | None, Query(alias="date")] = None) -> date:
    """The day that the caller names, else today."""
    return date_ or current.date()


GateName = Annotated[str, Query(min_length=1, max_length=200, description="Codename, name or alias")]
OptionalGateName = Annotated[str | None, Query(max_length=200, description="Codename, name or alias")]
Signed = Depends(caller)
Writer = Annotated[str, Depends(signed_in)]
Now = Annotated[datetime, Depends(now)]
Day = Annotated[date, Depends(day_or_today)]
Hours = Annotated[int, Query(ge=1, le=720, description="Hours of the clock, the running one included")]
