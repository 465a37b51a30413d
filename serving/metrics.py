"""Prometheus metrics of the API, one registry per app so that two apps in one process do not mix."""

from __future__ import annotations

from fastapi import FastAPI, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Gauge, generate_latest
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_fastapi_instrumentator import Instrumentator

from kakou import __version__
from serving.dependencies import Signed


def add_metrics(app: FastAPI) -> None:
    """Counts requests by route, method and status, and answers ``GET /metrics`` to who has a token."""
    registry = CollectorRegistry()
    for collector in (ProcessCollector, PlatformCollector, GCCollector):
        collector(registry=registry)
    Gauge("kakou_api_info", "Version of the API", ["version"], registry=registry).labels(__version__).set(1)
    Instrumentator(registry=registry, excluded_handlers=["/metrics", "/assets"]).instrument(app)

    @app.get("/metrics", tags=["operations"], summary="Prometheus metrics", dependencies=[Signed])
    def metrics() -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)
