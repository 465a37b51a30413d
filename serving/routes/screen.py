"""The big screen's files, its cookie, and the API's own manual page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import FileResponse, HTMLResponse

from kakou.settings import PROJECT_ROOT, is_loopback
from serving.dependencies import ServicesDep, Signed
from serving.problems import NotSignedInError, ScreenMissingError
from serving.security import SCREEN, TOKEN_SECONDS

router = APIRouter(include_in_schema=False)

DIST: Final = PROJECT_ROOT / "web" / "dist"
_FRESH: Final = {"Cache-Control": "no-store"}


@router.get("/")
def screen(held: ServicesDep) -> Response:
    """The screen. Where only this machine can reach it, it comes with the cookie that opens the API."""
    page = FileResponse(_built("index.html"), media_type="text/html", headers=_FRESH)
    if is_loopback(held.settings.host):
        page.set_cookie(
            held.gatekeeper.cookie,
            held.gatekeeper.sign("screen", SCREEN),
            max_age=TOKEN_SECONDS,
            httponly=True,
            samesite="strict",
        )
    return page


def reader(request: Request, held: ServicesDep) -> str | None:
    """The caller if known; None lets the page say in words how to get in."""
    try:
        return held.gatekeeper.admit(_bearer(request), request.cookies.get(held.gatekeeper.cookie))
    except NotSignedInError:
        if "text/html" in request.headers.get("accept", ""):
            return None
        raise


@router.get("/docs")
def manual(who: Annotated[str | None, Depends(reader)]) -> Response:
    """Swagger's page, from our own files and no other server's."""
    if who is None:
        return HTMLResponse(
            '<!doctype html><meta charset="utf-8"><title>Kakou</title>'
            '<p>请先打开大屏 <a href="/">/</a> 以登录，再打开本页。'
            'Open the screen at <a href="/">/</a> first to sign in, then come back here.',
            401,
            headers=_FRESH,
        )
    return FileResponse(_built("docs.html"), media_type="text/html", headers=_FRESH)


@router.get("/openapi.json", dependencies=[Signed])
def openapi(request: Request) -> Response:
    """The schema that ``/docs`` shows and that the screen's types are made of."""
    from fastapi.responses import JSONResponse

    return JSONResponse(request.app.openapi())


def _bearer(request: Request) -> str | None:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def _built(name: str) -> Path:
    path = DIST / name
    if not path.is_file():
        raise ScreenMissingError("The screen is not built yet. Run `make install`.")
    return path
