"""The API over the real stores of the test stack, at a time of day that the test chooses."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from zoneinfo import ZoneInfo

from fastapi.testclient import TestClient

from kakou.secret_files import secret
from kakou.settings import Settings
from serving.app import create_app

NOW = datetime(2024, 1, 15, 10, 20, 30)  # a Monday
DEAD_PORT = 1


class WithoutStores(Settings):
    """Settings under which some stores are where nobody listens."""

    away: tuple[str, ...] = ()

    def port(self, service: str) -> int:
        return DEAD_PORT if service in self.away else super().port(service)


def without(settings: Settings, away: Iterable[str]) -> Settings:
    """The same stack, but the stores called ``away`` cannot be reached."""
    values = {name: getattr(settings, name) for name in Settings.model_fields}
    return WithoutStores(_env_file=None, **values, away=tuple(away))  # type: ignore[call-arg]


def api_client(settings: Settings, now: datetime = NOW) -> TestClient:
    """A client that is signed in; every call starts from empty caches."""
    zone = ZoneInfo(settings.timezone)
    app = create_app(settings, clock=lambda: now.replace(tzinfo=zone))
    token = secret(settings, "api_token").get_secret_value()
    return TestClient(
        app,
        base_url=f"http://127.0.0.1:{settings.port('api')}",
        headers={"Authorization": f"Bearer {token}"},
        raise_server_exceptions=False,
    )
