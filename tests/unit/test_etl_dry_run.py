"""A dry run names the files and days of the run that follows it, and writes nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from typer.testing import CliRunner

from etl import pipeline
from etl.commands import etl
from etl.dry_run import in_words, what_would_run
from etl.generate.raw_folder import generate_raw
from etl.params import EtlParams
from kakou.errors import RawFolderError

PARAMS = EtlParams()


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("raw")
    generate_raw(folder, days=4, scale=0.02, seed=3)
    (folder / "odd.csv").write_text("what,ever\n1,2\n", encoding="utf-8")
    return folder


def test_it_says_what_the_run_then_does(raw: Path, tmp_path: Path):
    said = what_would_run(raw, tmp_path / "out", PARAMS)
    assert not (tmp_path / "out").exists()
    report = pipeline.run(raw, tmp_path / "out", PARAMS)
    assert said["to_read"] == [file["name"] for file in report["files"]]
    assert said["copies"] == {one["name"]: one["copy_of"] for one in report["files"] if one["copy_of"]}
    assert said["days"] == {day["day"]: day["rows"] for day in report["days"]}
    assert said["rows"] == report["rows_kept"]
    assert said["read_before"] == [] and said["days_left_alone"] == {}
    assert list(said["unreadable"]) == ["odd.csv"]


def test_what_was_read_before_and_what_changed_since_are_told_apart(raw: Path, tmp_path: Path):
    pipeline.run(raw, tmp_path, PARAMS)
    before = what_would_run(raw, tmp_path, PARAMS)
    assert before["to_read"] == []
    changed = tmp_path / "raw"
    changed.mkdir()
    (changed / "odd.csv").write_text("GCXH\n1\n", encoding="utf-8")
    assert what_would_run(changed, tmp_path, PARAMS)["to_read"] == ["odd.csv"]


def test_days_outside_the_range_are_left_alone(raw: Path, tmp_path: Path):
    days = sorted(what_would_run(raw, tmp_path, PARAMS)["days"])
    only = date.fromisoformat(days[1])
    said = what_would_run(raw, tmp_path, replace(PARAMS, first_day=only, last_day=only))
    assert list(said["days"]) == [days[1]]
    assert list(said["days_left_alone"]) == [days[0], *days[2:]]
    words = in_words(said).splitlines()
    assert f"  build        {days[1]}  {said['days'][days[1]]} rows" in words
    assert f"  leave alone  {days[0]}  {said['days_left_alone'][days[0]]} rows" in words


def test_a_missing_folder_is_told_as_by_a_run(tmp_path: Path):
    with pytest.raises(RawFolderError, match="does not exist"):
        what_would_run(tmp_path / "raw", tmp_path / "out", PARAMS)


def test_the_command_prints_it_and_ends(raw: Path, tmp_path: Path):
    out = tmp_path / "out"
    ended = CliRunner().invoke(etl, ["run", "--raw", str(raw), "--out", str(out), "--dry-run", "--json"])
    assert ended.exit_code == 0
    assert json.loads(ended.stdout) == what_would_run(raw, out, PARAMS)
    assert not out.exists()
