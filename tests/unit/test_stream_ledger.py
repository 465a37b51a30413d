"""The ledger finds what is lost and what is doubled; a proof that cannot fail proves nothing."""

from __future__ import annotations

from spark_jobs.ledger import balance

SPANS = {0: (0, 3), 1: (5, 6)}
STORED = [("a", 0, 0), ("b", 0, 1)]


def test_every_offset_once_is_balanced() -> None:
    ledger = balance(SPANS, STORED, [(0, 2)], [(1, 5), (1, 5)])
    assert ledger.balanced
    first, second = ledger.partitions
    assert (first.stored, first.duplicate, first.rejected, first.gaps) == (2, 1, 0, 0)
    assert (second.stored, second.duplicate, second.rejected, second.gaps) == (0, 0, 1, 0)


def test_a_gap_is_lost() -> None:
    ledger = balance(SPANS, STORED, [], [(1, 5)])
    assert (ledger.lost, ledger.partitions[0].gaps, ledger.balanced) == (1, 1, False)


def test_two_fates_are_doubled() -> None:
    assert balance(SPANS, STORED, [(0, 2), (0, 1)], [(1, 5)]).doubled == 1


def test_an_id_on_two_nodes_is_doubled() -> None:
    assert balance({0: (0, 2)}, [("a", 0, 0), ("a", 0, 1)], [], []).doubled == 1


def test_a_row_that_was_never_sent_is_unexpected() -> None:
    assert balance({0: (0, 2)}, [*STORED, ("c", 0, 2)], [], []).unexpected == 1
    assert balance({0: (0, 2)}, [*STORED, ("c", 7, 0)], [], []).unexpected == 1
