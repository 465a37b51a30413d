"""Law 3, and which rows count once: copies, ids under several places, rows that are archived too. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from spark_jobs.ledger.evidence import PLACE, TOPIC_SCHEMA, Evidence

_ROW = ("id", *PLACE)


@dataclass(frozen=True)
class Rows:
    """All rows, each once.

    Attributes:
        once: rows of nodes and archive, ``TOPIC_SCHEMA``; a row that lies on two nodes or is archived already
            is one.
        copies: places of the rows beyond the first, where one row lies on several nodes.
        repeated: places of the rows beyond the first, where nodes hold one id under several places.
    """

    once: pl.DataFrame
    copies: pl.DataFrame
    repeated: pl.DataFrame


def sort_rows(stored: pl.DataFrame, archive: pl.DataFrame) -> Rows:
    """Takes rows of all nodes together and the archived ones within the topic."""
    columns = list(TOPIC_SCHEMA)
    twice = _twice(stored["id"])
    if len(twice):
        suspect = stored.filter(pl.col("id").is_in(twice))
        first = suspect.unique(_ROW, keep="first", maintain_order=True)
        copies = suspect.filter(~pl.struct(_ROW).is_first_distinct()).select(PLACE)
        on_nodes = pl.concat([stored.filter(~pl.col("id").is_in(twice)), first]).select(columns)
    else:
        copies, on_nodes = stored.clear().select(PLACE), stored.select(columns)
    # What comes again after its first record left the nodes lies there until retention makes it a duplicate,
    # so an archived id may lie on a node too.
    repeated = on_nodes.filter(pl.col("id").is_in(twice)).filter(~pl.col("id").is_first_distinct())
    return Rows(pl.concat([on_nodes, _only_archived(on_nodes, archive)]), copies, repeated.select(PLACE))


def outside(places: pl.DataFrame, ends: Mapping[int, int]) -> pl.DataFrame:
    """Places that the topic never had: an unknown partition, or an offset beyond its last record."""
    end = pl.col("partition").replace_strict(dict(ends), default=-1, return_dtype=pl.Int64)
    return places.filter((pl.col("offset") >= end) | (pl.col("offset") < 0)).select(PLACE)


def false_repeats(evidence: Evidence) -> pl.DataFrame:
    """Records that count as duplicates and repeat nothing that is stored, as they lie in the topic."""
    repeats = evidence.topic.join(evidence.duplicates, on=PLACE, how="semi")
    ids = pl.col("id").is_in(repeats["id"].unique())
    content = ["id", "checksum"]
    held = [rows.filter(ids).select(content) for rows in (evidence.stored, evidence.archive, evidence.older)]
    return repeats.join(pl.concat(held), on=content, how="anti")


def _only_archived(on_nodes: pl.DataFrame, archive: pl.DataFrame) -> pl.DataFrame:
    """Archived rows that no node holds any more."""
    parts = [archive.clear()]
    for (partition,), rows in archive.partition_by("partition", as_dict=True).items():
        here = on_nodes.filter(pl.col("partition") == partition).sort("offset")
        if here.is_empty():
            parts.append(rows)
            continue
        offsets = here["offset"].to_numpy()
        at = np.minimum(np.searchsorted(offsets, rows["offset"].to_numpy()), len(offsets) - 1)
        same = (offsets[at] == rows["offset"].to_numpy()) & (
            here["id"].to_numpy()[at] == rows["id"].to_numpy()
        )
        parts.append(rows.filter(~pl.Series(same, dtype=pl.Boolean)))
    return pl.concat(parts)


def _twice(ids: pl.Series) -> pl.Series:
    """Ids that occur more than once; sorting a copy takes far less memory than counting in a table."""
    ordered: NDArray[Any] = np.sort(ids.to_numpy())
    return pl.Series(np.unique(ordered[1:][ordered[1:] == ordered[:-1]]), dtype=pl.Int64)
