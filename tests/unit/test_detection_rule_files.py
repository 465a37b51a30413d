"""Rules as files, and how reasons are weighed by them."""

from __future__ import annotations

from pathlib import Path

import pytest

from kakou.detection.rule_files import read_rule, rule_in_force, usual_rule
from kakou.detection.rules import Limits
from kakou.detection.weighing import USUAL, Calibration, Weighing
from kakou.errors import BadInputError
from kakou.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(var=tmp_path, detection_window_minutes=90, lateness_minutes=20, future_minutes=10)


def test_without_a_file_the_settings_are_the_rule(settings: Settings) -> None:
    rule = rule_in_force(settings)

    assert rule == usual_rule(settings)
    assert rule.limits == Limits(window=5400, lateness=1200, future=600)
    assert rule.weighing == USUAL


def test_a_file_sets_what_it_names_and_leaves_the_rest(settings: Settings) -> None:
    settings.rule_file.parent.mkdir(parents=True)
    settings.rule_file.write_text('version = "strict-2"\ncall_at = 0.8\nwindow_minutes = 60\n', "utf-8")

    rule = rule_in_force(settings)

    assert rule.limits == Limits(window=3600, lateness=1200, future=600)
    assert rule.fallback_kmh == settings.fallback_kmh
    assert rule.weighing == Weighing(version="strict-2", call_at=0.8)


def test_reviews_move_the_weights_unless_the_rule_names_them(settings: Settings, tmp_path: Path) -> None:
    free, bound = tmp_path / "free.toml", tmp_path / "bound.toml"
    free.write_text('version = "free"\n', "utf-8")
    bound.write_text('version = "bound"\nprior = 0.01\n', "utf-8")
    reviewed = Calibration(prior=0.002, trust=0.6)

    moved = read_rule(free, settings).weighing.calibrated(reviewed)
    stays = read_rule(bound, settings).weighing.calibrated(reviewed)

    assert (moved.prior, moved.trust) == (0.002, 0.6)
    assert (stays.prior, stays.trust) == (0.01, USUAL.trust)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("call_at = 0.8", "version"),
        ('version = "a b"', "version"),
        ('version = "x"\ncall_at = 0.2', "call_at"),
        ('version = "x"\nspeed = 3', "speed"),
        ('version = "x"\nwindow_minutes = "long"', "window_minutes"),
        ("version: x", "no TOML"),
    ],
)
def test_what_is_no_rule_is_refused_with_the_key(
    settings: Settings, tmp_path: Path, text: str, said: str
) -> None:
    file = tmp_path / "rule.toml"
    file.write_text(text, "utf-8")

    with pytest.raises(BadInputError, match=said):
        read_rule(file, settings)


def test_a_rule_that_is_missing_is_named(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=r"none\.toml"):
        read_rule(tmp_path / "none.toml", settings)


def test_reasons_add_up_to_a_probability_and_never_to_certainty() -> None:
    assert USUAL.probability([]) == pytest.approx(USUAL.prior)
    assert USUAL.probability([3.0, 4.0]) > USUAL.probability([3.0])
    assert 0.0 < USUAL.probability([-1e6]) < USUAL.probability([1e6]) < 1.0
