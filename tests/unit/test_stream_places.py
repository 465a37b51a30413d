"""Gates that are not where the registry says are named by the stream and by ``kakou stream status``."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from gates_in_a_row import GATES, frame, honest
from structlog.testing import capture_logs

from kakou.detection.files import load_known, places_not_used
from kakou.detection.knowledge import learn_knowledge
from kakou.detection.knowledge_bytes import to_bytes
from kakou.settings import Settings
from spark_jobs import current_rules
from spark_jobs.stream_commands import _say_places

RIGHT = {"A": 117.0, "B": 117.3, "C": 117.6, "D": 117.9}


def write_gates(
    settings: Settings, lon: dict[str, float], at: int, words: dict[str, str] | None = None
) -> None:
    """``words``: district, road and stake of some gates."""
    path: Path = settings.clean_dir / "kkmc_dimension.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [f"{gate},{gate},,{(words or {}).get(gate, ',,')},,{east},34.3\n" for gate, east in lon.items()]
    path.write_text(
        "KKMC,NAME,ALIASES,XZQHMC,ROAD,STAKE,BOUNDARY,LON,LAT\n" + "".join(rows), encoding="utf-8"
    )
    os.utime(path, (at, at))


@pytest.fixture
def learned(settings: Settings) -> Settings:
    settings.knowledge_file.parent.mkdir(parents=True)
    settings.knowledge_file.write_bytes(to_bytes(learn_knowledge(frame(honest(1)), list(GATES))))
    return settings


def test_each_change_is_logged_once(learned: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(current_rules, "_known", None)

    def said() -> list[list[str]]:
        with capture_logs() as logs:
            current_rules.current_rules(learned)
            current_rules.current_rules(learned)
        return [one["gates"] for one in logs if one["event"] == "places_not_used"]

    write_gates(learned, RIGHT, at=1)
    assert said() == []
    write_gates(learned, RIGHT | {"B": 125.0}, at=2)
    assert said() == [["B"]]
    write_gates(learned, RIGHT | {"B": 126.0}, at=3)
    assert said() == []
    (learned.clean_dir / "kkmc_dimension.csv").write_text("broken", encoding="utf-8")
    assert said() == []
    write_gates(learned, RIGHT, at=5)
    assert said() == [[]]


def test_status_names_them_and_what_to_mend(learned: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    write_gates(learned, RIGHT, at=1)
    _say_places(learned)
    assert capsys.readouterr().out == ""
    write_gates(learned, RIGHT | {"B": 125.0}, at=2)
    assert [one.label for one in places_not_used(learned)] == ["B"]
    assert load_known(learned)[0].gates == GATES
    _say_places(learned)
    said = capsys.readouterr().out
    assert "does not use the place of B on the map: passes reach it faster than anybody drives." in said
    assert "Mend LON and LAT, or STAKE, in your gate file" in said
    (learned.clean_dir / "kkmc_dimension.csv").write_text("broken", encoding="utf-8")
    _say_places(learned)
    assert "lacks the column" in capsys.readouterr().out


def test_before_anything_is_learned_nothing_contradicts(settings: Settings) -> None:
    assert places_not_used(settings) == []


def test_what_the_registry_contradicts_is_named_beside_what_passes_do(
    learned: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """E is new and in the wrong place, A and C are too far apart for their stakes, passes contradict B."""
    monkeypatch.setattr(current_rules, "_known", None)
    words = {"A": "丰县,S325,K10", "C": "丰县,S325,K12", "D": "丰县,,", "E": "丰县,,"}
    write_gates(learned, RIGHT | {"B": 125.0, "E": 119.9}, at=1, words=words)
    with capture_logs() as logs:
        known = current_rules.current_rules(learned)
    (log,) = [one for one in logs if one["event"] == "places_not_used"]
    assert log["gates"] == ["E", "A – C", "B"]
    assert [str(one.reason) for one in known.refused] == ["far_from_district", "stakes", "passes"]
    assert "184 km from D" in log["why"][0] and "by the stakes of S325" in log["why"][1]
    km = known.rules.distance_km
    assert known.rules.gates == (*GATES, "E") and np.isfinite(km[0, 3]) and np.isnan(km[0, 2])
    assert np.isnan(km[1]).all() and np.isnan(km[4]).all()
    _say_places(learned)
    said = capsys.readouterr().out
    for line in log["why"]:
        assert f"detection does not use {line}." in said


def test_the_registry_is_held_against_itself_before_anything_is_learned(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    write_gates(settings, RIGHT, at=1, words={"A": ",G104,K10", "B": ",G104,K11"})
    assert [one.label for one in places_not_used(settings)] == ["A – B"]
    _say_places(settings)
    assert "the straight line from A to B: 28 km, but 1 km by the stakes of G104." in capsys.readouterr().out
