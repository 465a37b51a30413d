"""A worker's rules follow their files: new ones are taken, broken ones are not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kakou.settings import Settings
from spark_jobs import bucket

HEADER = "KKMC,NAME,ALIASES,XZQHMC,ROAD,STAKE,BOUNDARY,LON,LAT\n"


@pytest.fixture(autouse=True)
def fresh_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bucket, "_known", None)


def write(path: Path, text: str, at: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    os.utime(path, (at, at))


def test_without_files_nothing_is_decided(settings: Settings) -> None:
    assert bucket.current_rules(settings).gates == ()


def test_a_changed_file_is_read_again(settings: Settings) -> None:
    gates = settings.clean_dir / "kkmc_dimension.csv"
    assert bucket.current_rules(settings).gates == ()
    write(gates, HEADER + "A,甲,,,,,,117.0,34.0\nB,乙,,,,,,117.5,34.0\n", at=1)
    first = bucket.current_rules(settings)
    assert first.gates == ("A", "B") and bucket.current_rules(settings) is first
    write(
        settings.travel_times_file,
        "from_kkmc,to_kkmc,passes,min_travel_seconds,basis\nA,B,40,77,learned\n",
        at=2,
    )
    assert bucket.current_rules(settings).min_travel[0, 1] == 77
    assert first.min_travel[0, 1] > 77


@pytest.mark.parametrize("broken", ["", "KKMC\nA\n", HEADER + "A,甲,,,,,,east,34.0\n"])
def test_a_broken_file_changes_nothing(
    settings: Settings, broken: str, capsys: pytest.CaptureFixture[str]
) -> None:
    gates = settings.clean_dir / "kkmc_dimension.csv"
    write(gates, broken, at=1)
    assert bucket.current_rules(settings).gates == ()
    write(gates, HEADER + "A,甲,,,,,,117.0,34.0\n", at=2)
    assert bucket.current_rules(settings).gates == ("A",)
    write(gates, broken, at=3)
    assert bucket.current_rules(settings).gates == ("A",)
    assert "Detection goes on" in capsys.readouterr().err
