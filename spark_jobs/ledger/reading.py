"""Edge: reads for the ledger what the topic, the nodes and a producer log hold."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
from pymysql.cursors import SSCursor

from kakou.connections import connect, node_names
from kakou.errors import BadInputError, StorageError
from kakou.fields import COLUMNS_12
from kakou.settings import Settings
from spark_jobs.ledger.evidence import (
    ATTEMPT_SCHEMA,
    COUNT_SCHEMA,
    PLACE_SCHEMA,
    RANGE_SCHEMA,
    STORED_SCHEMA,
    TOPIC_SCHEMA,
    checksums,
    id_number,
    nothing,
)
from spark_jobs.producer_log import parse_attempts
from spark_jobs.sinks.sorting import DUPLICATE
from spark_jobs.topic_reading import Spans, Tell, quietly, read_span

_ROWS: Final = 50_000
_ANSWER_S: Final = 600
_AS_TEXT: Final = {
    "gcxh": "id",
    "gcsj": "DATE_FORMAT(gcsj, '%Y-%m-%d %H:%i:%s')",
    "is_weekend": "CAST(is_weekend AS CHAR)",
    "is_peak_hour": "CAST(is_peak_hour AS CHAR)",
}
# The wire form put together on the node, so that only its checksum travels.
_WIRE: Final = "CONCAT_WS('\t', " + ", ".join(_AS_TEXT.get(name, name) for name in COLUMNS_12) + ")"
_STORED: Final = (
    "SELECT kafka_partition, kafka_offset, CAST(id AS BINARY), "  # noqa: S608 - our own column names
    f"CAST(CONV(LEFT(MD5({_WIRE}), 16), 16, 10) AS UNSIGNED) "
    "FROM traffic_data WHERE kafka_partition IS NOT NULL AND kafka_offset IS NOT NULL"
)
_PLACELESS: Final = "SELECT COUNT(*) FROM traffic_data WHERE kafka_partition IS NULL OR kafka_offset IS NULL"
_BATCHES: Final = "SELECT query, batch_id, offsets_start, offsets_end, stored + duplicates FROM batch_ledger"
_REPEATED: Final = "SELECT kafka_partition, kafka_offset FROM duplicate_records WHERE reason "
# Old enough for the topic to have dropped it: nobody can hold it against anyone that the bytes are gone. A
# quarter of an hour less, as they were sent some moments before the fate was committed.
_DUE: Final = (
    "SELECT kafka_partition, kafka_offset FROM rejected_records "
    "WHERE COALESCE(settled, '') NOT IN ('replayed', 'discarded') "
    "AND rejected_at > NOW(3) - INTERVAL %s MINUTE"
)
_GRACE_MINUTES: Final = 15


@dataclass(frozen=True)
class NodeRows:
    """What one node holds, all from one moment; frames as in ``Evidence``."""

    stored: pl.DataFrame
    placeless: int
    duplicates: pl.DataFrame
    conflicts: pl.DataFrame
    rejected: pl.DataFrame
    due: pl.DataFrame
    ranges: pl.DataFrame
    counts: pl.DataFrame


def read_topic(consumer: Any, topic: str, spans: Spans, tell: Tell = quietly) -> pl.DataFrame:
    """Place, id and checksum of every record within the spans."""
    frames = [nothing(TOPIC_SCHEMA)]
    for records in read_span(consumer, topic, spans, tell):
        if records:
            values = [record.value or b"" for record in records]
            frames.append(
                pl.DataFrame(
                    {
                        "partition": np.full(len(records), records[0].partition, dtype=np.int32),
                        "offset": np.fromiter((record.offset for record in records), np.int64, len(records)),
                        "id": [id_number(value.partition(b"\t")[0]) for value in values],
                        "checksum": checksums(values),
                    },
                    schema=TOPIC_SCHEMA,
                )
            )
    return pl.concat(frames)


def read_node(settings: Settings, number: int, tell: Tell = quietly) -> NodeRows:
    """Reads a node in one snapshot.

    Args:
        number: its place in the ring's order.

    Raises:
        pymysql.MySQLError: the node is away.
        StorageError: a row of the batch ledger cannot be read.
    """
    node = node_names(settings)[number]
    server = connect(settings, node, "kakou_reader", cursorclass=SSCursor, read_timeout=_ANSWER_S)
    with server, server.cursor() as cursor:
        cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        cursor.execute("START TRANSACTION WITH CONSISTENT SNAPSHOT")
        ranges, counts = _batches(_rows(cursor, _BATCHES), node, number)
        cursor.execute(_PLACELESS)
        placeless = int(cursor.fetchall()[0][0])
        minutes = settings.retention_hours * 60 - _GRACE_MINUTES
        return NodeRows(
            _stored(cursor, number, lambda done: tell(node, done, done)),
            placeless,
            _places(cursor, _REPEATED + "= %s", DUPLICATE),
            _places(cursor, _REPEATED + "<> %s", DUPLICATE),
            _places(cursor, "SELECT kafka_partition, kafka_offset FROM rejected_records"),
            _places(cursor, _DUE, minutes),
            ranges,
            counts,
        )


def read_ranges(settings: Settings, number: int, since: Any = None) -> tuple[pl.DataFrame, Any]:
    """Ranges of the batches that a node committed after ``since``, and the time to give the next call.

    Args:
        since: what the call before gave; None reads all.
    """
    node = node_names(settings)[number]
    server = connect(settings, node, "kakou_reader", cursorclass=SSCursor, read_timeout=_ANSWER_S)
    with server, server.cursor() as cursor:
        # A batch becomes visible some time after its moment, so a little is read again.
        cursor.execute("SELECT NOW(3) - INTERVAL 10 MINUTE")
        ((now,),) = cursor.fetchall()
        where = " WHERE committed_at > %s" if since is not None else ""
        rows = _rows(cursor, _BATCHES + where, *([since] if since is not None else []))
        return _batches(rows, node, number)[0], now


def read_attempts(path: Path) -> pl.DataFrame:
    """The producer log as a frame, ``ATTEMPT_SCHEMA``.

    Raises:
        BadInputError: there is no such file, or a line of it is no attempt.
    """
    frames = [nothing(ATTEMPT_SCHEMA)]
    try:
        with path.open(encoding="utf-8") as lines:
            attempts = parse_attempts(lines)
            while some := list(islice(attempts, _ROWS)):
                rows = [(id_number(one.id.encode()), one.status, one.partition, one.offset) for one in some]
                frames.append(pl.DataFrame(rows, schema=ATTEMPT_SCHEMA, orient="row"))
    except (OSError, UnicodeError) as error:
        raise BadInputError(
            f"The producer log {path} cannot be read: {error}. Name a file of JSON lines, one for each "
            "attempt of a producer (docs/runbook.md, the ledger)."
        ) from error
    return pl.concat(frames)


def _rows(cursor: Any, statement: str, *values: Any) -> Iterator[tuple[Any, ...]]:
    cursor.execute(statement, values or None)
    while rows := cursor.fetchmany(_ROWS):
        yield from rows


def _places(cursor: Any, statement: str, *values: Any) -> pl.DataFrame:
    frames = [nothing(PLACE_SCHEMA)]
    rows = _rows(cursor, statement, *values)
    while some := list(islice(rows, _ROWS)):
        frames.append(pl.DataFrame(some, schema=PLACE_SCHEMA, orient="row"))
    return pl.concat(frames)


def _stored(cursor: Any, number: int, tell: Callable[[int], None]) -> pl.DataFrame:
    frames, done = [nothing(STORED_SCHEMA)], 0
    cursor.execute(_STORED)
    while rows := cursor.fetchmany(_ROWS):
        partition, offset, gcxh, md5 = zip(*rows, strict=True)
        ids = [id_number(one) for one in gcxh]
        columns = [*zip(STORED_SCHEMA, (partition, offset, ids, md5), strict=False)]
        frames.append(
            pl.DataFrame(dict(columns), schema_overrides=STORED_SCHEMA)
            .with_columns(pl.lit(number, dtype=pl.Int8).alias("node"))
            .select(STORED_SCHEMA.keys())
        )
        done += len(rows)
        tell(done)
    return pl.concat(frames)


def _batches(rows: Iterable[tuple[Any, ...]], node: str, number: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    ranges: list[tuple[Any, ...]] = []
    counts: list[tuple[Any, ...]] = []
    for query, batch, start, end, taken in rows:
        counts.append((number, query, batch, taken))
        try:
            first, last = json.loads(start), json.loads(end)
            ranges += [(number, query, batch, int(one), first[one], last[one]) for one in last]
        except (ValueError, KeyError, TypeError) as error:
            raise StorageError(
                f"{node}: the offsets of batch {batch} of {query} cannot be read in batch_ledger "
                f"({type(error).__name__}). Somebody changed that row; restore it from a backup."
            ) from error
    return (
        pl.DataFrame(ranges, schema=RANGE_SCHEMA, orient="row"),
        pl.DataFrame(counts, schema=COUNT_SCHEMA, orient="row"),
    )
