"""A training against a real MLflow, node and Redis: who becomes champion, and what is published."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from flow_world import GATES, counts, passes_file
from pyspark.sql import SparkSession
from rich.console import Console

from kakou import redis_keys
from kakou.connections import connect, mlflow_environment, redis_client
from kakou.errors import ServiceError, StorageError, TooLittleDataError
from kakou.settings import Settings
from kakou.stack import lifecycle
from kakou.stack.supervision import STOPPED, Supervisor
from spark_jobs.train_flow import TrainResult, train_flow

pytestmark = [pytest.mark.integration, pytest.mark.spark]

NAME = "traffic_flow_model"
HOURS = len(GATES) * 31 * 24


@pytest.fixture(scope="module")
def platform(stack: Settings, spark: SparkSession) -> Iterator[Settings]:
    """The small stack with MLflow; what a training leaves in this process's environment is taken back."""
    before = dict(os.environ)
    lifecycle.up(stack, {"mlflow"}, console=Console(quiet=True))
    yield stack
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope="module")
def first(platform: Settings, tmp_path_factory: pytest.TempPathFactory) -> TrainResult:
    """The first training: 21 days."""
    return train_flow(platform, passes_file(tmp_path_factory.mktemp("first"), counts(21)))


def published(settings: Settings) -> list[tuple[Any, ...]]:
    with connect(settings, "dn1", "kakou_reader") as server, server.cursor() as cursor:
        cursor.execute(
            "SELECT kkmc, day, hour, predicted, low, high, model_version FROM flow_forecast ORDER BY 1, 2, 3"
        )
        return list(cursor.fetchall())


def status(settings: Settings) -> dict[str, Any]:
    return dict(json.loads(redis_client(settings).get(redis_keys.FLOW_STATUS) or "{}"))


def client(settings: Settings) -> Any:
    os.environ.update(mlflow_environment(settings))
    import mlflow

    address = mlflow_environment(settings)["MLFLOW_TRACKING_URI"]
    return mlflow.MlflowClient(tracking_uri=address, registry_uri=address)


def test_first_version_is_champion_and_its_run_can_be_read(platform: Settings, first: TrainResult):
    assert first.promoted
    held = client(platform).get_model_version_by_alias(NAME, "champion")
    assert held.version == first.version
    assert "| model |" in held.description
    assert "on observed passes only" in held.description
    run = client(platform).get_run(first.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params["origins"] == "observed"
    assert client(platform).get_experiment(run.info.experiment_id).name == "traffic_flow"
    assert run.data.metrics.keys() >= {"mae", "rmse", "wmape", "pinball", "coverage", "baseline_mae"}
    assert (
        run.data.tags["beats_baseline"] == str(first.metrics["mae"] < first.metrics["baseline_mae"]).lower()
    )
    files = {one.path for one in client(platform).list_artifacts(first.run_id)}
    assert files >= {"days.json", "baseline.csv", "intervals.csv", "model_card.md"}


def test_forecasts_cover_today_and_thirty_days(platform: Settings, first: TrainResult):
    rows = published(platform)
    assert len(rows) == first.forecasts == HOURS
    assert {row[0] for row in rows} == set(GATES)
    today = datetime.now(ZoneInfo(platform.timezone)).date()
    days = {row[1] for row in rows}
    # The training may have run just before midnight.
    assert days in [
        {start + timedelta(days=n) for n in range(31)} for start in (today, today - timedelta(days=1))
    ]
    assert all(0 <= low <= predicted <= high for *_, predicted, low, high, _ in rows)
    assert {row[-1] for row in rows} == {first.model_version}
    assert first.model_version.split("/")[1] == first.version
    told = status(platform)
    assert told["status"] == "published"
    assert told["model_version"] == first.model_version
    assert datetime.fromisoformat(told["at"]).utcoffset() == timedelta(hours=8)


def test_nothing_new_leaves_the_champion(platform: Settings, first: TrainResult, tmp_path: Path):
    again = train_flow(platform, passes_file(tmp_path, counts(21)))
    assert not again.promoted
    assert again.reason == f"no held-back day is new to champion {first.version}"
    assert again.model_version == first.model_version
    assert client(platform).get_model_version_by_alias(NAME, "champion").version == first.version
    assert len(published(platform)) == HOURS


def test_worse_model_stays_a_challenger(platform: Settings, first: TrainResult, tmp_path: Path):
    """A history that was spoiled, then days as they were: what learns from it loses on those days."""
    spoiled = counts(28, seed=7)
    early = spoiled["day"] < spoiled["day"].min() + timedelta(days=21)
    spoiled.loc[early, "count"] = np.random.default_rng(1).integers(0, 60, int(early.sum()))
    worse = train_flow(platform, passes_file(tmp_path, spoiled))
    assert not worse.promoted
    assert f"of champion {first.version}" in worse.reason
    assert client(platform).get_model_version_by_alias(NAME, "champion").version == first.version
    assert {row[-1] for row in published(platform)} == {worse.model_version}
    assert worse.model_version.split("/")[1] == first.version


def test_too_little_data_is_refused_and_the_old_forecasts_stay(
    platform: Settings, first: TrainResult, tmp_path: Path
):
    before = published(platform)
    runs = len(client(platform).search_model_versions(f"name='{NAME}'"))
    with pytest.raises(TooLittleDataError, match="2 of 2 observed days"):
        train_flow(platform, passes_file(tmp_path, counts(2)))
    assert published(platform) == before
    assert len(client(platform).search_model_versions(f"name='{NAME}'")) == runs
    told = status(platform)
    assert told["status"] == "refused"
    assert "7 such days are needed" in told["reason"]
    assert "至少需要 7 天" in told["reason_zh"]


def test_node_away_is_said_and_the_old_forecasts_stay(
    platform: Settings, first: TrainResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    before = published(platform)
    with connect(platform, "dn1", "root", autocommit=True) as server, server.cursor() as cursor:
        cursor.execute("SET GLOBAL read_only = 1")
        try:
            with pytest.raises(StorageError, match="the old ones stay"):
                train_flow(platform, passes_file(tmp_path, counts(14)))
        finally:
            cursor.execute("SET GLOBAL read_only = 0")
    assert published(platform) == before


def test_better_model_takes_over(platform: Settings, first: TrainResult, tmp_path: Path):
    """The road changes: what has seen the change beats the champion on days that are new to both."""
    changed = counts(35, seed=9, first=date(2024, 4, 8))
    changed["count"] *= 3
    better = train_flow(platform, passes_file(tmp_path, changed))
    assert better.promoted, better.reason
    assert client(platform).get_model_version_by_alias(NAME, "champion").version == better.version
    peak = pd.DataFrame(published(platform), columns=["kkmc", "day", "hour", "mid", "low", "high", "by"])
    assert peak.query("kkmc == 'C'")["mid"].max() > 90


def test_mlflow_away_is_said_and_the_old_forecasts_stay(
    platform: Settings, first: TrainResult, tmp_path: Path
):
    before = published(platform)
    supervisor = Supervisor(platform)
    supervisor.stop("mlflow")
    while supervisor.states()["mlflow"].state not in STOPPED:
        time.sleep(0.2)
    try:
        with pytest.raises(ServiceError, match=r"MLflow at .* does not answer"):
            train_flow(platform, passes_file(tmp_path, counts(14)))
    finally:
        lifecycle.up(platform, {"mlflow"}, console=Console(quiet=True))
    assert published(platform) == before
