"""A worker's rules follow their files: new ones are taken, broken ones are not."""

from __future__ import annotations

import os
from dataclasses import replace
from functools import partial
from pathlib import Path

import polars as pl
import pytest
from gates_in_a_row import frame, honest
from stored_plates import in_batches, reads_with_keys

from kakou.detection.knowledge import learn_knowledge
from kakou.detection.knowledge_bytes import to_bytes
from kakou.detection.plate_file import write_plates
from kakou.detection.rules import Rules
from kakou.settings import Settings
from spark_jobs import current_rules

HEADER = "KKMC,NAME,ALIASES,XZQHMC,ROAD,STAKE,BOUNDARY,LON,LAT\n"


@pytest.fixture(autouse=True)
def fresh_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(current_rules, "_known", None)


def rules_of_worker(settings: Settings) -> Rules:
    return current_rules.current_rules(settings).rules


def write(path: Path, text: str, at: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    os.utime(path, (at, at))


def test_without_files_nothing_is_decided(settings: Settings) -> None:
    assert rules_of_worker(settings).gates == ()


def test_a_changed_file_is_read_again(settings: Settings) -> None:
    gates = settings.clean_dir / "kkmc_dimension.csv"
    assert rules_of_worker(settings).gates == ()
    write(gates, HEADER + "A,甲,,,,,,117.0,34.0\nB,乙,,,,,,117.5,34.0\n", at=1)
    first = rules_of_worker(settings)
    assert first.gates == ("A", "B") and rules_of_worker(settings) is first
    write(
        settings.travel_times_file,
        "from_kkmc,to_kkmc,passes,min_travel_seconds,basis\nA,B,40,77,learned\n",
        at=2,
    )
    assert rules_of_worker(settings).min_travel[0, 1] == 77
    assert first.min_travel[0, 1] > 77


@pytest.mark.parametrize("broken", ["", "KKMC\nA\n", HEADER + "A,甲,,,,,,east,34.0\n"])
def test_a_broken_file_changes_nothing(
    settings: Settings, broken: str, capsys: pytest.CaptureFixture[str]
) -> None:
    gates = settings.clean_dir / "kkmc_dimension.csv"
    write(gates, broken, at=1)
    assert rules_of_worker(settings).gates == ()
    write(gates, HEADER + "A,甲,,,,,,117.0,34.0\n", at=2)
    assert rules_of_worker(settings).gates == ("A",)
    write(gates, broken, at=3)
    assert rules_of_worker(settings).gates == ("A",)
    assert "Detection goes on" in capsys.readouterr().err


def test_what_was_learned_counts_from_the_next_batch_on(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    """Gates keep the codes of the registry, whatever the history knew."""
    gates = settings.clean_dir / "kkmc_dimension.csv"
    write(gates, HEADER + "NEW,新,,,,,,117.0,34.0\nD,丁,,,,,,117.9,34.3\nA,甲,,,,,,117.0,34.3\n", at=1)
    before = current_rules.current_rules(settings)
    learned = learn_knowledge(frame(honest(2)), ["A", "B", "C"])
    settings.knowledge_file.parent.mkdir(parents=True, exist_ok=True)
    settings.knowledge_file.write_bytes(to_bytes(learned))
    after = current_rules.current_rules(settings)
    assert after.rules.gates == after.knowledge.gates == ("NEW", "D", "A", "B", "C")
    assert after.rules.min_travel[2, 3] == int(learned.least[0, 1]) > 600
    assert after.knowledge.follows[2, 3] == learned.follows[0, 1]
    assert after.version != before.version and current_rules.current_rules(settings) is after
    settings.knowledge_file.write_bytes(b"torn")
    assert current_rules.current_rules(settings).rules is after.rules
    assert "Run the DAG travel_times again" in capsys.readouterr().err


def test_single_plates_are_those_of_the_knowledge_and_none_where_their_file_is_gone(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    """A new version counts from the next batch on; a file that was taken away is said once, one that is there
    again is used again."""

    def learn(passes: pl.DataFrame) -> Path:
        reads = reads_with_keys(passes)
        written = write_plates(settings.past_dir, partial(in_batches, reads, 100), [1])
        known = replace(learn_knowledge(frame(honest(2)), ["A", "B"]), past=written.name)
        settings.knowledge_file.write_bytes(to_bytes(known))
        return settings.past_dir / written.name

    def makes() -> dict[str, int]:
        shown = current_rules.current_rules(settings).past.around(["苏C12345"]).shown
        return dict(shown["苏C12345"].makes) if shown else {}

    assert makes() == {}
    first = learn(frame([("1", "A", "苏C12345", 5, "大众牌")]))
    assert makes() == {"大众": 1}
    before = current_rules.current_rules(settings)
    assert current_rules.current_rules(settings) is before
    second = learn(frame([("1", "A", "苏C12345", 5, "丰田牌")]))
    assert second != first and makes() == {"丰田": 1}
    # The night removes the file that is no longer used, while somebody may have it open.
    first.unlink()
    assert before.past.around(["苏C12345"]).shown["苏C12345"].makes == {"大众": 1}
    kept = second.rename(second.with_suffix(".kept"))
    assert makes() == {} and makes() == {}
    assert capsys.readouterr().out.count("single_plates_unknown") == 1
    kept.rename(second)
    assert makes() == {"丰田": 1}


def test_a_broken_rule_takes_nothing_but_itself(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    """Found at the start it gives way to the rule of the settings; later the one before it stays."""
    write(
        settings.clean_dir / "kkmc_dimension.csv", HEADER + "A,甲,,,,,,117.0,34.0\nB,乙,,,,,,117.5,34.0\n", 1
    )
    write(settings.rule_file, 'version = "typo"\ncal_at = 0.9\n', 1)
    rules = rules_of_worker(settings)
    assert rules.gates == ("A", "B") and rules.weighing.version == "cases-1"
    assert "takes the rule of the settings" in capsys.readouterr().err
    write(settings.rule_file, 'version = "strict"\ncall_at = 0.9\n', 2)
    assert rules_of_worker(settings).weighing.call_at == 0.9
    write(settings.rule_file, "call_at = ", 3)
    assert rules_of_worker(settings).weighing.version == "strict"
    assert "goes on with the rule it had" in capsys.readouterr().err
