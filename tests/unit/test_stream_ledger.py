"""What the ledger says of a topic small enough to be counted by hand."""

from __future__ import annotations

from dataclasses import replace

import polars as pl

from spark_jobs.ledger.batches import reached
from spark_jobs.ledger.evidence import PLACE_SCHEMA, RANGE_SCHEMA, STORED_SCHEMA, TOPIC_SCHEMA, Evidence
from spark_jobs.ledger.laws import balance

RANGES = [
    (node, "q", 0, partition, start, end)
    for node in (0, 1)
    for partition, start, end in [(0, 0, 3), (1, 0, 6)]
]


def frame(rows: list, schema: dict) -> pl.DataFrame:  # type: ignore[type-arg]
    return pl.DataFrame(rows, schema=schema, orient="row")


def evidence(**changes: object) -> Evidence:
    """Partition 0 holds a, b and a again; partition 1 begins at 5 with one that was refused."""
    spans = {0: (0, 3), 1: (5, 6)}
    return replace(
        Evidence(
            spans=spans,
            ends={partition: end for partition, (_, end) in spans.items()},
            topic=frame([(0, 0, 1, 11), (0, 1, 2, 22), (0, 2, 1, 11), (1, 5, 0, 99)], TOPIC_SCHEMA),
            stored=frame([(0, 0, 1, 11, 0), (0, 1, 2, 22, 1)], STORED_SCHEMA),
            duplicates=frame([(0, 2)], PLACE_SCHEMA),
            rejected=frame([(1, 5)], PLACE_SCHEMA),
            ranges=frame(RANGES, RANGE_SCHEMA),
        ),
        **changes,  # type: ignore[arg-type]
    )


def test_every_offset_once_is_balanced() -> None:
    ledger = balance(evidence())
    assert ledger.balanced, ledger
    first, second = ledger.partitions
    assert (first.stored, first.duplicate, first.rejected, first.gaps) == (2, 1, 0, 0)
    assert (second.stored, second.duplicate, second.rejected, second.gaps) == (0, 0, 1, 0)
    assert [law.law for law in ledger.laws] == ["L1", "L2", "L3", "L4", "L5", "L6", "bytes"]


def test_a_gap_is_lost_and_its_place_is_said() -> None:
    ledger = balance(evidence(rejected=frame([], PLACE_SCHEMA)))
    assert (ledger.lost, ledger.behind, ledger.partitions[1].gaps) == (1, 0, 1)
    assert ledger.broken == ("L1", "L2") and "1 (1/5) without a fate" in ledger.laws[0].words


def test_a_row_on_two_nodes_is_doubled_once() -> None:
    rows = [(0, 0, 1, 11, 0), (0, 1, 2, 22, 1), (0, 1, 2, 22, 0)]
    ledger = balance(evidence(stored=frame(rows, STORED_SCHEMA)))
    assert (ledger.doubled, ledger.lost, ledger.broken) == (1, 0, ("L3",))


def test_two_rows_at_one_offset_are_two_fates() -> None:
    rows = [(0, 0, 1, 11, 0), (0, 1, 2, 22, 1), (0, 1, 3, 22, 0)]
    ledger = balance(evidence(stored=frame(rows, STORED_SCHEMA)))
    assert (ledger.doubled, ledger.unexpected) == (1, 1)
    assert ledger.broken == ("L1", "L3", "L4")


def test_what_was_never_sent_is_unexpected() -> None:
    for place in [(0, 3), (7, 0), (0, -1)]:
        rejected = frame([(1, 5), place], PLACE_SCHEMA)
        assert balance(evidence(rejected=rejected)).unexpected == 1


def test_a_place_that_kafka_has_dropped_is_no_fault() -> None:
    assert balance(evidence(rejected=frame([(1, 5), (1, 4)], PLACE_SCHEMA))).balanced


def test_without_any_batch_all_is_to_be_handled_yet() -> None:
    nothing = frame([], PLACE_SCHEMA)
    ledger = balance(
        evidence(
            stored=frame([], STORED_SCHEMA),
            duplicates=nothing,
            rejected=nothing,
            ranges=frame([], RANGE_SCHEMA),
        )
    )
    assert (ledger.lost, ledger.behind, ledger.unexpected) == (4, 4, 0)


def test_an_empty_topic_is_balanced() -> None:
    empty = Evidence({0: (0, 0)}, {0: 0}, frame([], TOPIC_SCHEMA), frame([], STORED_SCHEMA))
    assert balance(empty).balanced


def test_how_far_the_nodes_came() -> None:
    ranges = frame([(0, "q", 0, 0, 0, 5), (1, "q", 0, 0, 0, 3), (0, "q", 0, 1, 0, 2)], RANGE_SCHEMA)
    assert reached(ranges, only_first=False) == {0: 3}
    assert reached(ranges, only_first=True) == {0: 5, 1: 2}
