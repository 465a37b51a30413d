"""The direct writer beside ``LOAD DATA LOCAL`` from ready files and Spark's JDBC writer: the same rows, the
same tables and indexes, one connection and one thread for each node."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl
from stream_costs import Costs, roles_of
from stream_jdbc import CONTESTANTS, fetch_drivers
from stream_job import StreamError
from stream_pipeline import local_now
from stream_stack import empty_passes, private_stack, store_pids
from stream_traffic import Plan, make_traffic

from kakou.connections import connect, node_names
from kakou.fields import COLUMNS_12
from kakou.settings import Settings
from kakou.stack.environment import child_environment
from kakou.topology import load_topology
from spark_jobs.sinks.fates import Batch
from spark_jobs.sinks.nodes import Nodes
from spark_jobs.sinks.sorting import sort_out

SPAN = timedelta(minutes=115)
JDBC_LIMIT_S = 900
REJECTED = {"partition": pl.Int32, "offset": pl.Int64, "reason": pl.String}
# Column of the table to column of a batch.
COLUMNS = {
    **{("id" if name == "gcxh" else name): name for name in COLUMNS_12},
    "kafka_partition": "partition", "kafka_offset": "offset", "batch_id": "batch_id",
}  # fmt: skip
LOAD = f"LOAD DATA LOCAL INFILE %s INTO TABLE traffic_data CHARACTER SET utf8mb4 ({', '.join(COLUMNS)})"


@dataclass(frozen=True)
class Contest:
    """Rows as the stream hands them over, and where each goes."""

    settings: Settings
    rows: pl.DataFrame
    node_of: pl.Series
    batch: int

    def batches(self) -> list[pl.DataFrame]:
        """In the order of arrival."""
        return list(self.rows.iter_slices(self.batch))

    def of_node(self, node: str, count: int | None = None, skip: int = 0) -> pl.DataFrame:
        """Rows of a node as columns of its table."""
        rows = self.rows.filter(self.node_of == node).slice(skip, count)
        return rows.select(pl.col(name).alias(column) for column, name in COLUMNS.items())


def run_writers(work: Path, rows: int, jdbc_rows: int, repeat: int) -> dict[str, Any]:
    """Measures all, in turn, into empty tables; the medians count.

    Raises:
        StreamError: a contestant stored another number of rows than it was given.
    """
    with private_stack(work, rows) as settings:
        contest = _contest(settings, rows)
        files = settings.var / "load"
        ready = {
            "in batches": _files(contest, files / "batched", contest.batch),
            "at once": _files(contest, files / "whole", len(contest.rows)),
        }
        runs: dict[str, list[dict[str, float]]] = {"ours": []} | {name: [] for name in ready}
        for _ in range(repeat):
            runs["ours"].append(_timed(contest, lambda: _ours(contest)))
            for name, by_node in ready.items():
                runs[name].append(_timed(contest, lambda by_node=by_node: _load(settings, by_node)))
        jdbc = _jdbc(contest, work, jdbc_rows)
    rates = {name: statistics.median(one["rate"] for one in of) for name, of in runs.items()}
    best = max(rates["in batches"], rates["at once"])
    return {
        "rows": len(contest.rows), "batch": contest.batch, "repeat": repeat, "runs": runs, "rates": rates,
        "jdbc": jdbc, "to_load": rates["ours"] / best,
        "to_jdbc": {name: rates["ours"] / one["rate"] for name, one in jdbc.items()},
        "others": statistics.median(one["others"] for of in runs.values() for one in of),
    }  # fmt: skip


def _contest(settings: Settings, rows: int) -> Contest:
    traffic = make_traffic(Plan(rows, local_now(settings) - SPAN, SPAN.total_seconds(), clones=0))
    good = traffic.passes.filter(pl.col("kind") == "pass").select(COLUMNS_12)
    place = good.with_row_index("n").select(
        pl.col("n").mod(settings.partitions).cast(pl.Int32).alias("partition"),
        (pl.col("n") // settings.partitions).cast(pl.Int64).alias("offset"),
        (pl.col("n") // settings.max_offsets_per_trigger).cast(pl.Int64).alias("batch_id"),
    )
    ring = load_topology(settings.topology_dir).ring
    gates = good["kkmc"].unique().to_list()
    node_of = good["kkmc"].replace_strict(gates, [ring.locate(gate) for gate in gates])
    return Contest(settings, pl.concat([place, good], how="horizontal"), node_of,
                   settings.max_offsets_per_trigger)  # fmt: skip


def _timed(contest: Contest, write: Callable[[], None]) -> dict[str, float]:
    """One contestant into empty tables: rate, wall and processor seconds of ours and of each node."""
    settings = contest.settings
    empty_passes(settings)
    costs = Costs(roles_of(store_pids(settings), lambda: None))
    costs.start()
    costs.begin()
    began = time.monotonic()
    write()
    seconds = time.monotonic() - began
    spent = costs.end()
    costs.stop()
    _demand(settings, len(contest.rows))
    nodes = sum(spent.cpu.get(node, 0.0) for node in node_names(settings))
    return {
        "rate": len(contest.rows) / seconds, "seconds": seconds, "client_cpu": spent.bench,
        "nodes_cpu": nodes, "others": spent.others,
    }  # fmt: skip


def _ours(contest: Contest) -> None:
    """As query ``ingest`` does it: look for the ids, sort out, write in one transaction for each node."""
    store = Nodes(contest.settings)
    nothing = pl.DataFrame(schema=REJECTED)
    reached: dict[int, int] = {}
    for number, rows in enumerate(contest.batches()):
        spans = rows.group_by("partition").agg(pl.col("offset").max() + 1).rows()
        end = {partition: int(offset) for partition, offset in spans}
        start = {partition: reached.get(partition, 0) for partition in end}
        with store.begin(Batch("ingest-bench", number, start, end)) as writing:
            if writing.done:
                raise StreamError("The tables were not empty.")
            good = rows.select("partition", "offset", *COLUMNS_12)
            writing.add(sort_out(good, writing.stored_under(good["gcxh"].unique().to_list())), nothing)
            writing.commit()
        reached |= end
    store.close()


def _files(contest: Contest, folder: Path, batch: int) -> dict[str, list[Path]]:
    """Ready files for ``LOAD``, tab-separated as MariaDB writes them itself, for each node."""
    folder.mkdir(parents=True)
    found: dict[str, list[Path]] = {node: [] for node in node_names(contest.settings)}
    edges = [*range(0, len(contest.rows), batch), len(contest.rows)]
    for start, end in pairwise(edges):
        piece = Contest(contest.settings, contest.rows[start:end], contest.node_of[start:end], contest.batch)
        for node, files in found.items():
            files.append(folder / f"{node}-{start}.tsv")
            piece.of_node(node).write_csv(
                files[-1], include_header=False, separator="\t", quote_style="never"
            )
    return found


def _load(settings: Settings, by_node: dict[str, list[Path]]) -> None:
    def load(node: str) -> None:
        connection = connect(settings, node, "kakou_writer", local_infile=True)
        with connection, connection.cursor() as cursor:
            for file in by_node[node]:
                cursor.execute(LOAD, (str(file),))
                connection.commit()

    with ThreadPoolExecutor(len(by_node)) as pool:
        list(pool.map(load, by_node))


def _jdbc(contest: Contest, work: Path, wanted: int) -> dict[str, dict[str, float]]:
    """Each contestant of Spark's writer; a part of the rows."""
    settings = contest.settings
    jars = fetch_drivers(settings, work / "jdbc")
    warm, parts = settings.var / "jdbc" / "warm", settings.var / "jdbc" / "parts"
    for folder in (warm, parts):
        folder.mkdir(parents=True)
    nodes = node_names(settings)
    held = 0
    for node in nodes:
        each, first = wanted // len(nodes), max(1, wanted // len(nodes) // 10)
        rows = contest.of_node(node, first + each)
        rows[:first].write_parquet(warm / f"{node}.parquet")
        rows[first:].write_parquet(parts / f"{node}.parquet")
        held += len(rows)
    found = {}
    for contestant in CONTESTANTS:
        empty_passes(settings)
        one = _spark_writes(settings, [jars, warm, parts], contestant)
        _demand(settings, held)
        found[contestant] = one | {"rate": one["rows"] / one["seconds"]}
    return found


def _spark_writes(settings: Settings, places: list[Path], contestant: str) -> dict[str, float]:
    program = Path(__file__).with_name("stream_jdbc.py")
    done = subprocess.run(
        [sys.executable, *map(str, (program, *places)), contestant],
        env=child_environment(settings), capture_output=True, text=True, timeout=JDBC_LIMIT_S, check=False,
    )  # fmt: skip
    if done.returncode:
        raise StreamError(f"Spark's JDBC writer failed: {_cause(done.stderr)}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def _cause(stderr: str) -> str:
    """What a Java trace says, without where."""
    lines = [line for line in stderr.splitlines() if line.strip() and not line.lstrip().startswith("at ")]
    return " | ".join(lines)[-1500:]


def _demand(settings: Settings, rows: int) -> None:
    """Checks that the nodes hold that many rows."""
    held = 0
    for node in node_names(settings):
        connection = connect(settings, node, "kakou_reader")
        with connection, connection.cursor() as cursor:
            cursor.execute("SELECT COUNT(*) FROM traffic_data")
            held += int(cursor.fetchone()[0])
    if held != rows:
        raise StreamError(f"The nodes hold {held:,} rows and {rows:,} were written.")
