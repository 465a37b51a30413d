"""From a reviewer's command to the weights of the next night, over the real stores."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest
from api_client import NOW, without
from api_rows import GATES, alert, store_alerts, wipe
from flow_world import counts, passes_file

from kakou.alert import Alert, Evidence
from kakou.connections import connect
from kakou.detection.calibration import Reviewed, calibrate
from kakou.detection.knowledge import knows_nothing
from kakou.detection.knowledge_bytes import from_bytes, to_bytes
from kakou.detection.learned_rules import rules_of
from kakou.detection.rule_files import usual_rule
from kakou.detection.weighing import USUAL, Calibration
from kakou.settings import Settings
from kakou.stack.environment import child_environment
from spark_jobs.nightly import run_job
from spark_jobs.tonights_reviews import TonightsReviews, tonights_reviews

pytestmark = pytest.mark.integration

# With the usual weights the confidence of such an alert is 0.9.
WEIGHTS = {"other_vehicle": 9.38, "second_track": 2.0}


def warned(n: int, **weights: float) -> Alert:
    found = alert(
        f"苏C{n:05d}", (f"a{n}", GATES[0][0], NOW - timedelta(minutes=3)), (f"b{n}", GATES[1][0], NOW)
    )
    reasons = tuple(Evidence(kind, weight, "中", "en") for kind, weight in weights.items())
    return replace(found, evidence=found.evidence + reasons)


ALERTS = [warned(n, **WEIGHTS) for n in range(30)]
CLOCK = replace(warned(90), verdict="clock_fault")


@pytest.fixture
def stores(stack: Settings) -> Iterator[Settings]:
    wipe(stack)
    store_alerts(stack, [*ALERTS, CLOCK], to_redis=False)
    yield stack
    wipe(stack)


def said(settings: Settings, alerts: list[Alert], outcome: str, reason: str | None = None) -> None:
    """Many at once, as a reviewer says them one by one."""
    with connect(settings, "dn1", "kakou_writer") as server, server.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO reviews (alert_id, verdict, reason, note, reviewer) VALUES (%s, %s, %s, '', 'li')",
            [(one.alert_id, outcome, reason) for one in alerts],
        )
        server.commit()


def kakou(settings: Settings, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "kakou.cli", "detect", *arguments],
        env=child_environment(settings), capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


def test_a_reviewer_says_lists_and_is_refused_in_words(stores: Settings) -> None:
    done = kakou(stores, "review", ALERTS[0].case_id, "confirmed", "--reviewer", "li", "--note", "看过照片")
    assert done.returncode == 0, done.stderr
    assert ALERTS[0].alert_id in done.stdout and "confirmed" in done.stdout
    said(stores, [ALERTS[1], CLOCK], "false", "clock")
    listed = json.loads(kakou(stores, "reviews", "--json").stdout)
    assert [(one["hphm"], one["outcome"], one["reason"]) for one in listed["reviews"]] == [
        (CLOCK.hphm, "false", "clock"),
        (ALERTS[1].hphm, "false", "clock"),
        (ALERTS[0].hphm, "confirmed", None),
    ]
    precision = listed["precision"]
    assert listed["reviewed"] == 3 and (precision["n"], precision["confirmed"]) == (2, 1)
    assert precision["low"] < precision["share"] == 0.5 < precision["high"]
    shown = kakou(stores, "reviews", "--limit", "2").stdout
    assert "2 of 3 reviewed cases shown" in shown and "1 of 2 reviewed cloned plates" in shown

    for arguments, words in (
        (("f" * 32, "confirmed"), "There is no alert and no case"),
        ((ALERTS[0].alert_id, "false"), "needs a reason"),
        ((ALERTS[0].alert_id, "confirmed", "--reason", "clock"), "has no reason"),
    ):
        refused = kakou(stores, "review", *arguments)
        assert refused.returncode == 1 and "Traceback" not in refused.stderr
        assert words in " ".join(refused.stderr.split())


def test_without_reviews_there_is_no_precision(stores: Settings) -> None:
    assert "no case with the verdict cloned_plate" in kakou(stores, "reviews").stdout
    assert tonights_reviews(stores) == TonightsReviews(None, 0, 0, None)


def test_the_night_takes_the_newest_review_of_each_case_with_weights(stores: Settings) -> None:
    said(stores, ALERTS, "confirmed")
    said(stores, [CLOCK], "false", "clock")
    surer = tonights_reviews(stores)
    said(stores, ALERTS[:20], "false", "misread")
    said(stores, ALERTS[20:25], "false", "same_owner")
    less = tonights_reviews(stores)
    assert (surer.reviews, surer.weighed, surer.precision) == (31, 30, 1.0)
    assert (less.reviews, less.weighed, less.precision) == (31, 25, pytest.approx(5 / 30))
    weights = list(WEIGHTS.values())
    chances = [USUAL.calibrated(one.calibration).probability(weights) for one in (surer, less)]
    assert chances[0] > USUAL.probability(weights) > 0.5 > chances[1]
    assert set(less.metrics) == {
        "reviews", "reviews_weighed", "precision_reviewed", "calibration_prior", "calibration_trust",
    }  # fmt: skip


def test_a_case_weighs_once_with_what_it_says_in_the_end(stores: Settings) -> None:
    """Reviewed at each of its steps, it is one case all the same, and the last word holds."""
    surer = warned(0, other_vehicle=14.0)
    later = replace(surer, alert_id="2" * 32, step=2, severity="critical")
    store_alerts(stores, [later], to_redis=False)
    said(stores, [ALERTS[0], later], "confirmed")
    said(stores, [ALERTS[0]], "false", "misread")
    night = tonights_reviews(stores)
    assert (night.reviews, night.weighed, night.precision) == (1, 1, 0.0)
    assert night.calibration == calibrate([Reviewed(14.0, False)], USUAL)
    listed = json.loads(kakou(stores, "reviews", "--json").stdout)
    (one,) = listed["reviews"]
    assert (listed["reviewed"], one["case_id"], one["alert_id"]) == (1, later.case_id, ALERTS[0].alert_id)
    assert one["outcome"] == "false"


def test_verdicts_go_by_what_the_night_made_of_reviews(stores: Settings, tmp_path: Path) -> None:
    said(stores, ALERTS, "false", "misread")
    learned = stores.travel_times_file, stores.knowledge_file
    try:
        result = run_job(stores, "travel_times", passes_file(tmp_path, counts(2)))
        known = from_bytes(stores.knowledge_file.read_bytes())
    finally:
        for file in learned:
            file.unlink(missing_ok=True)
    assert result["reviews"] == len(ALERTS) and known.reviewed is not None
    gates = pl.DataFrame({"kkmc": ["A"], "name": [""], "lon": [117.1], "lat": [34.2]})
    rules, _ = rules_of(gates, known, usual_rule(stores))
    weights = WEIGHTS.values()
    assert rules.weighing.probability(weights) < 0.2 < 0.89 < USUAL.probability(weights)


def test_where_reviews_are_away_the_last_night_holds(
    stores: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = Calibration(prior=0.002, trust=0.7)
    values = {name: getattr(stores, name) for name in Settings.model_fields}
    away = without(Settings(_env_file=None, **(values | {"var": tmp_path})), ["dn1"])
    assert tonights_reviews(away) == TonightsReviews(None)
    away.knowledge_file.parent.mkdir(parents=True)
    knowledge = replace(knows_nothing(["A"]), reviewed=before)
    away.knowledge_file.write_bytes(to_bytes(knowledge))
    assert tonights_reviews(away) == TonightsReviews(before)
    assert "reasons are weighed as the night before" in capsys.readouterr().out
