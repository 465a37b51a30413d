"""Law 6: batches follow each other, each node wrote each down once, and counts agree with rows. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from spark_jobs.ledger.evidence import PLACE, Evidence

_BATCH: Final = ("query", "batch")
_HELD: Final[dict[str, Any]] = {
    "query": pl.String,
    "batch": pl.Int64,
    "held": pl.Int64,
    "shared": pl.Boolean,
}


@dataclass(frozen=True)
class BatchFaults:
    """What breaks law 6, and what vanished.

    Attributes:
        words: one sentence a fault.
        vanished: records that Kafka dropped before a batch held them.
    """

    words: tuple[str, ...]
    vanished: int


def reached(ranges: pl.DataFrame, only_first: bool) -> dict[int, int]:
    """Partition to the offset up to which every node that writes batches down has done so."""
    mine = ranges.filter(pl.col("node") == 0) if only_first else ranges
    by_node = mine.group_by("node", "partition").agg(pl.col("end").max())
    lowest = by_node.group_by("partition").agg(pl.col("end").min())
    # A node that has no range of a partition has not come that far.
    nodes = mine["node"].n_unique()
    known = by_node.group_by("partition").agg(pl.len().alias("n")).filter(pl.col("n") == nodes)
    return dict(lowest.join(known, on="partition", how="semi").select("partition", "end").iter_rows())


def judge_batches(evidence: Evidence, rows: pl.DataFrame) -> BatchFaults:
    """Holds the batch ledgers against each other and against what they counted.

    Args:
        rows: places of all rows, each once.
    """
    # Retention makes a duplicate of a row that came after its first record had left, so both count together.
    places = [rows, evidence.duplicates, evidence.conflicts]
    held, nobodys = _held(evidence, pl.concat([one.select(PLACE) for one in places]))
    holes, vanished = _unread(evidence)
    words = [
        *_torn(evidence.ranges, evidence.nodes),
        *_disagreeing(evidence.ranges),
        *_repeated(evidence),
        *_absent(evidence, held),
        *_miscounted(evidence, held),
        *([f"{nobodys} rows or duplicates lie outside of every batch"] if nobodys else []),
        *holes,
    ]
    return BatchFaults(tuple(words), vanished)


def _torn(ranges: pl.DataFrame, nodes: tuple[str, ...]) -> list[str]:
    """Ranges that do not begin where the batch before ended, or end before they begin."""
    key = ("node", "query", "partition")
    ordered = ranges.sort(*key, "batch").with_columns(pl.col("end").shift(1).over(key).alias("before"))
    bad = ordered.filter((pl.col("start") != pl.col("before")) | (pl.col("end") < pl.col("start")))
    return [
        f"{nodes[row['node']]}: batch {row['batch']} of {row['query']} spans {row['start']} to {row['end']} "
        f"of partition {row['partition']}, the one before ended at {row['before']}"
        for row in bad.iter_rows(named=True)
    ]


def _disagreeing(ranges: pl.DataFrame) -> list[str]:
    """Batches that span other offsets on one node than on another."""
    span = pl.struct("partition", "start", "end")
    on_node = ranges.sort("partition").group_by(*_BATCH, "node").agg(span)
    apart = on_node.group_by(*_BATCH).agg(pl.col("partition").n_unique().alias("n")).filter(pl.col("n") > 1)
    return [
        f"batch {batch} of {query} spans other offsets on one node than on another"
        for query, batch in apart.select(_BATCH).sort(_BATCH).rows()
    ]


def _repeated(evidence: Evidence) -> list[str]:
    name = ("node", *_BATCH)
    twice = evidence.counts.group_by(name).agg(pl.len().alias("n")).filter(pl.col("n") > 1).sort(name)
    return [
        f"{evidence.nodes[node]} wrote batch {batch} of {query} down twice"
        for node, query, batch in twice.select(name).rows()
    ]


def _absent(evidence: Evidence, held: pl.DataFrame) -> list[str]:
    """Batches that a node lacks although it has an earlier one of the query.

    A node that came later has a shorter history. A batch that went through the endpoint lies on the first
    node alone; it is known by its count, which holds the rows of the others too.
    """
    counts = evidence.counts
    first = counts.group_by("query", "node").agg(pl.col("batch").min().alias("first"))
    due = _asked(evidence).join(first, on="query").filter(pl.col("batch") >= pl.col("first"))
    absent = due.join(counts, on=["node", *_BATCH], how="anti").sort(*_BATCH, "node")
    if not absent.is_empty():
        absent = absent.join(_through_endpoint(evidence, held), on=_BATCH, how="anti", maintain_order="left")
    return [
        f"{evidence.nodes[node]} lacks batch {batch} of {query}"
        for query, batch, node in absent.select(*_BATCH, "node").rows()
    ]


def _through_endpoint(evidence: Evidence, held: pl.DataFrame) -> pl.DataFrame:
    alone = evidence.counts.filter(pl.col("node").n_unique().over(_BATCH) == 1, pl.col("node") == 0)
    if evidence.only_first:
        return alone.select(_BATCH)
    others = _rows_of_batches(evidence, evidence.stored.filter(pl.col("node") > 0))[0]
    both = alone.join(held, on=_BATCH).join(others.rename({"held": "elsewhere"}), on=_BATCH)
    return both.filter(pl.col("elsewhere") > 0, pl.col("taken") == pl.col("held")).select(_BATCH)


def _asked(evidence: Evidence) -> pl.DataFrame:
    """Batches that begin before the end that was asked about; later ones may be half written by now."""
    return evidence.ranges.filter(pl.col("start") < _bound(evidence, 1)).select(_BATCH).unique()


def _miscounted(evidence: Evidence, held: pl.DataFrame) -> list[str]:
    """Batches, wholly within what was read, whose counts are not what they left.

    Where a checkpoint was removed, a second query spans the same offsets as the first. A row then belongs to
    either, so a count may be smaller.
    """
    outside = evidence.ranges.filter(
        (pl.col("start") < _bound(evidence, 0)) | (pl.col("end") > _bound(evidence, 1))
    )
    wrong = (
        evidence.counts.group_by(_BATCH)
        .agg(pl.col("taken").sum())
        .join(outside, on=_BATCH, how="anti")
        .join(held, on=_BATCH, how="left")
        .with_columns(pl.col("held").fill_null(0), pl.col("shared").fill_null(False))
        .filter(
            pl.when("shared")
            .then(pl.col("taken") > pl.col("held"))
            .otherwise(pl.col("taken") != pl.col("held"))
        )
        .sort(_BATCH)
    )
    return [
        f"batch {row['batch']} of {row['query']} counted {row['taken']} rows and duplicates, "
        f"{row['held']} are there"
        for row in wrong.iter_rows(named=True)
    ]


def _bound(evidence: Evidence, which: int) -> pl.Expr:
    """First offset (0) or end (1) of the span of each partition; of one that is not known, 0."""
    bounds = {partition: span[which] for partition, span in evidence.spans.items()}
    return pl.col("partition").replace_strict(bounds, default=0, return_dtype=pl.Int64)


def _held(evidence: Evidence, rows: pl.DataFrame) -> tuple[pl.DataFrame, int]:
    """Rows by batch as ``_rows_of_batches`` gives them, for those within the spans."""
    place = pl.col("offset")
    inside = rows.filter(place >= _bound(evidence, 0), place < _bound(evidence, 1))
    return _rows_of_batches(evidence, inside)


def _rows_of_batches(evidence: Evidence, rows: pl.DataFrame) -> tuple[pl.DataFrame, int]:
    """How many rows each batch spans.

    Returns:
        ``query``, ``batch``, ``held`` and ``shared`` (another query spans some of them too); and how many
        rows no batch spans.
    """
    queries = evidence.ranges["query"].unique().sort().to_list()
    spans = evidence.ranges.filter(pl.col("end") > pl.col("start")).unique(("partition", *_BATCH))
    covers = [_batch_of(rows, spans.filter(pl.col("query") == query)) for query in queries]
    times = np.zeros(len(rows), dtype=np.uint16)
    for cover in covers:
        times += cover >= 0
    found = [pl.DataFrame(schema=_HELD)]
    for query, cover in zip(queries, covers, strict=True):
        batches, at = np.unique(cover[cover >= 0], return_inverse=True)
        shared = np.bincount(at, weights=times[cover >= 0] > 1, minlength=len(batches)) > 0
        counts = {"batch": batches, "held": np.bincount(at, minlength=len(batches)), "shared": shared}
        found.append(pl.DataFrame({"query": [query] * len(batches), **counts}, schema=_HELD))
    return pl.concat(found), int((times == 0).sum())


def _batch_of(rows: pl.DataFrame, spans: pl.DataFrame) -> NDArray[np.int64]:
    """The batch of one query that spans each row, -1 for none."""
    batch = np.full(len(rows), -1, dtype=np.int64)
    partitions, offsets = rows["partition"].to_numpy(), rows["offset"].to_numpy()
    for (partition,), part in spans.sort("start").partition_by("partition", as_dict=True).items():
        mine = np.flatnonzero(partitions == partition)
        at = np.searchsorted(part["start"].to_numpy(), offsets[mine], side="right") - 1
        inside = (at >= 0) & (offsets[mine] < part["end"].to_numpy()[at])
        batch[mine[inside]] = part["batch"].to_numpy()[at[inside]]
    return batch


def _unread(evidence: Evidence) -> tuple[list[str], int]:
    """Offsets that no batch spans although earlier ones were, and that Kafka no longer holds."""
    words, vanished = [], 0
    spans = evidence.ranges.filter(pl.col("end") > pl.col("start")).select("partition", "start", "end")
    for partition, (first, _) in sorted(evidence.spans.items()):
        end = None
        # What the topic begins with is the next that somebody may read.
        mine = spans.filter(pl.col("partition") == partition).sort("start").select("start", "end").rows()
        for start, stop in [*mine, (first, first)] if mine else []:
            if end is not None and end < min(start, first):
                words.append(f"offsets {end} to {min(start, first)} of partition {partition} were never read")
                vanished += min(start, first) - end
            end = stop if end is None else max(end, stop)
    return words, vanished
