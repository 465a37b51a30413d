"""The detector against a brute-force oracle: inside the lateness no order, cut or repetition counts."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import polars as pl
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from kakou.detection.contradictions import find_contradictions
from kakou.detection.rules import Limits, Rules, build_rules
from kakou.detection.state import BATCH_SCHEMA, State
from kakou.detection.travel import TRAVEL_SCHEMA

LIMITS = Limits(window=100, lateness=60, future=30)
GATES = ("A", "B", "C", "D")
LEAST = {("A", "B"): 40, ("B", "A"): 10, ("A", "C"): 120, ("C", "A"): 1, ("B", "C"): 0}
PLATES = ("苏C12345", "苏CD12345", "苏C12***", "6***")


@dataclass(frozen=True)
class Pass:
    gcxh: str
    hphm: str
    kkmc: str
    t: int


def rules() -> Rules:
    gates = pl.DataFrame({"kkmc": GATES, "name": GATES, "lon": [None] * 4, "lat": [None] * 4})
    travel = pl.DataFrame(
        [(a, b, 50, seconds, "learned") for (a, b), seconds in LEAST.items()],
        schema=TRAVEL_SCHEMA,
        orient="row",
    )
    return build_rules(gates, travel, limits=LIMITS)


def oracle(passes: list[Pass]) -> set[tuple[str, str]]:
    """Every pair, compared one by one."""
    found = set()
    unique = {(p.hphm, p.gcxh): p for p in reversed(passes)}.values()
    for one, other in itertools.combinations(unique, 2):
        first, second = sorted((one, other), key=lambda p: (p.t, p.gcxh))
        gap = second.t - first.t
        same_vehicle = first.hphm == second.hphm and first.hphm in PLATES[:2]
        if same_vehicle and gap <= LIMITS.window and gap < LEAST.get((first.kkmc, second.kkmc), -1):
            found.add((first.gcxh, second.gcxh))
    return found


def as_batch(passes: list[Pass]) -> pa.Table:
    columns = {
        "gcxh": [p.gcxh for p in passes],
        "kkmc": [p.kkmc for p in passes],
        "hpzl": ["02"] * len(passes),
        "hphm": [p.hphm for p in passes],
        "clppxh": ["-"] * len(passes),
        "t": [p.t for p in passes],
        "arrival": [None] * len(passes),
    }
    return pa.table(columns, schema=BATCH_SCHEMA)


def run(batches: list[list[Pass]]) -> tuple[list[tuple[str, str]], int]:
    state, found, late = State(), [], 0
    for batch in batches:
        state, pairs, counts, _ = find_contradictions(state, as_batch(batch), rules())
        # The order of pieces is nobody's promise.
        state = State(state.newest, tuple(reversed(state.pieces)))
        found += [(row["first_gcxh"], row["second_gcxh"]) for row in pairs.to_pylist()]
        late += counts.late
    return found, late


def cut(draw: st.DrawFn, passes: list[Pass]) -> list[list[Pass]]:
    edges = sorted(draw(st.lists(st.integers(0, len(passes)), max_size=5)))
    return [passes[a:b] for a, b in itertools.pairwise([0, *edges, len(passes)])]


@st.composite
def deliveries(draw: st.DrawFn) -> tuple[list[Pass], list[list[Pass]]]:
    """Passes in order of time, and the same ones late (inside the lateness), repeated, in batches."""
    rows = draw(
        st.lists(st.tuples(st.sampled_from(PLATES), st.sampled_from(GATES), st.integers(0, 400)), max_size=40)
    )
    passes = [Pass(f"p{i}", *row) for i, row in enumerate(rows)]
    sent = passes + draw(st.lists(st.sampled_from(passes), max_size=8) if passes else st.just([]))
    delays = draw(st.lists(st.integers(0, LIMITS.lateness), min_size=len(sent), max_size=len(sent)))
    ties = draw(st.permutations(range(len(sent))))
    order = sorted(range(len(sent)), key=lambda i: (sent[i].t + delays[i], ties[i]))
    return passes, cut(draw, [sent[i] for i in order])


@settings(max_examples=120, deadline=None)
@given(deliveries())
def test_any_delivery_gives_the_oracles_set_and_each_pair_once(
    delivery: tuple[list[Pass], list[list[Pass]]],
) -> None:
    passes, batches = delivery
    found, late = run(batches)
    assert late == 0
    assert len(found) == len(set(found))
    assert set(found) == oracle(passes)


@st.composite
def any_order(draw: st.DrawFn) -> tuple[list[Pass], list[list[Pass]], list[list[Pass]]]:
    rows = draw(
        st.lists(st.tuples(st.sampled_from(PLATES), st.sampled_from(GATES), st.integers(0, 900)), max_size=40)
    )
    passes = [Pass(f"p{i}", *row) for i, row in enumerate(rows)]
    return passes, cut(draw, passes), cut(draw, passes)


@settings(max_examples=80, deadline=None)
@given(any_order())
def test_beyond_the_lateness_the_cut_into_batches_still_decides_nothing(
    arrivals: tuple[list[Pass], list[list[Pass]], list[list[Pass]]],
) -> None:
    passes, one_cut, other_cut = arrivals
    first, second = run(one_cut), run(other_cut)
    # The order inside a result is not promised, its content is.
    assert (sorted(first[0]), first[1]) == (sorted(second[0]), second[1])
    # Exactly those that are too far behind what came before are set aside; the others are all compared.
    newest, on_time = -(10**9), []
    for one in passes:
        decidable = one.hphm in PLATES[:2]
        if decidable and one.t >= newest - LIMITS.lateness:
            on_time.append(one)
        newest = max(newest, one.t) if decidable else newest
    assert set(first[0]) == oracle(on_time)
