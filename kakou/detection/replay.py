"""The detector over a file: the same rules as the stream, with the file's order as the order of arrival."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from kakou.alert import Alert
from kakou.detection.contradictions import Counts, find_contradictions
from kakou.detection.rules import Rules
from kakou.detection.state import BATCH_SCHEMA, empty_state
from kakou.detection.times import stamp_of
from kakou.detection.verdicts import judge

CHUNK: Final = 20_000
_AFTER: Final = 100
_SHARE: Final = 0.75


def replay(
    passes: pl.DataFrame,
    rules: Rules,
    timezone: str,
    *,
    on_progress: Callable[[int], None] = lambda rows: None,
) -> Iterator[tuple[list[Alert], Counts]]:
    """Runs ``passes`` through the detector in chunks and yields what each chunk gave.

    ``detected_at`` is the time of the later pass, so two runs over one file give the same bytes.

    Args:
        passes: as ``files.read_passes`` reads them, in order of arrival.
        on_progress: told the number of rows after each chunk.
    """
    arrival = presumed_arrival(passes["t"].to_numpy(), rules.limits.future)
    timed = passes.with_columns(pl.Series("arrival", arrival, nan_to_null=True).cast(pl.Int64))
    state = empty_state()
    for start in range(0, len(timed), CHUNK):
        chunk = timed.slice(start, CHUNK).select(BATCH_SCHEMA.names)
        batch = chunk.to_arrow(compat_level=pl.CompatLevel.oldest()).cast(BATCH_SCHEMA)
        state, found, counts = find_contradictions(state, batch, rules)
        stamps = [stamp_of(t, timezone) for t in found["second_t"].to_pylist()]
        yield judge(found, rules, stamps), counts
        on_progress(len(chunk))


def presumed_arrival(times: npt.NDArray[np.int64], future: int) -> npt.NDArray[np.float64]:
    """When each pass of a file must have arrived, which the file does not say.

    What arrives after a pass is stamped about then or later. So a pass arrived no later than most (three of
    four) of the ``_AFTER`` passes behind it are stamped, or than the newest plausible pass before it,
    whichever is later: a burst of old passes behind a good one, or one wrong clock, moves neither.

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
    plausible = np.isnan(behind) | (times - behind <= future)
    newest = np.maximum.accumulate(np.where(plausible, times, np.iinfo(np.int64).min)).astype(np.float64)
    before = np.concatenate(([-np.inf], newest[:-1]))
    return np.where(np.isnan(behind), np.nan, np.maximum(behind, before))
