"""The detector over a file, with the file's order as the order of arrival.

First the contradictions, as the stream finds them; then one verdict for each plate that has any.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from kakou.alert import Alert
from kakou.detection.case_alerts import alert_of
from kakou.detection.cases import Case, chained, judge_case, judge_episode
from kakou.detection.clocks import clocks_by_blocks
from kakou.detection.contradictions import CONTRADICTION_SCHEMA, Counts, find_contradictions, set_aside
from kakou.detection.crowds import Crowd, count_traffic, pairs_of
from kakou.detection.episodes import episodes_of, rows_around, rows_from
from kakou.detection.evidence.case_tracks import tracks_of
from kakou.detection.evidence.tracks import Tracks
from kakou.detection.horizon import Context, History, Passes, Row
from kakou.detection.knowledge import Knowledge, in_sample
from kakou.detection.misreads import neighbours
from kakou.detection.rules import Rules
from kakou.detection.state import BATCH_SCHEMA, NO_TIME, State, plate_keys
from kakou.detection.times import stamp_of
from kakou.detection.trips import whole_passes
from kakou.plates import WHOLE_PLATE_PATTERN

CHUNK: Final = 20_000
_AFTER: Final = 100
_SHARE: Final = 0.75


@dataclass(frozen=True)
class Replayed:
    """What a file gave: one alert for each plate with a contradiction, its tracks and its case by alert id,
    and what became of the passes."""

    alerts: list[Alert]
    tracks: dict[str, Tracks]
    cases: dict[str, Case]
    counts: Counts


def replay(
    passes: pl.DataFrame,
    rules: Rules,
    knowledge: Knowledge,
    past: History,
    timezone: str,
    *,
    on_progress: Callable[[int], None] = lambda rows: None,
) -> Replayed:
    """Runs ``passes`` through the detector in chunks, then judges each plate with a contradiction.

    ``detected_at`` is the time of the last pass that counted, so two runs over one file give the same bytes.

    Args:
        passes: as ``files.read_passes`` reads them, in order of arrival.
        rules: of ``rules_of``.
        knowledge: what a history taught.
        past: asked for what it says of single plates; ``Past()`` where there is none.
        on_progress: told the number of rows after each chunk.
    """
    arrival = presumed_arrival(passes["t"].to_numpy())
    timed = passes.with_columns(pl.Series("arrival", arrival, nan_to_null=True).cast(pl.Int64))
    state, counts, every = State(), Counts(), []
    for start in range(0, len(timed), CHUNK):
        chunk = timed.slice(start, CHUNK).select(BATCH_SCHEMA.names)
        batch = chunk.to_arrow(compat_level=pl.CompatLevel.oldest()).cast(BATCH_SCHEMA)
        state, found, count, _ = find_contradictions(state, batch, rules)
        every.append(pl.DataFrame(pl.from_arrow(found)))
        counts += count
        on_progress(len(chunk))
    decidable = timed.filter(pl.col("hphm").str.contains(WHOLE_PLATE_PATTERN))
    on_time, *_ = set_aside(decidable, NO_TIME, rules)
    contradictions = pl.concat(every) if every else pl.DataFrame(schema=CONTRADICTION_SCHEMA)
    judged = _judged(on_time, contradictions, rules, knowledge, past)
    stamp = partial(stamp_of, timezone=timezone)
    alerts = [alert_of(case, rules, stamp) for case in judged]
    cases = {alert.alert_id: case for alert, case in zip(alerts, judged, strict=True)}
    return Replayed(
        alerts, {id: tracks_of(case, rules, knowledge) for id, case in cases.items()}, cases, counts
    )


def _judged(
    on_time: pl.DataFrame,
    found: pl.DataFrame,
    rules: Rules,
    knowledge: Knowledge,
    past: History,
) -> list[Case]:
    if found.is_empty():
        return []
    codes = pl.col("kkmc").replace_strict(rules.code, default=-1, return_dtype=pl.Int64).alias("code")
    # As the stream keeps them: each id of a plate once, the first that arrived.
    first = on_time.unique(["hphm", "gcxh"], keep="first", maintain_order=True)
    whole = whole_passes(first, by=("hphm", "gcxh")).with_columns(codes)
    spread = knowledge.usual * knowledge.spread
    telling = whole.filter(pl.col("code") >= 0, pl.Series(in_sample(plate_keys(whole["hphm"]), knowledge)))
    clocks = clocks_by_blocks(telling, knowledge.usual, spread, knowledge.trips, knowledge.constant)
    plates = sorted(set(found["hphm"]))
    there = set(whole["hphm"].unique())
    wanted = set(plates).union(*(there.intersection(neighbours(plate)) for plate in plates))
    context = Context(rules, knowledge, clocks, past.around(plates))
    near = whole.filter(pl.col("hphm").is_in(sorted(wanted))).select(Row._fields)
    rows_of = rows_from(Row(*row) for row in near.iter_rows())
    traffic: dict[tuple[str, int], int] = {}
    count_traffic(first, traffic)
    crowd = Crowd(pairs_of(found), context, traffic)
    judged = []
    for (plate,), times in found.sort("hphm").group_by("hphm", maintain_order=True):
        episodes = []
        for episode in episodes_of(times["second_t"].to_list()):
            passes = Passes(rows_around(str(plate), episode, rows_of), context)
            one = judge_episode(passes, str(plate), crowd)
            if one is not None:
                episodes.append(one)
        judged += [judge_case(chain, rules.weighing) for chain in chained(episodes)]
    return judged


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
