"""The detector over a file, with the file's order as the order of arrival.

First the contradictions, as the stream finds them; then one verdict for each plate that has any.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from kakou.alert import Alert
from kakou.detection.case_alerts import alert_of
from kakou.detection.cases import judge_cases
from kakou.detection.clocks import Clocks, clocks_of
from kakou.detection.contradictions import Counts, find_contradictions, set_aside
from kakou.detection.horizon import Passes, Shown
from kakou.detection.knowledge import Knowledge, makes_of, types_of, without_repeats
from kakou.detection.registry import misplaced
from kakou.detection.rules import Limits, Rules, build_rules
from kakou.detection.state import BATCH_SCHEMA, NO_TIME, State
from kakou.detection.times import stamp_of
from kakou.detection.tracks import Tracks, tracks_of
from kakou.detection.travel import BASIS_LEARNED, TRAVEL_SCHEMA
from kakou.detection.trips import whole_passes
from kakou.plates import WHOLE_PLATE_PATTERN

CHUNK: Final = 20_000
_AFTER: Final = 100
_SHARE: Final = 0.75


@dataclass(frozen=True)
class Replayed:
    """What a file gave: one alert for each plate with a contradiction, its tracks by alert id, and what
    became of the passes."""

    alerts: list[Alert]
    tracks: dict[str, Tracks]
    counts: Counts


def rules_of(
    gates: pl.DataFrame, knowledge: Knowledge, limits: Limits, fallback_kmh: float
) -> tuple[Rules, list[str]]:
    """Rules from what a history taught; the map where it taught nothing.

    Args:
        gates: columns ``kkmc``, ``name``, ``lon``, ``lat``.

    Returns:
        the rules, whose codes are those of ``knowledge``; and the gates whose place on the map is not used,
        because passes contradict it.
    """
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
    return build_rules(every, travel, limits=limits, fallback_kmh=fallback_kmh, ahead=ahead), wrong


def replay(
    passes: pl.DataFrame,
    rules: Rules,
    knowledge: Knowledge,
    history: pl.DataFrame,
    timezone: str,
    *,
    on_progress: Callable[[int], None] = lambda rows: None,
) -> Replayed:
    """Runs ``passes`` through the detector in chunks, then judges each plate with a contradiction.

    ``detected_at`` is the time of the last pass that counted, so two runs over one file give the same bytes.

    Args:
        passes: as ``files.read_passes`` reads them, in order of arrival.
        rules: of ``rules_of``.
        knowledge: what ``history`` taught.
        history: the same columns; tells which makers and types a plate showed. May be empty.
        on_progress: told the number of rows after each chunk.
    """
    arrival = presumed_arrival(passes["t"].to_numpy())
    timed = passes.with_columns(pl.Series("arrival", arrival, nan_to_null=True).cast(pl.Int64))
    state, counts, plates = State(), Counts(), set[str]()
    for start in range(0, len(timed), CHUNK):
        chunk = timed.slice(start, CHUNK).select(BATCH_SCHEMA.names)
        batch = chunk.to_arrow(compat_level=pl.CompatLevel.oldest()).cast(BATCH_SCHEMA)
        state, found, count = find_contradictions(state, batch, rules)
        plates |= set(found["hphm"].to_pylist())
        counts += count
        on_progress(len(chunk))
    decidable = timed.filter(pl.col("hphm").str.contains(WHOLE_PLATE_PATTERN))
    on_time, *_ = set_aside(decidable, NO_TIME, rules)
    judged = _judged(on_time, sorted(plates), rules, knowledge, history, timezone)
    return Replayed([alert for alert, _ in judged], {a.alert_id: tracks for a, tracks in judged}, counts)


def _judged(
    on_time: pl.DataFrame,
    plates: list[str],
    rules: Rules,
    knowledge: Knowledge,
    history: pl.DataFrame,
    timezone: str,
) -> list[tuple[Alert, Tracks]]:
    if not plates:
        return []
    code = {gate: index for index, gate in enumerate(rules.gates)}
    codes = pl.col("kkmc").replace_strict(code, default=-1, return_dtype=pl.Int64).alias("code")
    # As the stream keeps them: each id of a plate once, the first that arrived.
    first = on_time.unique(["hphm", "gcxh"], keep="first", maintain_order=True)
    whole = whole_passes(first, by=("hphm", "gcxh")).with_columns(codes)
    clocks = _clocks(whole, knowledge)
    passes = Passes(whole, knowledge, clocks, _least(rules), _often(history))
    wanted = set(plates).union(*(passes.neighbourhood.of(plate) for plate in plates))
    before = _shown(history.filter(pl.col("hphm").is_in(sorted(wanted))))
    stamp = partial(stamp_of, timezone=timezone)
    cases = judge_cases(passes, plates, before)
    return [(alert_of(case, passes, rules, stamp), tracks_of(case, passes, rules)) for case in cases]


def _shown(history: pl.DataFrame) -> dict[str, Shown]:
    """What a history shows of each of its plates."""
    found: defaultdict[str, Shown] = defaultdict(Shown)
    for plate, maker, count in makes_of(history).iter_rows():
        found[plate].makes[maker] = count
    for plate, kind, count in types_of(history).iter_rows():
        found[plate].types[kind] = count
    return found


def _clocks(whole: pl.DataFrame, knowledge: Knowledge) -> Clocks:
    """What each clock was ahead over the day: what it always is, and what changed."""
    known = without_repeats(whole.filter(pl.col("code") >= 0))
    return clocks_of(known, knowledge.usual, knowledge.usual * knowledge.spread, knowledge.constant)


def _often(history: pl.DataFrame) -> dict[str, float]:
    """Passes a day of the whole plates of a history that were read more than once."""
    days = (history["t"] // 86_400).n_unique() if len(history) else 1
    counts = (
        history.filter(pl.col("hphm").str.contains(WHOLE_PLATE_PATTERN))
        .group_by("hphm")
        .agg(pl.len().alias("n"))
        .filter(pl.col("n") > 1)
    )
    return {plate: n / days for plate, n in counts.iter_rows()}


def _least(rules: Rules) -> npt.NDArray[np.float64]:
    return np.where(rules.min_travel >= 0, rules.min_travel, np.nan)


def presumed_arrival(times: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """When each pass of a file must have arrived, which the file does not say.

    What arrives after a pass is stamped about then or later. So a pass arrived no later than most (three of
    four) of the ``_AFTER`` passes behind it are stamped, and no earlier than the passes before it: a burst of
    old passes behind a good one, or one wrong clock, moves neither.

    Returns:
        seconds of local time; NaN for the last pass, of which nothing can be said.
    """
    size = len(times)
    behind = np.full(size, np.nan)
    if size > _AFTER:
        windows = np.lib.stride_tricks.sliding_window_view(times[1:], _AFTER)
        at = int(_SHARE * (_AFTER - 1))
        for start in range(0, len(windows), CHUNK):
            part = np.partition(windows[start : start + CHUNK], at, axis=1)
            behind[start : start + len(part)] = part[:, at]
    for index in range(max(0, size - _AFTER), size - 1):
        rest = np.sort(times[index + 1 :])
        behind[index] = rest[int(_SHARE * (len(rest) - 1))]
    # What has arrived stays arrived. The newest stamp would not do: a clock that is ahead as far as is just
    # allowed would allow another one as much again.
    return np.where(np.isnan(behind), np.nan, np.fmax.accumulate(behind))
