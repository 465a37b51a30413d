"""The proof that nothing was lost and nothing doubled: every offset of the topic has exactly one fate.

stored (a row of ``traffic_data`` that names it, on a node or in the archive), duplicate (a row of
``duplicate_records``) or rejected (a row of ``rejected_records``; its bytes lie in the rejected topic until
somebody settles them). ``spark_jobs.ledger.laws`` is the rule, this the edge.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import polars as pl

from kakou.connections import node_names
from kakou.settings import Settings
from spark_jobs.ledger.archive import read_archive
from spark_jobs.ledger.batches import reached
from spark_jobs.ledger.evidence import Evidence, Ledger
from spark_jobs.ledger.laws import balance
from spark_jobs.ledger.reading import NodeRows, read_attempts, read_node, read_ranges, read_topic
from spark_jobs.ledger.rows import false_repeats
from spark_jobs.rejected.records import rejected_places
from spark_jobs.topic_reading import Tell, quietly, said_plainly, spans_of, topic_consumer

_ASK_AGAIN_S: Final = 0.5


def read_ledger(
    settings: Settings, wait_seconds: float = 0, producer_log: Path | None = None, tell: Tell = quietly
) -> Ledger:
    """Reads both topics, every node and the archive, and holds them against each other.

    May run beside the stream: what is asked about is what the topic holds when it begins.

    Args:
        settings: where everything is.
        wait_seconds: how long to wait for the nodes to have handled that.
        producer_log: every attempt of every producer, see ``spark_jobs.producer_log``.
        tell: is told how far each reading has come.

    Raises:
        StorageError: a store is away.
        BadInputError: the producer log cannot be used.
    """
    attempts = None if producer_log is None else read_attempts(producer_log)
    with said_plainly(settings), topic_consumer(settings) as consumer:
        asked = spans_of(consumer, settings.topic)
        _wait(settings, {partition: end for partition, (_, end) in asked.items()}, wait_seconds, tell)
        # The bytes of a refused record go before its row, and leave after it is settled.
        kept = rejected_places(settings, tell)
        nodes = [read_node(settings, number, tell) for number in range(len(node_names(settings)))]
        topic = read_topic(consumer, settings.topic, asked, tell)
        spans, ends = _as_it_is_now(asked, spans_of(consumer, settings.topic))
    evidence = Evidence(
        spans,
        ends,
        topic,
        kept=kept,
        nodes=node_names(settings),
        only_first=settings.ingest_route == "endpoint",
        attempts=attempts,
        **_together(nodes),
    )
    del topic, nodes
    return balance(_with_archive(settings, evidence))


def topic_spans(settings: Settings) -> dict[int, tuple[int, int]]:
    """First offset and the one after the last of each partition that the topic of passes really has.

    Raises:
        StorageError: Kafka is away, or there is no such topic.
    """
    with said_plainly(settings), topic_consumer(settings) as consumer:
        return spans_of(consumer, settings.topic)


def _together(nodes: list[NodeRows]) -> dict[str, Any]:
    def all_of(what: str) -> pl.DataFrame:
        frames: list[pl.DataFrame] = [getattr(one, what) for one in nodes]
        return pl.concat(frames)

    frames = ("stored", "duplicates", "conflicts", "rejected", "due", "ranges", "counts")
    return {name: all_of(name) for name in frames} | {"placeless": sum(one.placeless for one in nodes)}


def _as_it_is_now(
    asked: dict[int, tuple[int, int]], now: dict[int, tuple[int, int]]
) -> tuple[dict[int, tuple[int, int]], dict[int, int]]:
    """Spans without what Kafka has dropped meanwhile, and the ends by now."""
    spans = {
        partition: (min(max(start, now.get(partition, (start, end))[0]), end), end)
        for partition, (start, end) in asked.items()
    }
    return spans, {partition: end for partition, (_, end) in now.items()}


def _with_archive(settings: Settings, evidence: Evidence) -> Evidence:
    """Adds archived rows; of the older ones those that a duplicate repeats, with a producer log all.

    Read after the nodes: a row leaves its node only when it is archived.
    """
    first = {partition: start for partition, (start, _) in evidence.spans.items()}
    everything = evidence.attempts is not None
    archive, older = read_archive(settings, first, everything)
    evidence = replace(evidence, archive=archive, older=older)
    ids = false_repeats(evidence)["id"].unique()
    if everything or ids.is_empty():
        return evidence
    return replace(evidence, older=read_archive(settings, first, ids)[1])


def _wait(settings: Settings, ends: dict[int, int], seconds: float, tell: Tell) -> None:
    """Waits until every node has written down batches up to ``ends``, or for ``seconds``."""
    give_up = time.monotonic() + seconds
    nodes = range(1 if settings.ingest_route == "endpoint" else len(node_names(settings)))
    known: list[pl.DataFrame] = []
    since: dict[int, Any] = {}
    while seconds > 0:
        for number in nodes:
            ranges, since[number] = read_ranges(settings, number, since.get(number))
            known.append(ranges.group_by("node", "partition").agg(pl.col("end").max()))
        done = reached(pl.concat(known), only_first=False)
        tell("batches", sum(min(done.get(one, 0), end) for one, end in ends.items()), sum(ends.values()))
        left = give_up - time.monotonic()
        if _all_there(ends, done) or left <= 0:
            return
        time.sleep(min(_ASK_AGAIN_S, left))


def _all_there(ends: dict[int, int], done: dict[int, int]) -> bool:
    return all(done.get(partition, 0) >= end for partition, end in ends.items() if end)
