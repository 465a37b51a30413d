"""What the API says when it cannot answer: RFC 9457 problems, each with a stable ``type``."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse

from kakou.errors import KakouError

MEDIA_TYPE = "application/problem+json"


class InvalidField(BaseModel):
    """One field of the input that cannot be used, and why. The value itself is never repeated."""

    field: str
    message: str


class Problem(BaseModel):
    """Body of every error. ``type`` is stable; ``title`` and ``detail`` are for people."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(examples=["/problems/unknown-gate"])
    title: str
    status: int
    detail: str
    request_id: str | None = None
    errors: list[InvalidField] | None = None


class ApiError(KakouError):
    """Parent of every refusal of the API. The caller does what ``detail`` says."""

    type: ClassVar[str] = "/problems/internal"
    title: ClassVar[str] = "Internal error"
    status: ClassVar[int] = 500

    def __init__(self, detail: str, *, headers: dict[str, str] | None = None, **members: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.headers = headers or {}
        self.members = members


class InvalidInputError(ApiError):
    """A parameter or the body cannot be used. The caller mends the fields that ``errors`` names."""

    type, title, status = "/problems/invalid-input", "Invalid input", 422


class NotSignedInError(ApiError):
    """No token came, or it is wrong or too old. The caller signs in again."""

    type, title, status = "/problems/not-signed-in", "Not signed in", 401


class WrongCredentialsError(ApiError):
    """User and password do not belong together. The caller looks them up and tries again."""

    type, title, status = "/problems/wrong-credentials", "Wrong user or password", 401


class TooManyLoginsError(ApiError):
    """Too many failed logins from one address. The caller waits as long as ``Retry-After`` says."""

    type, title, status = "/problems/too-many-logins", "Too many failed logins", 429


class UnknownGateError(ApiError):
    """No gate has that codename, name or alias. The caller picks one of ``GET /api/gates``."""

    type, title, status = "/problems/unknown-gate", "Unknown gate", 404


class UnknownWarningError(ApiError):
    """No warning and no case has that id. The caller takes one from ``GET /api/warnings/realtime``."""

    type, title, status = "/problems/unknown-warning", "Unknown warning", 404


class NoEvidenceError(ApiError):
    """The alert is there, but not the passes that it was given on. The caller makes do with the alert."""

    type, title, status = "/problems/no-evidence", "No evidence kept", 404


class TooLittleHistoryError(ApiError):
    """The gate has no forecast because its history cannot carry one. The operator adds days and trains."""

    type, title, status = "/problems/too-little-data", "Too little data", 409


class NotForecastError(ApiError):
    """The day lies outside what is published. The caller asks for a day between ``first`` and ``last``."""

    type, title, status = "/problems/not-forecast", "Day not forecast", 404


class StoreDownError(ApiError):
    """A store is away. The caller tries again; the operator reads ``kakou status``."""

    type, title, status = "/problems/store-down", "A store is down", 503


class QueryTooSlowError(ApiError):
    """The database gave up on a query. The caller narrows it."""

    type, title, status = "/problems/query-too-slow", "Query too slow", 503


class NotFoundError(ApiError):
    """There is nothing at that path. The caller reads ``/docs``."""

    type, title, status = "/problems/not-found", "Not found", 404


class MethodNotAllowedError(ApiError):
    """The path exists, the method does not. The caller reads ``/docs``."""

    type, title, status = "/problems/method-not-allowed", "Method not allowed", 405


class UntrustedHostError(ApiError):
    """The Host header names another host. The operator adds it to ``KAKOU_API_HOSTS``."""

    type, title, status = "/problems/untrusted-host", "Untrusted host", 400


class BodyTooLargeError(ApiError):
    """The body is larger than any request of this API needs."""

    type, title, status = "/problems/body-too-large", "Body too large", 413


class ScreenMissingError(ApiError):
    """The screen was never built. The operator runs ``make install``."""

    type, title, status = "/problems/screen-missing", "The screen is not built", 503


def problem_response(error: ApiError, request_id: str | None) -> JSONResponse:
    """The error as it goes over the wire."""
    body = Problem(
        type=error.type,
        title=error.title,
        status=error.status,
        detail=error.detail,
        request_id=request_id,
        **error.members,
    )
    return JSONResponse(
        body.model_dump(exclude_none=True), error.status, headers=error.headers, media_type=MEDIA_TYPE
    )
