"""Contradictions: two passes of one plate that one vehicle cannot have made.

``find_contradictions`` is pure, knows no engine, and does no work per plate in Python. What it finds does not
depend on the order in which passes arrive, on how they are cut into batches, or on a pass arriving twice, as
long as no pass is later than ``Limits.lateness``. Beyond that it sets the pass aside and counts it.

::

    newest - window - lateness        newest - lateness             newest     arrival + future
    ──────────┼──────────────────────────────┼──────────────────────────┼──────────────┼────────
     forgotten        kept, a new pass here       kept, and a new pass
                      is late: set aside          here is compared            set aside
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final, NamedTuple

import numpy as np
import polars as pl
import pyarrow as pa

from kakou.detection.rules import Rules
from kakou.detection.state import STATE_SCHEMA, State, plate_keys
from kakou.plates import WHOLE_PLATE_PATTERN

# A plate with more passes than this inside the window is no vehicle but a reading error that repeats (a
# poster, a default). Its further passes are counted and not compared, so that work stays linear.
CROWD: Final = 256

CONTRADICTION_SCHEMA: Final[dict[str, Any]] = {
    "hphm": pl.String,
    **{
        f"{side}_{name}": kind
        for side in ("first", "second")
        for name, kind in (
            ("gcxh", pl.String),
            ("kkmc", pl.String),
            ("hpzl", pl.String),
            ("clppxh", pl.String),
            ("t", pl.Int64),
        )
    },
    "gap_seconds": pl.Int64,
    "min_travel_seconds": pl.Int64,
    "distance_km": pl.Float64,
    "basis": pl.Int8,
}
_KNOWN: Final = pl.Schema(
    {
        **dict.fromkeys(("gcxh", "kkmc", "hpzl", "hphm", "clppxh"), pl.String),
        "t": pl.Int64,
        "key": pl.UInt64,
    }
)
_PASS = ("gcxh", "kkmc", "hpzl", "clppxh", "t")


@dataclass(frozen=True, slots=True)
class Counts:
    """What became of the passes of a batch.

    Attributes:
        passes: all of them.
        withheld: plate not whole, so nothing can be decided.
        future: stamped too far ahead of their arrival.
        late: too far behind the newest.
        duplicates: a pass id that is already known for the plate.
        crowded: beyond ``CROWD`` passes of one plate.
        contradictions: pairs found.
    """

    passes: int = 0
    withheld: int = 0
    future: int = 0
    late: int = 0
    duplicates: int = 0
    crowded: int = 0
    contradictions: int = 0

    def __add__(self, other: Counts) -> Counts:
        mine, theirs = asdict(self), asdict(other)
        return Counts(**{name: mine[name] + theirs[name] for name in mine})


class Looked(NamedTuple):
    """What one batch gave.

    Attributes:
        newest: newest time seen.
        found: the contradictions that it completes, ``CONTRADICTION_SCHEMA``: each pair once, ``first``
            before ``second`` by (time, id).
        counts: what became of its passes.
        fresh: those that are to be remembered, ``state.STATE_SCHEMA``.
    """

    newest: int
    found: pa.Table
    counts: Counts
    fresh: pa.Table


class Taken(NamedTuple):
    """As ``Looked``, with the state for the next call in place of the newest time."""

    state: State
    found: pa.Table
    counts: Counts
    fresh: pa.Table


def find_contradictions(state: State, batch: pa.Table, rules: Rules) -> Taken:
    """Takes one batch of passes into the state, which remembers no more than it must.

    Args:
        state: that of an earlier call; at first ``State()``.
        batch, rules: as for ``contradictions_of``.
    """
    newest, found, counts, fresh = contradictions_of(state, batch, rules)
    return Taken(state.grown(fresh, newest, newest - rules.limits.retention), found, counts, fresh)


def contradictions_of(state: State, batch: pa.Table, rules: Rules) -> Looked:
    """The contradictions that a batch of passes completes, with those before it and with each other.

    Args:
        state: what is remembered: all that was ``fresh``, for as long as ``Limits.retention`` at least.
        batch: ``state.BATCH_SCHEMA`` in order of arrival; times are whole seconds of local time.
        rules: window, lateness and travel times.
    """
    arrived = pl.DataFrame(pl.from_arrow(batch))
    decidable = arrived.filter(pl.col("hphm").str.contains(WHOLE_PLATE_PATTERN))
    on_time, newest, future, late = set_aside(decidable, state.newest, rules)

    keys = plate_keys(on_time["hphm"])
    known = pl.DataFrame(pl.from_arrow(state.under(keys))).cast(_KNOWN)
    # What is remembered for longer is out of reach, and counts in no crowd.
    known = known.filter(pl.col("t") >= state.newest - rules.limits.retention)
    fresh = on_time.with_columns(pl.Series("key", keys)).unique(
        ["hphm", "gcxh"], keep="first", maintain_order=True
    )
    if len(known):
        fresh = fresh.join(known, on=["hphm", "gcxh"], how="anti", maintain_order="left")
    duplicates = len(on_time) - len(fresh)
    fresh, crowded = _thin_crowds(known, fresh)

    found = _judge(_pairs(known, fresh, rules.limits.window), rules)
    counts = Counts(
        passes=len(arrived),
        withheld=len(arrived) - len(decidable),
        future=future,
        late=late,
        duplicates=duplicates,
        crowded=crowded,
        contradictions=len(found),
    )
    added = _arrow(fresh.select(STATE_SCHEMA.names)).cast(STATE_SCHEMA)
    return Looked(newest, _arrow(found), counts, added)


def _arrow(frame: pl.DataFrame) -> pa.Table:
    return frame.to_arrow(compat_level=pl.CompatLevel.oldest())


def set_aside(decidable: pl.DataFrame, newest: int, rules: Rules) -> tuple[pl.DataFrame, int, int, int]:
    """Drops what is ahead of its arrival, and then what is late; a pass that is ahead moves no watermark.

    Args:
        decidable: passes under whole plates in order of arrival, with ``t`` and ``arrival``.
        newest: newest time seen before them.

    Returns:
        those on time, without ``arrival``; the newest time seen now; how many were ahead, and how many late.
    """
    ahead = (pl.col("t") - pl.col("arrival") > rules.limits.future).fill_null(False)
    plausible = decidable.filter(~ahead)
    times = plausible["t"].to_numpy()
    if not len(times):
        return plausible.drop("arrival"), newest, len(decidable), 0
    # Newest time that arrived before each pass, so that the cut into batches decides nothing.
    before = np.maximum.accumulate(np.concatenate(([newest], times)))
    on_time = times >= before[:-1] - rules.limits.lateness
    return (
        plausible.drop("arrival").filter(pl.Series(on_time)),
        int(before[-1]),
        len(decidable) - len(plausible),
        int(len(times) - on_time.sum()),
    )


def _thin_crowds(known: pl.DataFrame, fresh: pl.DataFrame) -> tuple[pl.DataFrame, int]:
    if len(known) + len(fresh) <= CROWD:
        return fresh, 0
    size = pl.concat([known.select("hphm"), fresh.select("hphm")]).group_by("hphm").len("size")
    crowds = size.filter(pl.col("size") > CROWD)
    if crowds.is_empty():
        return fresh, 0
    before = known.group_by("hphm").len("before")
    place = pl.int_range(pl.len(), dtype=pl.Int64).over("hphm") + pl.col("before").fill_null(0).cast(pl.Int64)
    thinned = (
        fresh.join(before, on="hphm", how="left", maintain_order="left")
        .filter(place < CROWD)
        .select(fresh.columns)
    )
    return thinned, len(fresh) - len(thinned)


def _pairs(known: pl.DataFrame, fresh: pl.DataFrame, window: int) -> pl.DataFrame:
    """Each pair of which at least one half is new, at two gates and inside the window, earlier half first."""
    new = fresh.select(*_PASS, "hphm").with_row_index("_new")
    if known.is_empty() and not new["hphm"].is_duplicated().any():
        return pl.DataFrame()
    old = known.with_columns(pl.lit(None, dtype=pl.UInt32).alias("_new")).select(new.columns)
    both = pl.concat([old, new]).join(new, on="hphm", suffix="_b")
    both = both.filter(
        pl.col("_new").is_null() | (pl.col("_new") < pl.col("_new_b")),
        pl.col("kkmc") != pl.col("kkmc_b"),
        (pl.col("t") - pl.col("t_b")).abs() <= window,
    )
    in_order = (pl.col("t") < pl.col("t_b")) | (
        (pl.col("t") == pl.col("t_b")) & (pl.col("gcxh") < pl.col("gcxh_b"))
    )
    return both.select(
        "hphm",
        *(pl.when(in_order).then(pl.col(n)).otherwise(pl.col(f"{n}_b")).alias(f"first_{n}") for n in _PASS),
        *(pl.when(in_order).then(pl.col(f"{n}_b")).otherwise(pl.col(n)).alias(f"second_{n}") for n in _PASS),
        (pl.col("t") - pl.col("t_b")).abs().alias("gap_seconds"),
    )


def _judge(pairs: pl.DataFrame, rules: Rules) -> pl.DataFrame:
    """Keeps the pairs whose gap is shorter than the shortest honest trip."""
    if pairs.is_empty() or not rules.gates:
        return pl.DataFrame(schema=CONTRADICTION_SCHEMA)
    start, end = rules.codes_of(pairs["first_kkmc"]), rules.codes_of(pairs["second_kkmc"])
    # A clock that is always ahead may even swap the two.
    gap = pairs["gap_seconds"].to_numpy() - (rules.ahead[end] - rules.ahead[start])
    way = np.where(gap >= 0, rules.min_travel[start, end], rules.min_travel[end, start])
    # Index -1 would read the last gate; such pairs are unknown and drop out.
    least = np.where((start >= 0) & (end >= 0), way, -1)
    hit = np.abs(gap) < least
    start, end = start[hit], end[hit]
    return (
        pairs.filter(pl.Series(hit))
        .with_columns(
            pl.Series("min_travel_seconds", least[hit].astype(np.int64)),
            pl.Series("distance_km", rules.distance_km[start, end]).fill_nan(None),
            pl.Series("basis", rules.basis[start, end]),
        )
        .select(CONTRADICTION_SCHEMA.keys())
    )
