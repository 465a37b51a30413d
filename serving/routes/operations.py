"""What those who run the API look at: is it alive, is it ready, who are you."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter, Request

from kakou import __version__
from serving.dependencies import ServicesDep
from serving.problems import StoreDownError
from serving.readiness import OK
from serving.security import TOKEN_SECONDS
from serving.shapes import Health, Login, Readiness, Token

router = APIRouter(tags=["operations"])

READY_SECONDS: Final = 1.0


@router.get("/health", summary="The process lives")
def health(held: ServicesDep) -> Health:
    """Asks no store: a restart would not mend one."""
    return Health(status="ok", timestamp=_timestamp(held), version=__version__)


@router.get("/ready", summary="Every store that is needed answers")
def ready(held: ServicesDep) -> Readiness:
    """503 names the store that does not; within five seconds."""
    checks = held.cache.get("ready", READY_SECONDS, held.readiness.check)
    away = [name for name, said in checks.items() if said != OK]
    if away:
        raise StoreDownError(
            f"Not ready: {', '.join(away)}. `kakou status` shows more.",
            checks=checks,
            timestamp=_timestamp(held),
        )
    return Readiness(status="ready", timestamp=_timestamp(held), checks=checks)


@router.post("/api/login", summary="Change user and password for a token")
def login(given: Login, request: Request, held: ServicesDep) -> Token:
    """The token goes into `Authorization: Bearer …` and holds for 24 hours."""
    address = request.client.host if request.client else "unknown"
    token = held.gatekeeper.login(given.username, given.password, address)
    return Token(access_token=token, expires_in=TOKEN_SECONDS)


def _timestamp(held: ServicesDep) -> str:
    return held.clock().isoformat(timespec="milliseconds")
