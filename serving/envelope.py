"""What every answer has, whatever happened inside: a request id, security headers, and no stack trace."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Iterable
from typing import Final

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.problems import ApiError, BodyTooLargeError, UntrustedHostError, problem_response

_LOG = structlog.get_logger("kakou.api")
SLOW_SECONDS: Final = 1.0
MAX_BODY_BYTES: Final = 64 * 1024
_ID: Final = re.compile(r"^[A-Za-z0-9._-]{1,64}$")
# ECharts places its tooltips by style attributes, hence 'unsafe-inline' for styles and for nothing else.
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_HEADERS: Final = {
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": _POLICY,
}


class Envelope:
    """Outermost middleware: trusts only known hosts, bounds bodies, and turns a crash into a problem."""

    def __init__(self, app: ASGIApp, hosts: Iterable[str]) -> None:
        self._app = app
        self._hosts = frozenset(host.lower() for host in hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        request_id = _request_id(headers.get("x-request-id"))
        scope.setdefault("state", {})["request_id"] = request_id
        started, status = time.perf_counter(), 0

        async def dressed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                _dress(MutableHeaders(scope=message), request_id, scope["path"])
            await send(message)

        try:
            if not _trusted(headers.get("host", ""), self._hosts):
                raise UntrustedHostError("The Host header names a host that this API does not serve.")
            if int(headers.get("content-length") or 0) > MAX_BODY_BYTES:
                raise BodyTooLargeError(f"A request body may hold {MAX_BODY_BYTES} bytes.")
            await self._app(scope, _bounded(receive), dressed)
        except Exception as error:
            if not isinstance(error, ApiError):
                _LOG.error("request_failed", request_id=request_id, path=scope["path"], exc_info=error)
            if status:
                raise  # the answer has begun; closing the connection is all that is left to say
            known = (
                error
                if isinstance(error, ApiError)
                else ApiError("Something went wrong inside. It is logged.")
            )
            await problem_response(known, request_id)(scope, receive, dressed)
        finally:
            spent = time.perf_counter() - started
            if spent >= SLOW_SECONDS or status >= 500:
                _LOG.warning(
                    "request", method=scope["method"], path=scope["path"], status=status,
                    milliseconds=round(spent * 1000), request_id=request_id,
                )  # fmt: skip


def _request_id(given: str | None) -> str:
    """The caller's id if it is harmless, else a new one."""
    return given if given and _ID.match(given) else uuid.uuid4().hex


def _trusted(host: str, hosts: frozenset[str]) -> bool:
    """Any port will do: a tunnel may have moved it."""
    name, _, port = host.lower().rpartition(":") if re.search(r":\d+$", host) else (host.lower(), "", "")
    return name.strip("[]") in hosts and (not port or port.isdigit())


def _bounded(receive: Receive) -> Receive:
    """A body sent in chunks announces no length, so it is counted as it comes."""
    seen = 0

    async def bounded() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > MAX_BODY_BYTES:
            raise BodyTooLargeError(f"A request body may hold {MAX_BODY_BYTES} bytes.")
        return message

    return bounded


def _dress(headers: MutableHeaders, request_id: str, path: str) -> None:
    headers["X-Request-Id"] = request_id
    for name, value in _HEADERS.items():
        headers.setdefault(name, value)
    if path.startswith("/api"):
        headers.setdefault("Cache-Control", "no-store")
