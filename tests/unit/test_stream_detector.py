"""The stream's detector over a batch that fails or is done again in the same process."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from kakou.detection.casebook import Casebook
from kakou.detection.files import no_rules
from kakou.detection.knowledge import knows_nothing
from kakou.detection.rule_files import usual_rule
from kakou.settings import Settings
from spark_jobs import detector
from spark_jobs.casebook_store import CasebookStore
from spark_jobs.current_rules import Known
from spark_jobs.detector import Detector


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> Known:
    one = Known((0,), no_rules(settings), knows_nothing([]), usual_rule(settings))
    monkeypatch.setattr(detector, "current_rules", lambda _settings: one)
    return one


def arrived(first: int, many: int = 5) -> pa.Table:
    numbers = range(first, first + many)
    return pa.table(
        {
            "gcxh": [str(number) for number in numbers],
            "kkmc": ["A"] * many,
            "hpzl": ["02"] * many,
            "hphm": [f"苏C{number:05d}" for number in numbers],
            "clppxh": ["大众牌"] * many,
            "t": list(numbers),
            "arrival": list(numbers),
            "moment": [0] * many,
            "partition": [0] * many,
            "offset": list(numbers),
        }
    )


def remembered(folder: Path, before: int) -> int:
    return len(CasebookStore(folder).load(before).passes)


def test_a_batch_that_was_kept_and_is_done_again_is_taken_once(settings: Settings, tmp_path: Path) -> None:
    one = Detector(settings, tmp_path)
    one.take(3, arrived(0))
    _, counts = one.take(5, arrived(5))
    _, again = one.take(5, arrived(5))
    assert counts == again and not again.duplicates
    one.take(6, arrived(10))
    assert remembered(tmp_path, 7) == 15


def test_a_batch_that_fails_leaves_nothing_of_it(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = Detector(settings, tmp_path)
    one.take(0, arrived(0))

    def fail(*_given: object) -> None:
        raise KeyError

    with monkeypatch.context() as patch, pytest.raises(KeyError):
        patch.setattr(Casebook, "_touched", fail)
        one.take(1, arrived(5))
    _, counts = one.take(1, arrived(5))
    assert not counts.duplicates
    assert remembered(tmp_path, 2) == 10


def test_a_memory_that_could_not_be_opened_is_read_again(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, known: Known
) -> None:
    one = Detector(settings, tmp_path)
    one.take(0, arrived(0))
    # Other rules: the clocks are put to the codes of their gates, and then something goes wrong.
    seen = []

    class Failing(Casebook):
        def __init__(self, memory, *args) -> None:  # type: ignore[no-untyped-def]
            seen.append(memory.gates)
            memory.gates = ("half", "changed")
            raise KeyError

    monkeypatch.setattr(
        detector, "current_rules", lambda _settings: Known((1,), known.rules, known.knowledge, known.rule)
    )
    monkeypatch.setattr(detector, "Casebook", Failing)
    for _ in range(2):
        with pytest.raises(KeyError):
            one.take(1, arrived(5))
    assert seen == [known.rules.gates] * 2
