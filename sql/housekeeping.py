"""Edge: what the stores forget beside passes, and when.

| table | is kept |
|---|---|
| ``flow_hourly``, ``closed_days`` | ``keep_flow_days``, and never shorter than passes: a late pass of a day that is still counted must find it closed |
| ``duplicate_records`` | while Kafka has the record, whose fate it is |
| ``rejected_records`` | while Kafka has the record, then 30 days if it is settled, else as long as roll-ups |
| ``batch_ledger`` | 14 days longer than Kafka and the nodes keep what it counts; the newest batches of a query always, for Spark may repeat them |
| ``warnings``, ``warning_tracks`` | ``keep_warnings_days``; those of a case that a person reviewed stay |

``flow_forecast`` is replaced whole by each training; ``reviews``, ``users`` and ``audit`` are for people to
settle. Every deletion is of some thousand rows by their key, at READ COMMITTED, in a transaction of its own.
"""  # noqa: E501 - a table

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date, timedelta
from typing import Any, Final

import pymysql
from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from kakou.connections import kafka_options, node_names
from kakou.detection.warning_tables import REVIEWED
from kakou.errors import StorageError
from kakou.settings import Settings
from kakou.topology import load_topology
from sql.archive import today
from sql.migrate import demand_newest
from sql.node_days import open_node

CHUNK_ROWS: Final = 2_000
SETTLED_DAYS: Final = 30
LEDGER_MARGIN_DAYS: Final = 14  # Kafka drops whole segments, and one may be open for a week
NEWEST_BATCHES: Final = 10
# Read on the node itself, where both tables are; the endpoint could not.
_OLD_WARNING: Final = f"detected_at < NOW() - INTERVAL %s DAY AND case_id NOT IN ({REVIEWED})"


def delete_old_flow(settings: Settings) -> dict[str, int]:
    """Deletes roll-ups, hour by hour, and then what says that their days are closed.

    Returns:
        rows deleted, by table.

    Raises:
        StorageError: a node is away or its schema differs.
    """
    demand_newest(settings)
    before = _flow_is_kept_from(settings)
    deleted = {"flow_hourly": 0, "closed_days": 0}
    with _told_plainly("roll-ups"):
        for node in node_names(settings):
            server = open_node(settings, node, "kakou_writer")
            with server, server.cursor() as cursor:
                deleted["flow_hourly"] += _delete_flow(cursor, before)
                deleted["closed_days"] += cursor.execute("DELETE FROM closed_days WHERE day < %s", (before,))
    return deleted


def delete_old_fates(settings: Settings) -> dict[str, int]:
    """Deletes fates of records that Kafka no longer has, and batches that counted them.

    Returns:
        rows deleted, by table.

    Raises:
        StorageError: Kafka or a node is away, or a node's schema differs.
    """
    demand_newest(settings)
    first = _first_offsets(settings)
    deleted = {"duplicate_records": 0, "rejected_records": 0, "batch_ledger": 0}
    with _told_plainly("fates of records"):
        for node in node_names(settings):
            server = open_node(settings, node, "kakou_writer")
            with server, server.cursor() as cursor:
                for partition, offset in first.items():
                    place = {"kafka_partition": partition}
                    deleted["duplicate_records"] += _delete(
                        cursor, "duplicate_records", place, "kafka_offset", "kafka_offset < %s", (offset,)
                    )
                    deleted["rejected_records"] += _delete(
                        cursor, "rejected_records", place, "kafka_offset", *_rejected(settings, offset)
                    )
                deleted["batch_ledger"] += _delete_batches(cursor, _ledger_days(settings))
    return deleted


def delete_old_warnings(settings: Settings) -> int:
    """Deletes warnings of cases that nobody reviewed, and their tracks; returns how many.

    Raises:
        StorageError: their node is away or its schema differs.
    """
    demand_newest(settings)
    with _told_plainly("warnings"):
        home = load_topology(settings.topology_dir).single["warnings"]
        server = open_node(settings, home, "kakou_writer")
        with server, server.cursor() as cursor:
            days = (settings.keep_warnings_days,)
            return _delete(cursor, "warnings", {}, "alert_id", _OLD_WARNING, days, first="warning_tracks")


def _flow_is_kept_from(settings: Settings) -> date:
    return today(settings) - timedelta(days=max(settings.keep_flow_days, settings.keep_days))


def _ledger_days(settings: Settings) -> int:
    return max(settings.retention_hours // 24 + 1, settings.keep_days) + LEDGER_MARGIN_DAYS


def _rejected(settings: Settings, first: int) -> tuple[str, tuple[Any, ...]]:
    """Condition and values: below the first offset that Kafka has, and old."""
    return (
        "kafka_offset < %s AND rejected_at < NOW() - INTERVAL "
        "IF(settled IN ('replayed', 'discarded'), %s, %s) DAY",
        (first, SETTLED_DAYS, max(settings.keep_flow_days, settings.keep_days)),
    )


def _delete_flow(cursor: Any, before: date) -> int:
    """An hour of a day at a time: some thousand rows, found by the index of both."""
    gone = 0
    while True:
        cursor.execute(
            "SELECT day, hour FROM flow_hourly WHERE day < %s ORDER BY day, hour LIMIT 1", (before,)
        )
        oldest = cursor.fetchone()
        if oldest is None:
            return gone
        gone += cursor.execute(
            "DELETE f FROM flow_hourly f FORCE INDEX (idx_day_hour) WHERE f.day = %s AND f.hour = %s", oldest
        )


def _delete_batches(cursor: Any, days: int) -> int:
    gone = 0
    cursor.execute("SELECT DISTINCT query FROM batch_ledger")
    for (query,) in cursor.fetchall():
        cursor.execute(
            "SELECT batch_id FROM batch_ledger WHERE query = %s ORDER BY batch_id DESC LIMIT %s, 1",
            (query, NEWEST_BATCHES - 1),
        )
        oldest_kept = cursor.fetchone()
        if oldest_kept:
            old = "batch_id < %s AND committed_at < NOW() - INTERVAL %s DAY"
            gone += _delete(cursor, "batch_ledger", {"query": query}, "batch_id", old, (*oldest_kept, days))
    return gone


def _delete(
    cursor: Any,
    table: str,
    key: Mapping[str, Any],
    last: str,
    old: str,
    values: tuple[Any, ...],
    first: str | None = None,
) -> int:
    """Deletes the rows that ``old`` describes, ``CHUNK_ROWS`` at a time.

    Args:
        key: all columns of the primary key but the last, with their values.
        last: the last one.
        first: a table whose rows of the same key go before, so that a kill between leaves none behind.
    """
    within = "".join(f"{column} = %s AND " for column in key)
    gone = 0
    while True:
        cursor.execute(
            f"SELECT {last} FROM {table} WHERE {within}{old} LIMIT %s",  # noqa: S608 - our own names
            (*key.values(), *values, CHUNK_ROWS),
        )
        chunk = [row[0] for row in cursor.fetchall()]
        if not chunk:
            return gone
        for one in filter(None, (first, table)):
            deleted = cursor.execute(
                f"DELETE t FROM {one} t FORCE INDEX (PRIMARY) WHERE {within}{last} IN %s",
                (*key.values(), chunk),
            )
        gone += deleted


def _first_offsets(settings: Settings) -> dict[int, int]:
    """The first offset that Kafka still has of each partition of the topic of passes."""
    try:
        consumer = KafkaConsumer(**kafka_options(settings))
        try:
            known = consumer.partitions_for_topic(settings.topic) or set()
            places = [TopicPartition(settings.topic, number) for number in sorted(known)]
            return {place.partition: int(at) for place, at in consumer.beginning_offsets(places).items()}
        finally:
            consumer.close()
    except KafkaError as error:
        raise StorageError(f"Kafka does not say what it still has: {error}. See `kakou status`.") from error


@contextmanager
def _told_plainly(what: str) -> Iterator[None]:
    try:
        yield
    except pymysql.MySQLError as error:
        raise StorageError(
            f"Old {what} could not be deleted: {error.args[-1]}. See `kakou status`."
        ) from error
