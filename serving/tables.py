"""The tables that the API searches at the endpoint, as SQLAlchemy Core sees them."""

from __future__ import annotations

from typing import Final

from sqlalchemy import column, table

from kakou.fields import COLUMNS_12

TRAFFIC_DATA: Final = table("traffic_data", column("id"), *(column(name) for name in COLUMNS_12[1:]))
FLOW_HOURLY: Final = table(
    "flow_hourly",
    *(column(name) for name in ("kkmc", "day", "hour", "province", "vehicle_type_name", "n")),
)
KKMC_INFO: Final = table(
    "kkmc_info",
    *(
        column(name)
        for name in ("kkmc", "name", "aliases", "xzqhmc", "road", "stake", "boundary", "lon", "lat")
    ),
)
WARNINGS: Final = table(
    "warnings",
    *(column(name) for name in ("case_id", "verdict", "status", "detected_at")),
)
FLOW_FORECAST: Final = table(
    "flow_forecast",
    *(
        column(name)
        for name in ("kkmc", "day", "hour", "predicted", "low", "high", "model_version", "published_at")
    ),
)
