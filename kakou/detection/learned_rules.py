"""Rules from what a history taught."""

from __future__ import annotations

import numpy as np
import polars as pl

from kakou.detection.knowledge import Knowledge
from kakou.detection.registry import misplaced
from kakou.detection.rules import Rules, RuleSettings, build_rules
from kakou.detection.travel import BASIS_LEARNED, TRAVEL_SCHEMA


def rules_of(gates: pl.DataFrame, knowledge: Knowledge, settings: RuleSettings) -> tuple[Rules, list[str]]:
    """Rules from what a history taught; the map where it taught nothing.

    Args:
        gates: columns ``kkmc``, ``name``, ``lon``, ``lat``.

    Returns:
        the rules, whose codes are those of ``knowledge``; and the gates whose place on the map is not used,
        because passes contradict it.
    """
    limits, fallback_kmh = settings.limits, settings.fallback_kmh
    known = gates.unique("kkmc", keep="first", maintain_order=True)
    extra = knowledge.gates[len(known) :]
    rows = pl.DataFrame({"kkmc": list(extra)}, schema={"kkmc": pl.String})
    every = pl.concat([known, rows], how="diagonal").with_columns(pl.col("name").fill_null(""))
    bare = build_rules(every, pl.DataFrame(schema=TRAVEL_SCHEMA), limits=limits, fallback_kmh=fallback_kmh)
    wrong = [knowledge.gates[at] for at in misplaced(bare.distance_km, knowledge.usual, knowledge.trips)]
    trusted = pl.col("kkmc").is_in(wrong).not_()
    every = every.with_columns(pl.when(trusted).then(pl.col(name)).alias(name) for name in ("lon", "lat"))
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
        weighing=settings.weighing.calibrated(knowledge.reviewed),
    )  # fmt: skip
    return rules, wrong
