"""Edge: the way to our MLflow server, for every job that logs there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import httpx

from kakou.connections import mlflow_environment
from kakou.errors import ServiceError
from kakou.settings import Settings

PROBE_SECONDS: Final = 5


class MlflowServer:
    """Points MLflow's client of this process at our server.

    Args:
        remedy: what the reader of an error is told to do.

    Raises:
        ServiceError: from any call, where MLflow is away or refuses.
    """

    def __init__(self, settings: Settings, remedy: str) -> None:
        self.address = mlflow_environment(settings)["MLFLOW_TRACKING_URI"]
        self._remedy = remedy
        os.environ.update(mlflow_environment(settings))
        # The default waits minutes for a server that is down.
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")
        os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"  # stdout is the command's own
        around = [part for part in os.environ.get("NO_PROXY", "").split(",") if part]
        os.environ["NO_PROXY"] = ",".join(dict.fromkeys([*around, settings.host]))
        self.probe()

    def probe(self) -> None:
        """Asks MLflow whether it is there, so that no work is done for nothing."""
        try:
            httpx.get(f"{self.address}/health", timeout=PROBE_SECONDS, trust_env=False).raise_for_status()
        except httpx.HTTPError as error:
            raise self._away(error) from error

    def library(self) -> Any:
        """MLflow itself; importing it takes seconds, and who is refused need not pay for it."""
        import mlflow

        mlflow.set_tracking_uri(self.address)
        mlflow.set_registry_uri(self.address)
        return mlflow

    @contextmanager
    def talking(self) -> Iterator[None]:
        """Says in one sentence what MLflow's client raises."""
        import requests
        from mlflow.exceptions import MlflowException

        try:
            yield
        except (MlflowException, requests.RequestException) as error:
            raise self._away(error) from error

    def _away(self, error: Exception) -> ServiceError:
        why = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        return ServiceError(
            f"MLflow at {self.address} does not answer as it should ({why}); {self._remedy} "
            "See `kakou status` and `kakou logs mlflow`, then train again."
        )
