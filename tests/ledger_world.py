"""A small world in which every law of the ledger holds, made by the rules of the stream, for faults to be
planted in."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import polars as pl

from spark_jobs.ledger.evidence import (
    ATTEMPT_SCHEMA,
    COUNT_SCHEMA,
    OLDER_SCHEMA,
    PLACE_SCHEMA,
    RANGE_SCHEMA,
    STORED_SCHEMA,
    TOPIC_SCHEMA,
    Evidence,
)

Place = tuple[int, int]
NODES = ("dn1", "dn2")


@dataclass
class World:
    """Lists of rows; ``evidence`` makes frames of them.

    Attributes:
        spans: what Kafka holds of each partition.
        records: place to (id, checksum), also of what Kafka has dropped by now.
        rows: place, id, checksum and node of each row on a node.
        archive: place, id and checksum of archived rows; some lie on their node too.
        batches: (batch, node) to ranges and count; the ranges are partition to (start, end).
    """

    spans: dict[int, tuple[int, int]]
    records: dict[Place, tuple[int, int]] = field(default_factory=dict)
    rows: list[tuple[int, int, int, int, int]] = field(default_factory=list)
    archive: list[tuple[int, int, int, int]] = field(default_factory=list)
    older: list[tuple[int, int]] = field(default_factory=list)
    duplicates: list[Place] = field(default_factory=list)
    rejected: list[Place] = field(default_factory=list)
    conflicts: list[Place] = field(default_factory=list)
    kept: list[Place] = field(default_factory=list)
    ranges: list[tuple[int, str, int, int, int, int]] = field(default_factory=list)
    counts: list[tuple[int, str, int, int]] = field(default_factory=list)
    attempts: list[tuple[int, str, int | None, int | None]] | None = None
    placeless: int = 0
    ends: dict[int, int] | None = None

    def evidence(self) -> Evidence:
        """As the edge would have read it."""
        inside = [
            (partition, offset, *content)
            for (partition, offset), content in self.records.items()
            if self.spans[partition][0] <= offset < self.spans[partition][1]
        ]
        return Evidence(
            spans=self.spans,
            ends=self.ends or {partition: end for partition, (_, end) in self.spans.items()},
            topic=_frame(inside, TOPIC_SCHEMA),
            stored=_frame(self.rows, STORED_SCHEMA),
            placeless=self.placeless,
            archive=_frame(self.archive, TOPIC_SCHEMA),
            older=_frame(self.older, OLDER_SCHEMA),
            duplicates=_frame(self.duplicates, PLACE_SCHEMA),
            rejected=_frame(self.rejected, PLACE_SCHEMA),
            conflicts=_frame(self.conflicts, PLACE_SCHEMA),
            due=_frame(self.rejected, PLACE_SCHEMA),
            kept=_frame(self.kept, PLACE_SCHEMA),
            ranges=_frame(self.ranges, RANGE_SCHEMA),
            counts=_frame(self.counts, COUNT_SCHEMA),
            nodes=NODES,
            attempts=None if self.attempts is None else _frame(self.attempts, ATTEMPT_SCHEMA),
        )

    def within(self) -> list[Place]:
        """Places that Kafka holds."""
        return [place for place in self.records if self.spans[place[0]][0] <= place[1]]


def sound_world(seed: int, partitions: int = 2, records: int = 40, log: bool = False) -> World:
    """Records that are stored, repeated, refused, archived and partly dropped by Kafka already."""
    dice = random.Random(seed)
    world = World({})
    attempts: list[tuple[int, str, int | None, int | None]] = [(10**6, "unknown", None, None)]
    size = [dice.randrange(records // 2, records) for _ in range(partitions)]
    done = [0] * partitions
    first: dict[int, tuple[int, int]] = {}
    batch = 0
    while done != size:
        ranges = {}
        taken = [0, 0]
        for partition in range(partitions):
            end = min(size[partition], done[partition] + dice.randrange(9))
            ranges[partition], done[partition] = (done[partition], end), end
            for offset in range(*ranges[partition]):
                _take(world, dice, first, (partition, offset), taken)
                attempts.append((world.records[partition, offset][0], "ok", partition, offset))
        for node in (0, 1):
            world.ranges += [(node, "q", batch, number, *span) for number, span in ranges.items()]
            world.counts.append((node, "q", batch, taken[node]))
        batch += 1
    world.attempts = attempts if log else None
    _grow_old(world, dice, size)
    return world


def _take(
    world: World, dice: random.Random, first: dict[int, tuple[int, int]], place: Place, taken: list[int]
) -> None:
    """What the sink does with one record."""
    kind = dice.choice(["new"] * 6 + ["again", "conflict", "poison"])
    known = dice.choice(list(first)) if first else None
    if kind == "poison":
        world.records[place] = (0, dice.randrange(10**6))
    elif kind == "new" or known is None:
        number = len(first) + 1
        first[number] = world.records[place] = (number, dice.randrange(10**6))
        node = number % 2
        world.rows.append((*place, *first[number], node))
        taken[node] += 1
        return
    elif kind == "again":
        world.records[place] = first[known]
        world.duplicates.append(place)
        taken[known % 2] += 1
        return
    else:
        world.records[place] = (known, first[known][1] + 1)
    world.rejected.append(place)
    world.kept += [place] * dice.choice([1, 2])  # a batch that came twice


def _grow_old(world: World, dice: random.Random, size: list[int]) -> None:
    """Kafka dropped a beginning, some rows are archived, and some of those have left their node."""
    for partition, end in enumerate(size):
        world.spans[partition] = (dice.randrange(end // 2), end)
    for row in list(world.rows):
        fate = dice.choice(["live"] * 3 + ["copied", "gone"])
        if fate == "live":
            continue
        partition, offset, number, checksum, _ = row
        if offset >= world.spans[partition][0]:
            world.archive.append(row[:4])
        else:
            world.older.append((number, checksum))
        if fate == "gone":
            world.rows.remove(row)


def _frame(rows: list, schema: dict) -> pl.DataFrame:  # type: ignore[type-arg]
    return pl.DataFrame(rows, schema=schema, orient="row")
