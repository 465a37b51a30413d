"""The ledger's rule: what was read, held against laws L1 to L6. Pure.

L1 every offset has exactly one fate: stored, rejected or duplicate. L2 nothing acknowledged is lost. L3
nothing is doubled, over all nodes together. L4 nothing is stored that was not sent. L5 each row is what was
sent. L6 batches follow each other and are written down once on each node. And ``bytes``: what was refused can
still be read.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import polars as pl

from spark_jobs.ledger.batches import judge_batches, reached
from spark_jobs.ledger.evidence import PLACE, PLACE_SCHEMA, Evidence, Law, Ledger, nothing
from spark_jobs.ledger.partition import Found, Partition, look
from spark_jobs.ledger.rows import Rows, false_repeats, outside, sort_rows

_SHOWN: Final = 5


def balance(evidence: Evidence) -> Ledger:
    """Holds the evidence against every law."""
    rows = sort_rows(evidence.stored, evidence.archive)
    # One partition at a time: its arrays go before the next one's come.
    found = [
        look(Partition(number, span, evidence.topic), evidence, rows.once)
        for number, span in sorted(evidence.spans.items())
    ]
    batches = judge_batches(evidence, rows.once)
    gone = evidence.due.join(evidence.kept, on=PLACE, how="anti").unique()
    behind = _behind(evidence, found)
    laws = (
        _one_fate(found, behind),
        _nothing_lost(evidence, found, batches.vanished),
        _nothing_doubled(found, rows),
        _nothing_unexpected(evidence, found, rows),
        _as_sent(found),
        Law("L6", len(batches.words), _listed(batches.words) or "batches follow each other"),
        Law("bytes", len(gone), f"{_at(gone)} refused without bytes in the rejected topic"),
    )
    counts = {law.law: law.count for law in laws}
    return Ledger(
        tuple(one.ledger for one in found),
        lost=counts["L2"] + counts["bytes"],
        doubled=counts["L3"],
        unexpected=counts["L4"],
        behind=behind,
        laws=laws,
    )


def _behind(evidence: Evidence, found: Iterable[Found]) -> int:
    """Gaps beyond the last batch that every node has written down."""
    done = reached(evidence.ranges, evidence.only_first)
    return sum(int((one.gaps >= done.get(one.ledger.partition, 0)).sum()) for one in found)


def _one_fate(found: list[Found], behind: int) -> Law:
    gaps, several = _places(found, "gaps"), _places(found, "several")
    holes = sum(one.holes for one in found)
    words = f"{_at(gaps)} without a fate"
    if behind:
        words += f", {behind} of them not handled yet: the stream is behind or stopped"
    words += f"; {_at(several)} with more than one"
    if holes:
        words += f"; {holes} offsets hold no record"
    return Law("L1", len(gaps) + len(several), words)


def _nothing_lost(evidence: Evidence, found: list[Found], vanished: int) -> Law:
    gaps, untrue = _places(found, "gaps"), false_repeats(evidence)
    parts = [
        f"{_at(gaps)} without a fate",
        f"{_at(untrue)} called duplicates of what is not stored",
        f"{vanished} dropped by Kafka before they were read",
    ]
    count = len(gaps) + len(untrue) + vanished
    if evidence.attempts is not None:
        wrong = pl.concat([_places(found, "misplaced"), _unknown_to_all(evidence, evidence.attempts)])
        parts.append(f"{_at(wrong)} acknowledged and not found")
        parts.append(_attempts_in_words(evidence, evidence.attempts))
        count += len(wrong)
    return Law("L2", count, "; ".join(parts))


def _unknown_to_all(evidence: Evidence, attempts: pl.DataFrame) -> pl.DataFrame:
    """Acknowledged places outside of what was read, whose ids nobody knows."""
    told = attempts.filter(pl.col("status") == "ok")
    beyond = outside(told, evidence.ends)
    first = {partition: span[0] for partition, span in evidence.spans.items()}
    start = pl.col("partition").replace_strict(first, default=0, return_dtype=pl.Int64)
    old = told.filter(pl.col("offset") < start, pl.col("offset") >= 0)
    for fates in (evidence.duplicates, evidence.rejected, evidence.conflicts):
        old = old.join(fates, on=PLACE, how="anti")
    for rows in (evidence.stored, evidence.archive, evidence.older):
        old = old.join(rows, on="id", how="anti")
    return pl.concat([beyond, old.select(PLACE)])


def _attempts_in_words(evidence: Evidence, attempts: pl.DataFrame) -> str:
    arrived = evidence.topic["id"]
    told = []
    for status in ("failed", "unknown"):
        ids = attempts.filter(pl.col("status") == status)["id"].unique()
        told.append(f"of {len(ids)} {status} ids {int(ids.is_in(arrived.implode()).sum())} arrived")
    return f"{len(attempts)} attempts: {', '.join(told)}"


def _nothing_doubled(found: list[Found], rows: Rows) -> Law:
    surplus = sum(one.surplus for one in found)
    words = (
        f"{_at(rows.copies)} on several nodes; {_at(rows.repeated)} under an id that lies elsewhere too; "
        f"{surplus} fates beyond the first of an offset"
    )
    return Law("L3", len(rows.copies) + len(rows.repeated) + surplus, words)


def _nothing_unexpected(evidence: Evidence, found: list[Found], rows: Rows) -> Law:
    every_fate = (evidence.duplicates, evidence.rejected, evidence.conflicts)
    fates = pl.concat([one.select(PLACE) for one in (rows.once, *every_fate)])
    strange = outside(fates, evidence.ends)
    foreign = _places(found, "foreign")
    parts = [
        f"{_at(strange)} beyond the topic",
        f"{_at(foreign)} where the topic holds no record, or one of another id",
        f"{evidence.placeless} rows that name no place",
    ]
    count = len(strange) + len(foreign) + evidence.placeless
    if evidence.attempts is not None:
        stored = rows.once.filter(~pl.col("id").is_in(evidence.attempts["id"].implode()))
        unsent = _within(evidence, stored.select(PLACE)).join(foreign, on=PLACE, how="anti")
        parts.append(f"{_at(unsent)} that no producer names")
        count += len(unsent)
    return Law("L4", count, "; ".join(parts))


def _as_sent(found: list[Found]) -> Law:
    changed = _places(found, "changed")
    return Law("L5", len(changed), f"{_at(changed)} whose row differs from the record")


def _within(evidence: Evidence, places: pl.DataFrame) -> pl.DataFrame:
    inside = [
        places.filter(pl.col("partition") == number, pl.col("offset").is_between(*span, closed="left"))
        for number, span in evidence.spans.items()
    ]
    return pl.concat([places.clear(), *inside])


def _places(found: Iterable[Found], what: str) -> pl.DataFrame:
    frames = [
        pl.DataFrame({"offset": offsets}).select(
            pl.lit(one.ledger.partition, dtype=pl.Int32).alias("partition"), "offset"
        )
        for one in found
        if len(offsets := getattr(one, what))
    ]
    return pl.concat([nothing(PLACE_SCHEMA), *frames])


def _at(places: pl.DataFrame) -> str:
    """A number and the first places, such as ``3 (0/17 0/18 2/5)``."""
    shown = " ".join(
        f"{partition}/{offset}" for partition, offset in places.head(_SHOWN).select(PLACE).rows()
    )
    more = " …" if len(places) > _SHOWN else ""
    return f"{len(places)} ({shown}{more})" if shown else "0"


def _listed(words: tuple[str, ...]) -> str:
    more = f"; and {len(words) - _SHOWN} more" if len(words) > _SHOWN else ""
    return "; ".join(words[:_SHOWN]) + more
