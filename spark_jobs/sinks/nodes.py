"""Route ``shards``: each row straight to the node that MyCat's rule names, once whatever happens."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from typing import Any, Final, TypeVar

import polars as pl
import pymysql

from kakou.connections import connect
from kakou.errors import StorageError
from kakou.settings import Settings
from kakou.topology import Topology, load_topology
from spark_jobs.sinks.fates import Batch, add_batch, add_duplicates, add_rejected, is_written, open_flow
from spark_jobs.sinks.rows import FLOW_KEY, LOAD, as_csv, flow_of, stored_under, wanted
from spark_jobs.sinks.sorting import Sorted

_ANSWER_S: Final = 60
ADD_FLOW: Final = (
    f"INSERT INTO flow_hourly ({', '.join(FLOW_KEY)}, n) "  # noqa: S608 - our own column names
    "VALUES (%s, %s, %s, %s, %s, %s) "
    "ON DUPLICATE KEY UPDATE n = n + VALUES(n)"
)
Answer = TypeVar("Answer")


class Nodes:
    """The data nodes as one sink.

    Flush contract: within ``begin`` each node has one local transaction, which holds rows, fates and one row
    of ``batch_ledger``; ``commit`` returns when every node has committed. A batch that comes again skips the
    nodes that have its row.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._topology: Topology = load_topology(settings.topology_dir)
        self._names = [node.name for node in self._topology.nodes]
        self._pool = ThreadPoolExecutor(len(self._names), thread_name_prefix="node")
        # A name costs a hash in Python; the same few gates come again and again.
        self._locate = lru_cache(maxsize=10_000)(self._topology.ring.locate)

    @contextmanager
    def begin(self, batch: Batch) -> Iterator[NodesBatch]:
        """Opens a transaction on every node; what is not committed at the end is undone.

        Raises:
            pymysql.MySQLError: a node is away.
        """
        with ExitStack() as stack:
            nodes = [_Node(name, stack.enter_context(self._connect(name)), batch) for name in self._names]
            yield NodesBatch(self._settings, batch, nodes, self._pool, self._by_node)

    def close(self) -> None:
        """Ends the threads; a statement that runs is waited for."""
        self._pool.shutdown()

    def _by_node(self, rows: pl.DataFrame) -> dict[str, pl.DataFrame]:
        if rows.is_empty():
            return {}
        gates = rows["kkmc"].unique().to_list()
        node = pl.col("kkmc").replace_strict(gates, [self._locate(gate) for gate in gates])
        groups = rows.with_columns(node.alias("_node")).partition_by("_node", as_dict=True, include_key=False)
        return {str(key[0]): part for key, part in groups.items()}

    def _connect(self, node: str) -> pymysql.Connection[Any]:
        connection = connect(
            self._settings,
            node,
            "kakou_writer",
            local_infile=True,
            read_timeout=_ANSWER_S,
            write_timeout=_ANSWER_S,
        )
        # Nobody else writes these ids, so no gap needs a lock; others may write between our keys.
        with connection.cursor() as cursor:
            cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
        return connection


class _Node:
    """One node's transaction for one batch, and what it holds so far."""

    def __init__(self, name: str, connection: pymysql.Connection[Any], batch: Batch) -> None:
        self.name = name
        self.connection = connection
        self.stored = self.duplicates = self.rejected = 0
        with connection.cursor() as cursor:
            self.written = is_written(cursor, batch)


class NodesBatch:
    """A batch on its way to the nodes; see ``Nodes``."""

    def __init__(
        self,
        settings: Settings,
        batch: Batch,
        nodes: list[_Node],
        pool: ThreadPoolExecutor,
        by_node: Callable[[pl.DataFrame], dict[str, pl.DataFrame]],
    ) -> None:
        self._settings = settings
        self._batch = batch
        self._nodes = nodes
        self._pool = pool
        self._by_node = by_node

    @property
    def done(self) -> bool:
        """True if every node has committed this batch before."""
        return all(node.written for node in self._nodes)

    def stored_under(self, ids: list[str]) -> pl.DataFrame:
        """Rows under ``ids`` on any node, those of this batch included."""

        asked = wanted(ids)

        def ask(node: _Node) -> pl.DataFrame:
            with node.connection.cursor() as cursor:
                return stored_under(cursor, asked)

        return pl.concat(self._on_each(ask, self._nodes))

    def add(self, parts: Sorted, rejected: pl.DataFrame) -> None:
        """Adds a slice of the batch, each node in a thread of its own.

        Args:
            rejected: place and reason; written down at the first node.

        Raises:
            pymysql.MySQLError: a node is away or refuses.
            StorageError: a node stored less than it was given.
        """
        fresh, duplicates = self._by_node(parts.fresh), self._by_node(parts.duplicates)

        def add(node: _Node) -> None:
            with node.connection.cursor() as cursor:
                if node.name in fresh:
                    self._load(cursor, node, fresh[node.name])
                if node.name in duplicates:
                    node.duplicates += add_duplicates(cursor, self._batch, duplicates[node.name])
                if node is self._nodes[0]:
                    add_rejected(cursor, self._batch, rejected)
                    node.rejected += len(rejected)

        self._on_each(add, self._open)

    def commit(self) -> None:
        """Writes the batch down and commits, on every node that has not done so before.

        Raises:
            pymysql.MySQLError: a node is away or refuses; others may have committed.
        """

        def commit(node: _Node) -> None:
            with node.connection.cursor() as cursor:
                add_batch(cursor, self._batch, node.stored, node.duplicates, node.rejected)
            node.connection.commit()

        self._on_each(commit, self._open)

    @property
    def _open(self) -> list[_Node]:
        return [node for node in self._nodes if not node.written]

    def _on_each(self, action: Callable[[_Node], Answer], nodes: list[_Node]) -> list[Answer]:
        """All at once; every one has ended before the first error is raised."""
        jobs = [self._pool.submit(action, node) for node in nodes]
        errors = [error for job in jobs if (error := job.exception()) is not None]
        if errors:
            raise errors[0]
        return [job.result() for job in jobs]

    def _load(self, cursor: Any, node: _Node, fresh: pl.DataFrame) -> None:
        rows = fresh.sort("gcxh").with_columns(pl.lit(self._batch.number).alias("batch_id"))
        with as_csv(rows, self._settings.run_dir / "stream") as file:
            stored = cursor.execute(LOAD, (file,))
        # LOAD … LOCAL leaves out what it cannot store instead of failing, so the number is the proof.
        if stored != len(fresh) or cursor.warning_count:
            raise StorageError(
                f"{node.name} took {stored} of {len(fresh)} rows with {cursor.warning_count} warnings "
                "and was rolled back."
            )
        node.stored += stored
        counted = open_flow(cursor, flow_of(fresh))
        if len(counted):
            cursor.executemany(ADD_FLOW, counted.rows())
