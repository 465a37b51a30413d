"""Sound worlds balance, and each single fault is found under its law. A proof that cannot fail proves
nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from ledger_world import World, sound_world

from spark_jobs.ledger.laws import balance

SEEDS = st.integers(0, 10_000)
QUICK = settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])


@QUICK
@given(SEEDS, st.booleans())
def test_a_sound_world_balances(seed: int, log: bool) -> None:
    world = sound_world(seed, log=log)
    ledger = balance(world.evidence())
    assert ledger.balanced and not ledger.broken, ledger
    assert (ledger.lost, ledger.doubled, ledger.unexpected, ledger.behind) == (0, 0, 0, 0)
    for one in ledger.partitions:
        assert one.end - one.start == one.stored + one.rejected + one.duplicate, one
    inside = set(world.within())
    assert sum(one.rejected for one in ledger.partitions) == len(inside & set(world.rejected))


def remove_row(world: World, pick: Callable[[int], int]) -> None:
    """A row vanishes from its node and is in no archive."""
    archived = {row[:2] for row in world.archive}
    live = [row for row in world.rows if row[:2] in set(world.within()) - archived]
    assume(live)
    world.rows.remove(live[pick(len(live))])


def copy_row(world: World, pick: Callable[[int], int]) -> None:
    """A row lies on the other node too."""
    assume(world.rows)
    *row, node = world.rows[pick(len(world.rows))]
    world.rows.append((*row, 1 - node))  # type: ignore[arg-type]


def second_place(world: World, pick: Callable[[int], int]) -> None:
    """A repeated record was stored instead of being written down as one."""
    inside = [place for place in world.duplicates if place in world.within()]
    on_nodes = {row[2] for row in world.rows}
    inside = [place for place in inside if world.records[place][0] in on_nodes]
    assume(inside)
    place = inside[pick(len(inside))]
    world.duplicates.remove(place)
    world.rows.append((*place, *world.records[place], 0))


def second_fate(world: World, pick: Callable[[int], int]) -> None:
    """A stored record is called a duplicate too."""
    inside = [row[:2] for row in world.rows if row[:2] in world.within()]
    assume(inside)
    world.duplicates.append(inside[pick(len(inside))])


def false_duplicate(world: World, pick: Callable[[int], int]) -> None:
    """A record was called a duplicate and never stored, so that the sums agree."""
    archived = {row[:2] for row in world.archive}
    repeated = {world.records[place][0] for place in world.duplicates}
    live = [row for row in world.rows if row[:2] in set(world.within()) - archived and row[2] not in repeated]
    assume(live)
    row = live[pick(len(live))]
    world.rows.remove(row)
    world.duplicates.append(row[:2])


def foreign_offset(world: World, pick: Callable[[int], int]) -> None:
    """A row names an offset beyond the topic."""
    world.rows.append((0, world.spans[0][1] + pick(3), 10**7, 1, 0))


def foreign_partition(world: World, pick: Callable[[int], int]) -> None:
    """A row names a partition that the topic lacks."""
    world.rows.append((9, pick(3), 10**7, 1, 0))


def foreign_id(world: World, pick: Callable[[int], int]) -> None:
    """A row lies at a place that the topic has under another id."""
    at = [n for n, row in enumerate(world.rows) if row[:2] in world.within()]
    assume(at)
    n = at[pick(len(at))]
    partition, offset, _, checksum, node = world.rows[n]
    world.rows[n] = (partition, offset, 10**7, checksum, node)


def without_a_place(world: World, pick: Callable[[int], int]) -> None:
    """A row names no place."""
    world.placeless = 1 + pick(2)


def changed_row(world: World, pick: Callable[[int], int]) -> None:
    """A byte of a row differs."""
    at = [n for n, row in enumerate(world.rows) if row[:2] in world.within()]
    assume(at)
    n = at[pick(len(at))]
    partition, offset, number, checksum, node = world.rows[n]
    world.rows[n] = (partition, offset, number, checksum ^ 1, node)


def changed_archive(world: World, pick: Callable[[int], int]) -> None:
    """A byte of an archived row differs."""
    assume(world.archive)
    n = pick(len(world.archive))
    partition, offset, number, checksum = world.archive[n]
    world.archive[n] = (partition, offset, number, checksum ^ 1)


def torn_range(world: World, pick: Callable[[int], int]) -> None:
    """A batch ends one too early on both nodes, so that the next leaves a gap."""
    wide = [one for one in world.ranges if one[0] == 0 and one[5] > one[4]]
    last = {one[3]: max(other[5] for other in wide if other[3] == one[3]) for one in wide}
    wide = [one for one in wide if one[5] < last[one[3]]]
    assume(wide)
    _, query, batch, partition, start, end = wide[pick(len(wide))]
    for node in (0, 1):
        n = world.ranges.index((node, query, batch, partition, start, end))
        world.ranges[n] = (node, query, batch, partition, start, end - 1)


def range_of_one_node(world: World, pick: Callable[[int], int]) -> None:
    """A batch ends elsewhere on one node."""
    n = pick(len(world.ranges))
    *name, start, end = world.ranges[n]
    world.ranges[n] = (*name, start, end + 1)  # type: ignore[arg-type]


def batch_missing(world: World, pick: Callable[[int], int]) -> None:
    """A node lacks a batch that is not its first."""
    names = [one[:3] for one in world.counts if one[2] > 0]
    assume(names)
    name = names[pick(len(names))]
    world.counts = [one for one in world.counts if one[:3] != name]
    world.ranges = [one for one in world.ranges if one[:3] != name]
    asked = [one for one in world.ranges if one[2] == name[2] and one[4] < world.spans[one[3]][1]]
    assume(asked)


def batch_twice(world: World, pick: Callable[[int], int]) -> None:
    """A node has a batch twice."""
    world.counts.append(world.counts[pick(len(world.counts))])


def wrong_count(world: World, pick: Callable[[int], int]) -> None:
    """A batch says that it stored one more."""
    outside = {
        batch
        for _, _, batch, partition, start, end in world.ranges
        if start < world.spans[partition][0] or end > world.spans[partition][1]
    }
    inside = [n for n, one in enumerate(world.counts) if one[2] not in outside]
    assume(inside)
    n = inside[pick(len(inside))]
    *name, taken = world.counts[n]
    world.counts[n] = (*name, taken + 1)  # type: ignore[arg-type]


def never_read(world: World, pick: Callable[[int], int]) -> None:
    """Kafka dropped records before any batch came to them."""
    for partition, (_, end) in world.spans.items():
        world.spans[partition] = (end + 1 + pick(3), end + 5)
    world.records |= {(p, o): (0, 0) for p, span in world.spans.items() for o in range(*span)}
    new = [(p, o) for p, span in world.spans.items() for o in range(*span)]
    world.rejected, world.kept, world.archive = list(new), list(new), []
    for node in (0, 1):
        world.ranges += [(node, "q", 99, p, *span) for p, span in world.spans.items()]
        world.counts.append((node, "q", 99, 0))


def bytes_lost(world: World, pick: Callable[[int], int]) -> None:
    """The rejected topic lacks a record that nobody settled."""
    assume(world.kept)
    place = world.kept[pick(len(world.kept))]
    world.kept = [one for one in world.kept if one != place]


FAULTS = {
    remove_row: {"L1", "L2"},
    copy_row: {"L3"},
    second_place: {"L3"},
    second_fate: {"L1", "L3"},
    false_duplicate: {"L2"},
    foreign_offset: {"L4"},
    foreign_partition: {"L4"},
    foreign_id: {"L4"},
    without_a_place: {"L4"},
    changed_row: {"L5"},
    changed_archive: {"L5"},
    torn_range: {"L6"},
    range_of_one_node: {"L6"},
    batch_missing: {"L6"},
    batch_twice: {"L6"},
    wrong_count: {"L6"},
    never_read: {"L2", "L6"},
    bytes_lost: {"bytes"},
}


@pytest.mark.parametrize("plant", FAULTS, ids=lambda plant: plant.__name__)
@QUICK
@given(seed=SEEDS, choice=st.integers(0, 10**6), log=st.booleans())
def test_each_fault_is_found_under_its_law(
    plant: Callable[[World, Callable[[int], int]], None], seed: int, choice: int, log: bool
) -> None:
    world = sound_world(seed, log=log)
    plant(world, lambda n: choice % n)
    ledger = balance(world.evidence())
    assert FAULTS[plant] <= set(ledger.broken), ledger
    broken = set(ledger.broken)
    assert bool(ledger.lost) == bool(broken & {"L2", "bytes"})
    assert bool(ledger.doubled) == ("L3" in broken) and bool(ledger.unexpected) == ("L4" in broken)


LOG_FAULTS: dict[str, tuple[str, ...]] = {"vanished": ("L2",), "other id": ("L2",), "not named": ("L4",)}


@pytest.mark.parametrize("fault", LOG_FAULTS)
@QUICK
@given(seed=SEEDS, choice=st.integers(0, 10**6))
def test_the_producer_log_shows_what_the_topic_cannot(fault: str, seed: int, choice: int) -> None:
    world = sound_world(seed, log=True)
    assert world.attempts is not None
    inside = set(world.within())
    if fault == "vanished":  # the broker acknowledged a place that its topic does not have
        world.attempts.append((10**7, "ok", 0, world.spans[0][1] + choice % 5))
    else:
        stored = [row for row in world.rows if row[:2] in inside]
        assume(stored)
        row = stored[choice % len(stored)]
        at = [n for n, one in enumerate(world.attempts) if one[2:] == row[:2]]
        (n,) = at
        if fault == "other id":
            world.attempts[n] = (10**7, "ok", *row[:2])
        else:
            world.attempts = [one for one in world.attempts if one[0] != row[2]]
    assert set(LOG_FAULTS[fault]) <= set(balance(world.evidence()).broken)


def test_an_acknowledged_record_that_is_gone_from_all_stores_is_lost() -> None:
    world = sound_world(3, log=True)
    dropped = [row for row in world.rows if row[:2] not in world.within()]
    repeated = {world.records[place][0] for place in world.duplicates}
    row = next(row for row in dropped if row[2] not in repeated)
    world.rows.remove(row)
    world.older = [one for one in world.older if one[0] != row[2]]
    ledger = balance(world.evidence())
    assert ledger.broken == ("L2",) and ledger.lost == 1
    assert f"1 ({row[0]}/{row[1]}) acknowledged and not found" in ledger.laws[1].words


def test_what_is_not_handled_yet_is_told_apart() -> None:
    world = sound_world(5)
    start, end = world.spans[0]
    world.records |= {(0, end + n): (10**6 + n, 1) for n in range(4)}
    world.spans[0] = (start, end + 4)
    ledger = balance(world.evidence())
    assert (ledger.lost, ledger.behind) == (4, 4)
    assert "4 of them not handled yet" in ledger.laws[0].words
    # The stream goes on while the ledger is read: what came later is asked about another time.
    world.spans[0] = (start, end)
    world.ends = {0: end + 4, 1: world.spans[1][1]}
    world.rows.append((0, end, 10**6, 1, 0))
    assert balance(world.evidence()).balanced


def test_an_offset_without_a_record_needs_no_fate() -> None:
    world = sound_world(7)
    place = next(place for place in world.rejected if place in world.within())
    world.rejected.remove(place)
    assert balance(world.evidence()).lost == 1
    del world.records[place]
    ledger = balance(world.evidence())
    assert ledger.balanced and "1 offsets hold no record" in ledger.laws[0].words


def test_a_node_that_came_later_has_a_shorter_history() -> None:
    world = sound_world(11)
    last = max(one[2] for one in world.counts)
    world.ranges += [(2, *one[1:]) for one in world.ranges if one[0] == 1 and one[2] > last // 2]
    world.counts += [(2, "q", batch, 0) for batch in range(last // 2 + 1, last + 1)]
    nodes = ("dn1", "dn2", "dn3")
    assert balance(replace(world.evidence(), nodes=nodes)).balanced
    world.counts.remove((2, "q", last, 0))
    ledger = balance(replace(world.evidence(), nodes=nodes))
    assert ledger.broken == ("L6",) and f"dn3 lacks batch {last} of q" in ledger.laws[5].words


def test_what_comes_again_after_its_day_was_closed_is_no_fault() -> None:
    """Its first record is in the archive alone: it is stored, and retention makes a duplicate of it, or says
    that it contradicts the archive."""
    world = sound_world(13)
    gone = next(row for row in world.archive if row not in {one[:4] for one in world.rows})
    partition, offset = next(row[:2] for row in world.rows if row[:2] in world.within())
    (old,) = [row for row in world.rows if row[:2] == (partition, offset)]
    assert old[2] not in {world.records[place][0] for place in world.duplicates}
    world.archive = [row for row in world.archive if row[:2] != old[:2]]
    world.rows.remove(old)
    for again in (gone[2:], (gone[2], gone[3] + 1)):
        world.records[partition, offset] = again
        row = (partition, offset, *again, old[4])
        world.rows.append(row)
        assert balance(world.evidence()).balanced
        world.rows.remove(row)
        fates = world.duplicates if again == gone[2:] else world.conflicts
        fates.append((partition, offset))
        assert balance(world.evidence()).balanced
        fates.remove((partition, offset))


def through_endpoint(world: World) -> World:
    """The same batches as the endpoint's route writes them down."""
    totals: dict[int, int] = {}
    for _, _, batch, taken in world.counts:
        totals[batch] = totals.get(batch, 0) + taken
    world.counts = [(0, "q", batch, taken) for batch, taken in totals.items()]
    world.ranges = [one for one in world.ranges if one[0] == 0]
    return world


@QUICK
@given(SEEDS)
def test_batches_through_the_endpoint_lie_on_the_first_node(seed: int) -> None:
    world = through_endpoint(sound_world(seed))
    assert balance(replace(world.evidence(), only_first=True)).balanced
    assert balance(world.evidence()).balanced, "the route may be another one by now"


@QUICK
@given(SEEDS)
def test_a_second_query_over_the_same_offsets_is_sound(seed: int) -> None:
    """The checkpoint was removed: everything is read again and found stored."""
    world = sound_world(seed)
    for node in (0, 1):
        world.ranges += [(node, "r", 0, p, 0, end) for p, (_, end) in world.spans.items()]
        world.counts.append((node, "r", 0, 0))
    assert balance(world.evidence()).balanced
