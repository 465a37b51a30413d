"""Route ``shards``: each row straight to the node that MyCat's rule names, once whatever happens."""

from __future__ import annotations

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import polars as pl
import pymysql

from kakou.connections import connect
from kakou.errors import StorageError
from kakou.settings import Settings
from kakou.topology import Topology, load_topology
from spark_jobs.sinks.rows import FLOW_KEY, LOAD, as_csv, flow_of, stored_under
from spark_jobs.sinks.sorting import DUPLICATE, Sorted

_ANSWER_S: Final = 60
ADD_FLOW: Final = (
    f"INSERT INTO flow_hourly ({', '.join(FLOW_KEY)}, n) "  # noqa: S608 - our own column names
    "VALUES (%s, %s, %s, %s, %s, %s) "
    "ON DUPLICATE KEY UPDATE n = n + VALUES(n)"
)
ADD_DUPLICATE: Final = (
    "INSERT IGNORE INTO duplicate_records (kafka_partition, kafka_offset, id, batch_id, reason) "
    "VALUES (%s, %s, %s, %s, %s)"
)
ADD_BATCH: Final = (
    "INSERT INTO batch_ledger "
    "(query, batch_id, offsets_start, offsets_end, stored, duplicates, rejected, committed_at) "
    "VALUES (%s, %s, %s, %s, %s, %s, %s, NOW(3))"
)


@dataclass(frozen=True)
class Batch:
    """A micro-batch by name: query, number, and the offsets that it spans (end is exclusive)."""

    query: str
    number: int
    start: Mapping[int, int]
    end: Mapping[int, int]

    @property
    def offsets(self) -> tuple[str, str]:
        """Start and end as JSON."""
        return _offsets(self.start), _offsets(self.end)


class Nodes:
    """The data nodes as one sink.

    Flush contract: ``write`` returns when every node has committed its part of the batch in one local
    transaction with one row of ``batch_ledger``. Called again with the same batch, it skips the nodes that
    have that row.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._topology: Topology = load_topology(settings.topology_dir)
        self._pool = ThreadPoolExecutor(len(self._topology.nodes), thread_name_prefix="node")
        # A name costs a hash in Python; the same few gates come again and again.
        self._locate = lru_cache(maxsize=10_000)(self._topology.ring.locate)

    def has(self, batch: Batch) -> bool:
        """True if every node has committed the batch."""
        return all(self._pool.map(lambda node: self._has(node, batch), self._names))

    def stored_under(self, ids: list[str]) -> pl.DataFrame:
        """Rows under ``ids`` on any node."""

        def ask(node: str) -> pl.DataFrame:
            connection = self._connect(node)
            with connection, connection.cursor() as cursor:
                return stored_under(cursor, ids)

        return pl.concat(list(self._pool.map(ask, self._names)))

    def write(self, batch: Batch, parts: Sorted, rejected: int) -> None:
        """Writes a batch, each node in a thread of its own; ``rejected`` is written down at the first node.

        Raises:
            pymysql.MySQLError: a node is away or refuses; the others may have committed.
            StorageError: a node stored less than it was given; it was rolled back.
        """
        fresh, duplicates = self._by_node(parts.fresh), self._by_node(parts.duplicates)
        none_fresh, none_twice = parts.fresh.clear(), parts.duplicates.clear()
        jobs = [
            self._pool.submit(
                self._write_node,
                node,
                batch,
                fresh.get(node, none_fresh),
                duplicates.get(node, none_twice),
                rejected if node == self._names[0] else 0,
            )
            for node in self._names
        ]
        errors = [error for job in jobs if (error := job.exception()) is not None]
        if errors:
            raise errors[0]

    def close(self) -> None:
        """Ends the threads; a statement that runs is waited for."""
        self._pool.shutdown()

    @property
    def _names(self) -> list[str]:
        return [node.name for node in self._topology.nodes]

    def _by_node(self, rows: pl.DataFrame) -> dict[str, pl.DataFrame]:
        if rows.is_empty():
            return {}
        gates = rows["kkmc"].unique().to_list()
        node = pl.col("kkmc").replace_strict(gates, [self._locate(gate) for gate in gates])
        groups = rows.with_columns(node.alias("_node")).partition_by("_node", as_dict=True, include_key=False)
        return {str(key[0]): part for key, part in groups.items()}

    def _connect(self, node: str) -> pymysql.Connection[Any]:
        return connect(
            self._settings,
            node,
            "kakou_writer",
            local_infile=True,
            read_timeout=_ANSWER_S,
            write_timeout=_ANSWER_S,
        )

    def _has(self, node: str, batch: Batch) -> bool:
        connection = self._connect(node)
        with connection, connection.cursor() as cursor:
            return _is_written(cursor, batch)

    def _write_node(
        self, node: str, batch: Batch, fresh: pl.DataFrame, duplicates: pl.DataFrame, rejected: int
    ) -> None:
        connection = self._connect(node)
        with connection, connection.cursor() as cursor:
            if _is_written(cursor, batch):
                return
            self._load(cursor, node, batch, fresh)
            repeated = add_duplicates(cursor, batch, duplicates)
            cursor.execute(
                ADD_BATCH, (batch.query, batch.number, *batch.offsets, len(fresh), repeated, rejected)
            )
            connection.commit()

    def _load(self, cursor: Any, node: str, batch: Batch, fresh: pl.DataFrame) -> None:
        if fresh.is_empty():
            return
        rows = fresh.with_columns(pl.lit(batch.number).alias("batch_id"))
        with as_csv(rows, self._settings.run_dir / "stream") as file:
            stored = cursor.execute(LOAD, (file,))
        # LOAD … LOCAL leaves out what it cannot store instead of failing, so the number is the proof.
        if stored != len(fresh) or cursor.warning_count:
            raise StorageError(
                f"{node} took {stored} of {len(fresh)} rows with {cursor.warning_count} warnings "
                "and was rolled back."
            )
        cursor.executemany(ADD_FLOW, flow_of(fresh).rows())


def add_duplicates(cursor: Any, batch: Batch, duplicates: pl.DataFrame) -> int:
    """Writes down repeated records; returns how many were not written down before."""
    if duplicates.is_empty():
        return 0
    rows = duplicates.select("partition", "offset", "gcxh").rows()
    return int(cursor.executemany(ADD_DUPLICATE, [(*row, batch.number, DUPLICATE) for row in rows]) or 0)


def _is_written(cursor: Any, batch: Batch) -> bool:
    cursor.execute(
        "SELECT 1 FROM batch_ledger WHERE query = %s AND batch_id = %s", (batch.query, batch.number)
    )
    return cursor.fetchone() is not None


def _offsets(by_partition: Mapping[int, int]) -> str:
    return json.dumps({str(partition): by_partition[partition] for partition in sorted(by_partition)})
