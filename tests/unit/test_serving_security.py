"""Tokens, and the limit on guessing."""

from __future__ import annotations

import base64
import json

import jwt
import pytest

from kakou.secret_files import secret
from kakou.settings import Settings, is_loopback
from serving.problems import NotSignedInError, TooManyLoginsError, WrongCredentialsError
from serving.security import API, MAX_FAILURES, SCREEN, TOKEN_SECONDS, Gatekeeper


class Hand:
    """A clock that a test moves."""

    now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def password(settings: Settings) -> str:
    return secret(settings, "api_admin").get_secret_value()


def test_user_and_password_give_a_token_that_opens(settings: Settings, password: str) -> None:
    keeper = Gatekeeper(settings)
    assert keeper.admit(keeper.login("admin", password, "here"), None) == "admin"


@pytest.mark.parametrize("user, change", [("root", ""), ("admin", "x"), ("", ""), ("admin", "密")])
def test_anything_else_does_not(settings: Settings, password: str, user: str, change: str) -> None:
    with pytest.raises(WrongCredentialsError):
        Gatekeeper(settings).login(user, password + change, "here")


def test_the_generated_token_opens_too(settings: Settings) -> None:
    keeper = Gatekeeper(settings)
    assert keeper.admit(secret(settings, "api_token").get_secret_value(), None) == "shared-token"


def test_a_cookie_is_no_bearer_token_and_the_other_way_round(settings: Settings) -> None:
    keeper = Gatekeeper(settings)
    assert keeper.admit(None, keeper.sign("screen", SCREEN)) == "screen"
    for bearer, cookie in ((keeper.sign("screen", SCREEN), None), (None, keeper.sign("admin", API))):
        with pytest.raises(NotSignedInError):
            keeper.admit(bearer, cookie)


def test_a_wrong_bearer_token_is_not_rescued_by_a_cookie(settings: Settings) -> None:
    keeper = Gatekeeper(settings)
    with pytest.raises(NotSignedInError):
        keeper.admit("wrong", keeper.sign("screen", SCREEN))


def test_a_token_lives_for_a_day(settings: Settings) -> None:
    keeper = Gatekeeper(settings)
    claims = jwt.decode(keeper.sign("admin", API), options={"verify_signature": False})
    assert claims["exp"] - claims["iat"] == TOKEN_SECONDS == 24 * 3600
    old = Hand()
    with pytest.raises(NotSignedInError):
        keeper.admit(Gatekeeper(settings, old).sign("admin", API), None)


def test_a_token_of_another_key_or_without_a_signature_does_not_open(settings: Settings) -> None:
    keeper = Gatekeeper(settings)
    good = keeper.sign("admin", API)
    claims = jwt.decode(good, options={"verify_signature": False})
    head = base64.urlsafe_b64encode(json.dumps({"alg": "none", "typ": "JWT"}).encode()).rstrip(b"=").decode()
    key = secret(settings, "api_jwt").get_secret_value()
    forged = [
        jwt.encode(claims, "another key that is long enough for it", algorithm="HS256"),
        jwt.encode(claims, key * 2, algorithm="HS256"),
        jwt.encode(claims, key, algorithm="HS512"),
        f"{head}.{good.split('.')[1]}.",
        good[:-2] + ("AA" if good[-2:] != "AA" else "BB"),
        jwt.encode({k: v for k, v in claims.items() if k != "exp"}, key, algorithm="HS256"),
        "",
        "苏",
    ]
    for token in forged:
        with pytest.raises(NotSignedInError):
            keeper.admit(token, None)


def test_after_ten_failures_even_the_right_password_waits(settings: Settings, password: str) -> None:
    hand = Hand()
    keeper = Gatekeeper(settings, hand)
    for _ in range(MAX_FAILURES):
        with pytest.raises(WrongCredentialsError):
            keeper.login("admin", "guess", "there")
    with pytest.raises(TooManyLoginsError) as refused:
        keeper.login("admin", password, "there")
    assert 0 < int(refused.value.headers["Retry-After"]) <= 901
    keeper.login("admin", password, "elsewhere")
    hand.now += int(refused.value.headers["Retry-After"])
    keeper.login("admin", password, "there")


def test_a_success_forgets_the_failures_before_it(settings: Settings, password: str) -> None:
    keeper = Gatekeeper(settings)
    for _ in range(3):
        for _ in range(MAX_FAILURES - 1):
            with pytest.raises(WrongCredentialsError):
                keeper.login("admin", "guess", "there")
        keeper.login("admin", password, "there")


@pytest.mark.parametrize(
    "host, answer",
    [
        ("127.0.0.1", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("10.0.0.4", False),
        ("x.cn", False),
    ],
)
def test_loopback(host: str, answer: bool) -> None:
    assert is_loopback(host) is answer
