"""Law 7: the alerts are those that a look at all stored passes at once finds; each once in the table and once
in Redis."""

from __future__ import annotations

import json
from collections import Counter

import polars as pl

from kakou import redis_keys
from kakou.alert import Alert
from kakou.connections import connect, node_names, redis_client
from kakou.detection.contradictions import find_contradictions
from kakou.detection.files import load_rules
from kakou.detection.state import BATCH_SCHEMA, State
from kakou.detection.verdicts import judge
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


def oracle(settings: Settings, passes: pl.DataFrame) -> list[Alert]:
    """Alerts of passes that are all looked at together, in order of time, so that none is late."""
    batch = passes.sort("t", "gcxh").with_columns(pl.lit(None, dtype=pl.Int64).alias("arrival"))
    table = batch.select(BATCH_SCHEMA.names).to_arrow(compat_level=pl.CompatLevel.oldest())
    rules = load_rules(settings)
    found = find_contradictions(State(), table.cast(BATCH_SCHEMA), rules)[1]
    return judge(found, rules, "2024-01-01T00:00:00.000+08:00")


def pairs_of(alerts: list[Alert]) -> set[tuple[str, str]]:
    """Ids of the two passes of each."""
    return {(one.first.gcxh, one.second.gcxh) for one in alerts}


def demand_alerts(settings: Settings, expected: list[Alert]) -> None:
    """Fails unless table and list hold exactly these, each once, and say the same of it."""
    connection = connect(settings, "dn1", "kakou_reader")
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT alert_id, body FROM warnings")
        table = dict(cursor.fetchall())
    assert set(table) == {one.alert_id for one in expected}
    listed = [json.loads(body) for body in redis_client(settings).lrange(redis_keys.WARNINGS, 0, -1)]
    assert Counter(alert["alert_id"] for alert in listed) == Counter(table.keys())
    assert all(json.loads(table[alert["alert_id"]]) == alert for alert in listed)
