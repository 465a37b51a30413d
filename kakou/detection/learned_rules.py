"""Rules from what a history taught."""

from __future__ import annotations

import numpy as np
import polars as pl

from kakou.detection.knowledge import Knowledge
from kakou.detection.refusals import Refusal, against_passes, refused_pairs, with_places_left
from kakou.detection.registry import misplaced, refused_by_registry
from kakou.detection.rules import Rules, RuleSettings, build_rules
from kakou.detection.travel import BASIS_LEARNED, TRAVEL_SCHEMA


def refused_geometry(gates: pl.DataFrame, knowledge: Knowledge) -> list[Refusal]:
    """Gates and pairs of gates whose geometry is not used.

    Args:
        gates: as ``rules_of``.

    Returns:
        what the registry alone contradicts, then the gates that passes contradict, worst first.
    """
    every = _with_learned(gates, knowledge)
    refused = refused_by_registry(every)
    left = build_rules(
        with_places_left(every, refused), pl.DataFrame(schema=TRAVEL_SCHEMA), apart=refused_pairs(refused)
    )
    wrong = misplaced(left.distance_km, knowledge.usual, knowledge.trips)
    return [*refused, *(against_passes(knowledge.gates[at]) for at in wrong)]


def rules_of(
    gates: pl.DataFrame, knowledge: Knowledge, settings: RuleSettings
) -> tuple[Rules, list[Refusal]]:
    """Rules from what a history taught; the map where it taught nothing.

    Args:
        gates: columns ``kkmc``, ``name``, ``lon``, ``lat``, and ``xzqhmc``, ``road``, ``stake`` if known; in
            the order of the codes of ``knowledge``.

    Returns:
        the rules, whose codes are those of ``knowledge``; and the gates and pairs of gates whose geometry is
        not used.
    """
    limits, fallback_kmh = settings.limits, settings.fallback_kmh
    refused = refused_geometry(gates, knowledge)
    every = with_places_left(_with_learned(gates, knowledge), refused)
    start, end = np.nonzero(np.isfinite(knowledge.least))
    names = np.array(knowledge.gates, dtype=object)
    travel = pl.DataFrame(
        {
            "from_kkmc": names[start], "to_kkmc": names[end], "passes": knowledge.trips[start, end],
            "min_travel_seconds": knowledge.least[start, end].astype(np.int64),
            "basis": [BASIS_LEARNED] * len(start),
        },
        schema=TRAVEL_SCHEMA,
    )  # fmt: skip
    ahead = {gate: round(float(s)) for gate, s in zip(knowledge.gates, knowledge.constant, strict=True)}
    rules = build_rules(
        every, travel, limits=limits, fallback_kmh=fallback_kmh, ahead=ahead,
        weighing=settings.weighing.calibrated(knowledge.reviewed), apart=refused_pairs(refused),
    )  # fmt: skip
    return rules, refused


def _with_learned(gates: pl.DataFrame, knowledge: Knowledge) -> pl.DataFrame:
    """Each gate once, and behind them those that only the history knows, without name and place."""
    known = gates.unique("kkmc", keep="first", maintain_order=True)
    rows = pl.DataFrame({"kkmc": list(knowledge.gates[len(known) :])}, schema={"kkmc": pl.String})
    return pl.concat([known, rows], how="diagonal").with_columns(pl.col("name").fill_null(""))
