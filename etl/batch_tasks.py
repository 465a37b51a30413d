"""The batch steps as tasks of their own: each takes its turn on the output folder and knows its run again.

A task runs in whatever process and on whatever machine a scheduler starts it, so nothing but the folder ties
the tasks of a run together. Each one therefore checks that no other run began on it in between.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from etl import pipeline
from etl.io import turns
from etl.params import EtlParams


def begin(raw: Path, out: Path, params: EtlParams) -> list[str]:
    """Begins a run on ``out`` and returns the names of the files to read.

    Raises:
        RawFolderError: no raw folder, or an empty one.
    """
    names = pipeline.list_raw_files(raw)
    turns.demand_own_folder(raw, out)
    with turns.turn(out, _say_waiting(out)):
        turns.begin(raw, out, params)
    return names


def read(raw: Path, out: Path, params: EtlParams, names: Sequence[str]) -> int:
    """Reads some of the files; other tasks may read others meanwhile. Returns the number of passes."""
    with _turn(raw, out, params, shared=True):
        return sum(pipeline.read_file(raw, name, out, params).rows for name in names)


def plan(raw: Path, out: Path, params: EtlParams) -> list[str]:
    """Compares what was read; returns the days that several files share and that must be merged."""
    with _turn(raw, out, params):
        return pipeline.plan(raw, out, params).to_merge


def merge_days(raw: Path, out: Path, params: EtlParams, days: Sequence[str]) -> int:
    """Merges some of the days; other tasks may merge others meanwhile. Returns the number of passes."""
    with _turn(raw, out, params, shared=True):
        return pipeline.merge_days(out, days)


def merge(raw: Path, out: Path, params: EtlParams) -> dict[str, Any]:
    """``pipeline.merge`` in its turn."""
    with _turn(raw, out, params):
        return pipeline.merge(out, params)


def profile(raw: Path, out: Path, params: EtlParams) -> dict[str, Any]:
    """``pipeline.profile`` in its turn, beside other steps that only read the merged passes."""
    with _turn(raw, out, params, shared=True):
        return dict(pipeline.profile(out, params))


def standardise(raw: Path, out: Path, params: EtlParams) -> dict[str, Any]:
    """``pipeline.standardise`` in its turn, beside other steps that only read the merged passes."""
    with _turn(raw, out, params, shared=True):
        return dict(pipeline.standardise(out, params))


def clean(raw: Path, out: Path, params: EtlParams) -> dict[str, Any]:
    """``pipeline.clean`` in its turn."""
    with _turn(raw, out, params):
        return pipeline.clean(out, params)


def expand(raw: Path, out: Path, params: EtlParams) -> dict[str, Any]:
    """``pipeline.expand`` in its turn; returns the report."""
    with _turn(raw, out, params):
        return pipeline.expand(out, params)


@contextmanager
def _turn(raw: Path, out: Path, params: EtlParams, *, shared: bool = False) -> Iterator[None]:
    with turns.turn(out, _say_waiting(out), shared=shared):
        turns.demand_begun(raw, out, params)
        yield


def _say_waiting(out: Path) -> Callable[[], None]:
    return lambda: print(f"Another run uses {out}; waiting for its end.", flush=True)
