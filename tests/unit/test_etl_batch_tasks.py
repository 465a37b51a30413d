"""The steps as tasks: the bytes of a whole run, and no step on what another run left."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from batch_folder import share_a_day, unlike, visible

from etl import batch_tasks, pipeline
from etl.generate.raw_folder import generate_raw
from etl.io.turns import turn
from etl.params import EtlParams
from kakou.errors import BadInputError, RawFolderError

PARAMS = EtlParams()
LATER: dict[str, Callable[..., Any]] = {
    "plan": batch_tasks.plan,
    "merge": batch_tasks.merge,
    "profile": batch_tasks.profile,
    "standardise": batch_tasks.standardise,
    "clean": batch_tasks.clean,
    "expand": batch_tasks.expand,
    "read": lambda *given: batch_tasks.read(*given, ["any"]),
    "merge_days": lambda *given: batch_tasks.merge_days(*given, ["2023-12-16"]),
}


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("raw")
    generate_raw(folder, days=4, scale=0.02, seed=3)
    share_a_day(folder)
    return folder


def test_tasks_make_what_a_run_makes(raw: Path, tmp_path: Path):
    given = (raw, tmp_path / "tasks", PARAMS)
    names = batch_tasks.begin(*given)
    for group in (names[1::2], names[::2]):
        assert batch_tasks.read(*given, group) > 0
    days = batch_tasks.plan(*given)
    assert days
    assert batch_tasks.merge_days(*given, days) > 0
    assert batch_tasks.merge_days(*given, []) == 0
    for step in (batch_tasks.merge, batch_tasks.standardise, batch_tasks.profile, batch_tasks.clean):
        step(*given)
    report = batch_tasks.expand(*given)
    assert report == pipeline.run(raw, tmp_path / "run", PARAMS)
    # Tasks do not know of each other's files, so a byte copy may be read into a part of its own.
    for folder in ("tasks", "run"):
        shutil.rmtree(tmp_path / folder / "parts")
    assert unlike(tmp_path / "tasks", visible(tmp_path / "run")) == []


@pytest.mark.parametrize("step", LATER)
def test_no_step_goes_on_where_another_run_began(raw: Path, tmp_path: Path, step: str):
    batch_tasks.begin(raw, tmp_path, PARAMS)
    batch_tasks.begin(raw, tmp_path, replace(PARAMS, imputation_confidence=0.8))
    before = visible(tmp_path)
    with pytest.raises(BadInputError, match="a run with other choices used"):
        LATER[step](raw, tmp_path, PARAMS)
    assert visible(tmp_path) == before


@pytest.mark.parametrize("step", LATER)
def test_every_step_waits_for_a_whole_run(raw: Path, tmp_path: Path, step: str):
    """The run that holds the folder ends as one with other choices, so the step then stops."""
    ended: list[str] = []

    def work() -> None:
        try:
            LATER[step](raw, tmp_path, PARAMS)
        except BadInputError as error:
            ended.append(str(error))

    waiting = threading.Thread(target=work)
    with turn(tmp_path):
        waiting.start()
        waiting.join(0.3)
        assert waiting.is_alive()
    waiting.join(30)
    assert len(ended) == 1


def test_reading_and_merging_days_go_on_side_by_side(raw: Path, tmp_path: Path):
    batch_tasks.begin(raw, tmp_path, PARAMS)
    done = threading.Event()

    def work() -> None:
        batch_tasks.read(raw, tmp_path, PARAMS, pipeline.list_raw_files(raw)[:1])
        done.set()

    with turn(tmp_path, shared=True):
        threading.Thread(target=work).start()
        assert done.wait(30)


def test_a_missing_folder_leaves_nothing_behind(tmp_path: Path):
    with pytest.raises(RawFolderError):
        batch_tasks.begin(tmp_path / "raw", tmp_path / "out", PARAMS)
    with pytest.raises(RawFolderError):
        pipeline.run(tmp_path / "raw", tmp_path / "out", PARAMS)
    assert not (tmp_path / "out").exists()
