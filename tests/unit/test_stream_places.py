"""Gates that are not where the registry says are named by the stream and by ``kakou stream status``."""

from __future__ import annotations

import os
from pathlib import Path

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


def write_gates(settings: Settings, lon: dict[str, float], at: int) -> None:
    path: Path = settings.clean_dir / "kkmc_dimension.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [f"{gate},{gate},,,,,,{east},34.3\n" for gate, east in lon.items()]
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
    assert places_not_used(learned) == ["B"] and load_known(learned)[0].gates == GATES
    _say_places(learned)
    assert "does not use the place of B on the map" in capsys.readouterr().out
    (learned.clean_dir / "kkmc_dimension.csv").write_text("broken", encoding="utf-8")
    _say_places(learned)
    assert "lacks the column" in capsys.readouterr().out


def test_before_anything_is_learned_nothing_contradicts(settings: Settings) -> None:
    assert places_not_used(settings) == []
