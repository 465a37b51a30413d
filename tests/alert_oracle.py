"""Law 7: the cases are those that a look at all stored passes at once finds; each alert is once in the table,
with its tracks, and once in Redis if screens are told of it."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from typing import Any

import polars as pl

from kakou import redis_keys
from kakou.alert import Alert
from kakou.connections import connect, node_names, redis_client
from kakou.detection.contradictions import find_contradictions
from kakou.detection.evidence.tracks import Tracks, has_kept_tracks
from kakou.detection.files import load_rules
from kakou.detection.state import BATCH_SCHEMA, State
from kakou.settings import Settings

_FIELDS = ("gcxh", "kkmc", "hpzl", "hphm", "clppxh", "t")
_STORED = "SELECT id, kkmc, hpzl, hphm, clppxh, TIMESTAMPDIFF(SECOND, '1970-01-01', gcsj) FROM traffic_data"


def stored_passes(settings: Settings) -> pl.DataFrame:
    """What the detector looks at of every row on every node; ``t`` is seconds of local time."""
    rows: list[tuple[object, ...]] = []
    for node in node_names(settings):
        connection = connect(settings, node, "kakou_reader")
        with connection, connection.cursor() as cursor:
            cursor.execute(_STORED)
            rows += cursor.fetchall()
    kinds = [pl.String] * 5 + [pl.Int64]
    return pl.DataFrame(rows, schema=dict(zip(_FIELDS, kinds, strict=True)), orient="row")


def contradictions(settings: Settings, passes: pl.DataFrame) -> set[tuple[str, str]]:
    """Ids of each two passes that contradict each other, all passes looked at together, in order of time, so
    that none is late."""
    batch = passes.sort("t", "gcxh").with_columns(pl.lit(None, dtype=pl.Int64).alias("arrival"))
    table = batch.select(BATCH_SCHEMA.names).to_arrow(compat_level=pl.CompatLevel.oldest())
    found = find_contradictions(State(), table.cast(BATCH_SCHEMA), load_rules(settings)).found
    return set(zip(found["first_gcxh"].to_pylist(), found["second_gcxh"].to_pylist(), strict=True))


def demand_alerts(settings: Settings, expected: set[tuple[str, str]]) -> None:
    """Fails unless each contradiction, of a plate that has no other, is a case; the steps of each case follow
    each other; and the list holds what screens are told of, once, and says the same of it."""
    connection = connect(settings, "dn1", "kakou_reader")
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT alert_id, body FROM warnings")
        table = {alert_id: json.loads(body) for alert_id, body in cursor.fetchall()}
        cursor.execute("SELECT alert_id, body FROM warning_tracks")
        tracks = {alert_id: Tracks.from_json(body) for alert_id, body in cursor.fetchall()}
    cases: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for alert in table.values():
        cases[alert["case_id"]].append(alert)
    for alerts in cases.values():
        assert sorted(one["step"] for one in alerts) == list(range(1, len(alerts) + 1)), alerts
    pairs = {(one["first"]["gcxh"], one["second"]["gcxh"]) for one in table.values()}
    assert pairs == expected, (pairs - expected, expected - pairs)
    assert len(cases) == len(expected)
    told = {
        name for name, one in table.items()
        if one["verdict"] == "cloned_plate" or one["status"] == "withdrawn"
    }  # fmt: skip
    for alert_id, one in table.items():
        if has_kept_tracks(Alert.from_json(json.dumps(one))):
            shown = {seen.gcxh for seen in (*tracks[alert_id].own, *tracks[alert_id].other)}
            assert {one["first"]["gcxh"], one["second"]["gcxh"]} <= shown, one
    listed = [json.loads(body) for body in redis_client(settings).lrange(redis_keys.WARNINGS, 0, -1)]
    assert Counter(alert["alert_id"] for alert in listed) == Counter(told)
    assert all(table[alert["alert_id"]] == alert for alert in listed)
