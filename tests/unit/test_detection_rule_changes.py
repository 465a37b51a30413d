"""The rule in force: where its values are from, another one adopted, and the way back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from own_stack import isolated_settings

from kakou.detection.knowledge import knows_nothing
from kakou.detection.knowledge_bytes import to_bytes
from kakou.detection.rule_changes import adopt_rule, explain_rule, retire_rule
from kakou.detection.rule_files import rule_in_force, usual_rule
from kakou.detection.weighing import Calibration
from kakou.errors import BadInputError
from kakou.settings import Settings
from spark_jobs.current_rules import current_rules


def rule(folder: Path, version: str, more: str = "") -> Path:
    path = folder / f"{version}.toml"
    path.write_text(f'version = "{version}"\n{more}\n', "utf-8")
    return path


def kept(settings: Settings) -> list[str]:
    return sorted(path.name for path in settings.rule_file.parent.glob("rule-*.toml"))


def test_a_rule_is_adopted_and_the_former_one_stays_beside_it(settings: Settings, tmp_path: Path) -> None:
    assert adopt_rule(settings, rule(tmp_path, "one-1", "call_at = 0.7")) is None
    assert not kept(settings)

    former = adopt_rule(settings, rule(tmp_path, "two-2", "call_at = 0.8"))

    assert former is not None and kept(settings) == [former.name]
    assert former.name.startswith("rule-one-1-") and "call_at = 0.7" in former.read_text("utf-8")
    assert rule_in_force(settings).weighing.version == "two-2"
    assert adopt_rule(settings, former) is not None
    assert rule_in_force(settings).weighing.call_at == 0.7
    assert len(kept(settings)) == 2 and retire_rule(settings) is not None
    assert rule_in_force(settings) == usual_rule(settings) and len(kept(settings)) == 3
    assert retire_rule(settings) is None


def test_what_is_no_rule_leaves_the_one_in_force(settings: Settings, tmp_path: Path) -> None:
    adopt_rule(settings, rule(tmp_path, "one-1"))
    before = settings.rule_file.read_bytes()

    with pytest.raises(BadInputError, match="call_at"):
        adopt_rule(settings, rule(tmp_path, "bad-1", "call_at = 3.0"))
    with pytest.raises(BadInputError, match="called one-1 too"):
        adopt_rule(settings, rule(tmp_path, "one-1", "call_at = 0.9"))

    assert settings.rule_file.read_bytes() == before and not kept(settings)


def test_a_version_names_one_rule_for_good(settings: Settings, tmp_path: Path) -> None:
    """Alerts of both would have the same ids, and nobody could tell which rule gave them."""
    for version, more in (("one-1", "call_at = 0.7"), ("two-2", "call_at = 0.8")):
        adopt_rule(settings, rule(tmp_path, version, more))
    retire_rule(settings)
    before = kept(settings)
    assert len(before) == 2

    for version in ("one-1", "two-2", "cases-1"):
        which = "The rule of the settings" if version == "cases-1" else "A former rule, kept as .*rule-"
        with pytest.raises(BadInputError, match=f"{which}.* is called {version} too, and says otherwise"):
            adopt_rule(settings, rule(tmp_path, version, "call_at = 0.9"))
    assert kept(settings) == before and not settings.rule_file.exists()

    # What it was called before it may be called again.
    adopt_rule(settings, rule(tmp_path, "one-1", "call_at = 0.7"))
    adopt_rule(settings, rule(tmp_path, "cases-1"))
    assert rule_in_force(settings) == usual_rule(settings)


def test_a_broken_rule_in_force_can_be_replaced(settings: Settings, tmp_path: Path) -> None:
    settings.rule_file.parent.mkdir(parents=True)
    settings.rule_file.write_text("no rule", "utf-8")

    former = adopt_rule(settings, rule(tmp_path, "one-1"))

    assert former is not None and former.name.startswith("rule-unreadable-")
    # Beside what is kept of it, others are adopted as well.
    adopt_rule(settings, rule(tmp_path, "one-1"))
    assert rule_in_force(settings).weighing.version == "one-1"


def test_the_running_stream_takes_it(settings: Settings, tmp_path: Path) -> None:
    assert current_rules(settings).rules.weighing.version == "cases-1"
    adopt_rule(settings, rule(tmp_path, "one-1", "window_minutes = 60"))
    now = current_rules(settings).rules
    assert (now.weighing.version, now.limits.window) == ("one-1", 3600)
    retire_rule(settings)
    assert current_rules(settings).rules.weighing.version == "cases-1"


def test_each_value_says_where_it_is_from(tmp_path: Path) -> None:
    settings = isolated_settings(tmp_path / "var", lateness_minutes=20)
    found = explain_rule(settings)
    assert found["version"] == ("cases-1", "default") and found["call_at"] == (0.5, "default")
    assert found["lateness_minutes"] == (20, "settings") and found["window_minutes"] == (120, "default")

    adopt_rule(settings, rule(tmp_path, "one-1", "call_at = 0.7"))
    known = replace(knows_nothing(["A"]), reviewed=Calibration(prior=0.002, trust=0.6))
    settings.knowledge_file.write_bytes(to_bytes(known))
    found = explain_rule(settings)
    assert found["version"] == ("one-1", "file") and found["call_at"] == (0.7, "file")
    assert found["prior"] == (0.002, "reviews") and found["trust"] == (0.6, "reviews")

    adopt_rule(settings, rule(tmp_path, "two-2", "prior = 0.01"))
    found = explain_rule(settings)
    assert found["prior"] == (0.01, "file") and found["trust"] == (0.8, "default")
