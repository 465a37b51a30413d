"""Everything that a request may need, built once per process."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from kakou.settings import Settings
from serving.cache import TtlCache
from serving.clock import Clock, naive, zone_clock
from serving.readiness import Readiness
from serving.repositories.evidence import Evidence
from serving.repositories.flow import Flow
from serving.repositories.flow_status import FlowStatuses
from serving.repositories.forecasts import Forecasts
from serving.repositories.gates import Gates
from serving.repositories.passes import Passes
from serving.repositories.reviews import Reviews
from serving.repositories.warnings import Warnings
from serving.security import Gatekeeper
from serving.stores import Endpoint, open_redis


@dataclass(frozen=True)
class Services:
    """Built by ``open_services``; opening connects to nothing yet, the first question does."""

    settings: Settings
    clock: Clock
    cache: TtlCache
    gatekeeper: Gatekeeper
    readiness: Readiness
    passes: Passes
    flow: Flow
    gates: Gates
    forecasts: Forecasts
    flow_status: FlowStatuses
    warnings: Warnings
    reviews: Reviews
    evidence: Evidence
    endpoint: Endpoint

    def now(self) -> datetime:
        """Local time without offset, in whole seconds, as ``gcsj`` is stored."""
        return naive(self.clock())

    def close(self) -> None:
        self.readiness.close()
        self.endpoint.close()


def open_services(settings: Settings, clock: Clock | None = None) -> Services:
    """Services of a process; ``clock`` only where a test needs another time of day."""
    endpoint = Endpoint(settings)
    client = open_redis(settings)
    cache = TtlCache()
    flow = Flow(endpoint)
    gates = Gates(endpoint, flow, cache)
    return Services(
        settings=settings,
        clock=clock or zone_clock(settings.timezone),
        cache=cache,
        gatekeeper=Gatekeeper(settings),
        readiness=Readiness(settings, client),
        passes=Passes(endpoint),
        flow=flow,
        gates=gates,
        forecasts=Forecasts(endpoint),
        flow_status=FlowStatuses(client),
        warnings=Warnings(endpoint, client),
        reviews=Reviews(settings, endpoint),
        evidence=Evidence(endpoint, gates),
        endpoint=endpoint,
    )
