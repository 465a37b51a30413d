"""Who may read and write: one user until roles exist, signed tokens, and a limit on guessing."""

from __future__ import annotations

import hmac
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Any, Final

import jwt
from pydantic import SecretStr

from kakou.secret_files import secret
from kakou.settings import Settings
from serving.problems import NotSignedInError, TooManyLoginsError, WrongCredentialsError

USER: Final = "admin"
TOKEN_SECONDS: Final = 24 * 3600
ALGORITHM: Final = "HS256"
ISSUER: Final = "kakou"
# A token says what it is for, so that a screen's cookie is no bearer token.
API: Final = "kakou-api"
SCREEN: Final = "kakou-screen"

MAX_FAILURES: Final = 10
FAILURE_SECONDS: Final = 15 * 60
MAX_ADDRESSES: Final = 10_000


class Gatekeeper:
    """Issues tokens and checks them."""

    def __init__(self, settings: Settings, now: Callable[[], float] = time.time) -> None:
        self._password = secret(settings, "api_admin")
        self._key = secret(settings, "api_jwt")
        self._shared = secret(settings, "api_token")
        self._now = now
        self._failures = FailedLogins(now)
        # Cookies know no port: without it, two stacks on one host would overwrite each other's.
        self.cookie = f"kakou_screen_{settings.port('api')}"

    def login(self, username: str, password: str, address: str) -> str:
        """A bearer token for the right user and password.

        Raises:
            TooManyLoginsError: too many failures came from ``address``; even the right password must wait.
            WrongCredentialsError: they do not belong together.
        """
        self._failures.check(address)
        # Both are compared in full, so that the time taken tells nothing about either.
        right_user = _same(username, SecretStr(USER))
        right_password = _same(password, self._password)
        if not (right_user and right_password):
            self._failures.note(address)
            raise WrongCredentialsError(
                "User and password do not belong together. The password is in var/secrets/api_admin."
            )
        self._failures.forget(address)
        return self.sign(USER, API)

    def sign(self, subject: str, audience: str) -> str:
        """A token for one audience that holds for ``TOKEN_SECONDS``."""
        now = int(self._now())
        claims = {"sub": subject, "aud": audience, "iss": ISSUER, "iat": now, "exp": now + TOKEN_SECONDS}
        return jwt.encode(claims, self._key.get_secret_value(), algorithm=ALGORITHM)

    def admit(self, bearer: str | None, cookie: str | None) -> str:
        """Who the caller is: by bearer token if there is one, else by the screen's cookie.

        Raises:
            NotSignedInError: neither holds.
        """
        if bearer is not None:
            if _same(bearer, self._shared):
                return "shared-token"
            return self._subject(bearer, API)
        if cookie is not None:
            return self._subject(cookie, SCREEN)
        raise _refused("This needs a token: `POST /api/login`, then `Authorization: Bearer …`.")

    def _subject(self, token: str, audience: str) -> str:
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                self._key.get_secret_value(),
                algorithms=[ALGORITHM],
                audience=audience,
                issuer=ISSUER,
                options={"require": ["exp", "iat", "aud", "iss", "sub"]},
            )
        except jwt.InvalidTokenError:
            raise _refused("The token is wrong or too old. Sign in again.") from None
        return str(claims["sub"])


class FailedLogins:
    """Counts failed logins per address; beyond ``MAX_FAILURES`` in ``FAILURE_SECONDS`` the address waits."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._times: OrderedDict[str, deque[float]] = OrderedDict()

    def check(self, address: str) -> None:
        with self._lock:
            times = self._recent(address)
            if len(times) >= MAX_FAILURES:
                wait = int(times[0] + FAILURE_SECONDS - self._now()) + 1
                raise TooManyLoginsError(
                    f"Too many failed logins. Try again in {wait} s.", headers={"Retry-After": str(wait)}
                )

    def note(self, address: str) -> None:
        with self._lock:
            times = self._recent(address)
            times.append(self._now())
            self._times[address] = times
            self._times.move_to_end(address)
            while len(self._times) > MAX_ADDRESSES:
                self._times.popitem(last=False)

    def forget(self, address: str) -> None:
        with self._lock:
            self._times.pop(address, None)

    def _recent(self, address: str) -> deque[float]:
        times = self._times.get(address, deque(maxlen=MAX_FAILURES))
        while times and times[0] <= self._now() - FAILURE_SECONDS:
            times.popleft()
        return times


def _same(given: str, right: SecretStr) -> bool:
    return hmac.compare_digest(given.encode(), right.get_secret_value().encode())


def _refused(detail: str) -> NotSignedInError:
    return NotSignedInError(detail, headers={"WWW-Authenticate": "Bearer"})
