"""Whose turn it is on an output folder, and whether its artefacts are those of the run that asks."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from etl.io.turns import begin, demand_begun, fingerprint, turn
from etl.params import EtlParams
from kakou.errors import BadInputError

PARAMS = EtlParams()


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    folder = tmp_path / "raw"
    folder.mkdir()
    for name in ("a.csv", "b.csv"):
        (folder / name).write_text("GCXH\n1\n")
    return folder


@pytest.fixture
def out(tmp_path: Path, raw: Path) -> Path:
    with turn(tmp_path / "out"):
        begin(raw, tmp_path / "out", PARAMS)
    return tmp_path / "out"


def test_a_step_goes_on_with_what_its_own_run_began(raw: Path, out: Path):
    with turn(out):
        demand_begun(raw, out, PARAMS)
        begin(raw, out, PARAMS)  # the same run, triggered a second time
        demand_begun(raw, out, PARAMS)


def test_a_step_stops_where_a_run_with_other_choices_began_since(raw: Path, out: Path):
    begin(raw, out, replace(PARAMS, replicate="12-17:18-21"))
    with pytest.raises(BadInputError, match=f"used {out}. Start it again from its first step"):
        demand_begun(raw, out, PARAMS)


def _another_file(raw: Path) -> None:
    (raw / "c.csv").write_text("GCXH\n1\n")


def _one_file_less(raw: Path) -> None:
    (raw / "a.csv").unlink()


def _a_larger_file(raw: Path) -> None:
    (raw / "a.csv").write_text("GCXH\n1\n2\n")


def _a_newer_file(raw: Path) -> None:
    os.utime(raw / "a.csv", (1, 1))


@pytest.mark.parametrize("change", [_another_file, _one_file_less, _a_larger_file, _a_newer_file])
def test_a_step_stops_where_the_raw_files_changed_since(raw: Path, out: Path, change: object):
    assert callable(change)
    change(raw)
    with pytest.raises(BadInputError, match=f"files in {raw} changed"):
        demand_begun(raw, out, PARAMS)


def test_a_step_of_a_run_that_never_began_stops(raw: Path, tmp_path: Path):
    with pytest.raises(BadInputError, match="first step"):
        demand_begun(raw, tmp_path / "never", PARAMS)


def test_every_choice_counts(raw: Path):
    others = [replace(PARAMS, imputation_confidence=0.8), replace(PARAMS, max_reject_share=0.5)]
    assert len({fingerprint(raw, one) for one in (PARAMS, *others)}) == 3
