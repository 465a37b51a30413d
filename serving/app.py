"""Puts the API together."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.cors import CORSMiddleware
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.staticfiles import StaticFiles

from kakou import __version__
from kakou.settings import Settings
from serving.clock import Clock
from serving.envelope import Envelope
from serving.metrics import add_metrics
from serving.problems import (
    MEDIA_TYPE,
    ApiError,
    InvalidField,
    InvalidInputError,
    MethodNotAllowedError,
    NotFoundError,
    Problem,
    problem_response,
)
from serving.routes import operations, predict, query, reviews, screen, stats, warnings
from serving.services import open_services

# 422 replaces FastAPI's own body for bad input; the others can come from any route.
_PROBLEMS = {
    status: {"model": Problem, "description": what, "content": {MEDIA_TYPE: {}}}
    for status, what in (
        (401, "Not signed in"), (404, "Unknown gate, or nothing there"), (409, "Too little data"),
        (422, "Invalid input"), (429, "Too many failed logins"), (503, "A store is down"),
    )
}  # fmt: skip


def create_app(settings: Settings, clock: Clock | None = None) -> FastAPI:
    """The API and the screen. Stores may be away: each request says so until they are back.

    Args:
        settings: where the stores are and who may ask.
        clock: only where a test needs another time of day.
    """
    services = open_services(settings, clock)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        services.close()

    app = FastAPI(
        title="Kakou 卡口",
        version=__version__,
        description="Highway checkpoint passes: search, live numbers, cloned plates, flow forecasts.",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        responses=_PROBLEMS,  # type: ignore[arg-type]
    )
    app.state.services = services
    for module in (query, stats, warnings, reviews, predict, operations, screen):
        app.include_router(module.router)
    add_metrics(app)
    app.mount("/assets", StaticFiles(directory=screen.DIST / "assets", check_dir=False), name="assets")
    app.add_exception_handler(ApiError, _known)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_middleware(
        CORSMiddleware,
        allow_origins=_origins(settings),
        allow_methods=["GET", "POST"],
        allow_headers=["Authorization", "Content-Type"],
    )
    app.add_middleware(Envelope, hosts=_hosts(settings))
    return app


def _hosts(settings: Settings) -> list[str]:
    return ["127.0.0.1", "localhost", settings.host, *_split(settings.api_hosts)]


def _origins(settings: Settings) -> list[str]:
    own = [f"http://{host}:{settings.port('api')}" for host in _hosts(settings)]
    return [*dict.fromkeys(own), *_split(settings.api_origins)]


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


async def _known(request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    return problem_response(error, request.state.request_id)


async def _invalid(request: Request, error: Exception) -> Response:
    """Names each field and what is wrong with it, and never repeats what came: it may be a password."""
    assert isinstance(error, RequestValidationError)
    fields = [
        InvalidField(
            field=".".join(str(part) for part in one["loc"][1:]) or str(one["loc"][0]), message=one["msg"]
        )
        for one in error.errors()
    ]
    detail = "; ".join(f"{one.field}: {one.message}" for one in fields)
    return problem_response(InvalidInputError(detail, errors=fields), request.state.request_id)


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if isinstance(error.__cause__, ApiError):
        known: ApiError = error.__cause__  # FastAPI wraps what happens while it reads a body
    elif error.status_code == 405:
        known = MethodNotAllowedError(
            f"{request.method} is not offered here.", headers=dict(error.headers or {})
        )
    elif error.status_code == 404:
        known = NotFoundError("There is nothing at this path. `/docs` lists what there is.")
    else:
        known = InvalidInputError(str(error.detail))
    return problem_response(known, request.state.request_id)
