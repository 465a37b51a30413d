"""The tables are those of the contract, on the nodes and at the endpoint, and drift from neither side."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import sql.views
from kakou.connections import connect, node_names
from kakou.fields import CODENAME_MAX, DIMENSION_COLUMNS, FIELDS, FIELDS_12
from kakou.settings import Settings
from kakou.topology import load_topology

pytestmark = pytest.mark.integration

PASSES = (
    "id", "kkmc", "fxlx", "gcsj", "hpzl", "hphm", "clppxh", "xzqhmc", "province", "is_weekend",
    "is_peak_hour", "vehicle_type_name", "kafka_partition", "kafka_offset", "batch_id",
)  # fmt: skip
SINGLE_COLUMNS = {
    "warnings": (
        "alert_id", "case_id", "step", "verdict", "status", "severity", "confidence", "hphm",
        "first_gcxh", "second_gcxh", "first_kkmc", "second_kkmc", "first_gcsj", "second_gcsj", "gap_seconds",
        "rule_version", "detected_at", "body", "created_at",
    ),
    "warning_tracks": ("alert_id", "body"),
    "flow_forecast": ("kkmc", "day", "hour", "predicted", "low", "high", "model_version", "published_at"),
}  # fmt: skip
NODE_COLUMNS = {
    "traffic_data": PASSES,
    "flow_hourly": ("kkmc", "day", "hour", "province", "vehicle_type_name", "n"),
    "kkmc_info": tuple(name.lower() for name in DIMENSION_COLUMNS),
    "batch_ledger": (
        "query", "batch_id", "offsets_start", "offsets_end", "stored", "duplicates", "rejected",
        "committed_at",
    ),
    "duplicate_records": ("kafka_partition", "kafka_offset", "id", "batch_id", "reason"),
    "rejected_records": (
        "kafka_partition", "kafka_offset", "reason", "batch_id", "rejected_at", "settled", "settled_at",
        "settled_partition", "settled_offset",
    ),
    "closed_days": ("day", "closed_at"),
}  # fmt: skip


def _ask(settings: Settings, server: str, statement: str, *values: Any) -> list[tuple[Any, ...]]:
    with connect(settings, server, "root") as connection, connection.cursor() as cursor:
        cursor.execute(statement, values or None)
        return list(cursor.fetchall())


def columns(settings: Settings, server: str, table: str) -> dict[str, tuple[str, str | None]]:
    """name → (type, collation), in the table's order."""
    return {
        name: (str(kind), collation)
        for name, kind, collation in _ask(
            settings,
            server,
            "SELECT column_name, column_type, collation_name FROM information_schema.columns "
            "WHERE table_schema = DATABASE() AND table_name = %s ORDER BY ordinal_position",
            table,
        )
    }


def indexes(settings: Settings, server: str, table: str) -> dict[str, tuple[str, ...]]:
    found: dict[str, list[str]] = {}
    for row in _ask(settings, server, f"SHOW INDEX FROM `{table}`"):
        found.setdefault(row[2], []).append(row[4])
    return {name: tuple(parts) for name, parts in found.items()}


@pytest.mark.parametrize("table", NODE_COLUMNS)
def test_columns_on_every_node(stack: Settings, table: str) -> None:
    for node in node_names(stack):
        assert tuple(columns(stack, node, table)) == NODE_COLUMNS[table], node


@pytest.mark.parametrize("table", SINGLE_COLUMNS)
def test_columns_of_the_tables_of_one_node(stack: Settings, table: str) -> None:
    home = load_topology(stack.topology_dir).single[table]
    assert tuple(columns(stack, home, table)) == SINGLE_COLUMNS[table]


def test_pass_columns_have_the_types_of_the_fields(stack: Settings) -> None:
    for node in node_names(stack):
        found = columns(stack, node, "traffic_data")
        for field in FIELDS:
            kind, collation = found["id" if field.name == "GCXH" else field.name.lower()]
            wanted = field.sql.split()[0].lower()
            assert re.sub(r"^tinyint\(\d+\)$", "tinyint", kind) == wanted, field.name
            if "utf8mb4_bin" in field.sql:
                assert collation == "utf8mb4_bin", field.name
            if wanted.startswith("varchar"):
                assert wanted == f"varchar({field.max_chars})"


def test_every_field_is_a_column_and_a_gate_fits(stack: Settings) -> None:
    found = columns(stack, "dn1", "traffic_data")
    assert {"GCXH" if name == "id" else name.upper() for name in found} >= set(FIELDS_12)
    assert columns(stack, "dn1", "kkmc_info")["kkmc"] == (f"varchar({CODENAME_MAX})", "utf8mb4_bin")


def test_keys_and_indexes(stack: Settings) -> None:
    for node in node_names(stack):
        assert indexes(stack, node, "traffic_data") == {
            "PRIMARY": ("id",),
            "idx_gcsj": ("gcsj",),
            "idx_hphm_gcsj": ("hphm", "gcsj"),
            "idx_kkmc_gcsj": ("kkmc", "gcsj"),
        }
        key = ("kkmc", "day", "hour", "province", "vehicle_type_name")
        assert indexes(stack, node, "flow_hourly")["PRIMARY"] == key
        assert indexes(stack, node, "batch_ledger") == {"PRIMARY": ("query", "batch_id")}
        assert indexes(stack, node, "duplicate_records") == {"PRIMARY": ("kafka_partition", "kafka_offset")}
    warnings = indexes(stack, "dn1", "warnings")
    assert warnings["PRIMARY"] == ("alert_id",)
    assert {"detected_at", "hphm", "case_id"} <= {parts[0] for parts in warnings.values()}
    assert indexes(stack, "dn1", "flow_forecast")["PRIMARY"] == ("kkmc", "day", "hour")


def test_the_endpoint_has_every_table_of_the_topology_with_the_columns_of_its_node(stack: Settings) -> None:
    topology = load_topology(stack.topology_dir)
    tables = (*topology.sharded, *topology.global_, *topology.single)
    listed = {row[0] for row in _ask(stack, "endpoint", "SHOW FULL TABLES WHERE Table_type = 'BASE TABLE'")}
    assert listed == set(tables)
    for table in tables:
        home = topology.single.get(table, topology.nodes[0].name)
        assert columns(stack, "endpoint", table) == columns(stack, home, table), table


def test_every_server_keeps_the_time_of_the_platform(stack: Settings) -> None:
    for server in ("endpoint", *node_names(stack)):
        assert _ask(stack, server, "SELECT @@global.time_zone, @@character_set_server") == [
            ("+08:00", "utf8mb4")
        ]


def test_views_are_there_and_stay_within_what_mycat_can() -> None:
    files = list(Path(sql.views.FOLDER).glob("*.sql"))
    assert {path.stem for path in files} == {"v_passes", "v_flow_hourly", "v_forecast", "v_warnings"}
    for path in files:
        text = path.read_text(encoding="utf-8").upper()
        assert not re.search(r"\bWITH\b|\bOVER\s*\(|\(\s*SELECT\b", text), path.name
