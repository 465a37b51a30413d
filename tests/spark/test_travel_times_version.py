"""A night's version in a real MLflow says whose place on the map is not used."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import gates_in_a_row
import polars as pl
import pytest
from pyspark.sql import SparkSession
from rich.console import Console

from kakou.connections import mlflow_environment
from kakou.settings import Settings
from kakou.stack import lifecycle
from spark_jobs.learn_travel_times import learn_travel_times

pytestmark = [pytest.mark.integration, pytest.mark.spark]


@pytest.fixture
def platform(stack: Settings, spark: SparkSession) -> Iterator[Settings]:
    """The small stack with MLflow; what the job leaves in this process's environment is taken back."""
    before = dict(os.environ)
    lifecycle.up(stack, {"mlflow"}, console=Console(quiet=True))
    yield stack
    os.environ.clear()
    os.environ.update(before)


def test_the_version_names_places_that_are_not_used(platform: Settings, tmp_path: Path) -> None:
    begin = datetime(2024, 1, 1)
    passes = gates_in_a_row.frame(gates_in_a_row.honest(1)).rename(str.upper)
    times = [begin + timedelta(seconds=t) for t in passes["T"]]
    passes.drop("T").with_columns(pl.Series("GCSJ", times)).write_parquet(tmp_path / "passes.parquet")
    # Files of its own, since the stack's stream would else learn from this.
    settings = platform.model_copy(update={"var": tmp_path / "var"})
    settings.clean_dir.mkdir(parents=True)
    settings.secrets_dir.symlink_to(platform.secrets_dir)
    (settings.clean_dir / "kkmc_dimension.csv").write_text(
        "KKMC,NAME,ALIASES,XZQHMC,ROAD,STAKE,BOUNDARY,LON,LAT\n"
        "A,甲,甲,,G104,K10,,117.0,34.3\nC,丙,丙,,G104,K12,,117.6,34.3\n",
        encoding="utf-8",
    )
    result = learn_travel_times(settings, tmp_path / "passes.parquet")
    assert result.run_id and result.places_not_used == ["A – C"]
    os.environ.update(mlflow_environment(settings))
    import mlflow

    client = mlflow.MlflowClient(tracking_uri=mlflow_environment(settings)["MLFLOW_TRACKING_URI"])
    assert client.get_run(result.run_id).data.metrics["places_not_used"] == 1
    held = client.download_artifacts(result.run_id, "places_not_used.json", str(tmp_path))
    (one,) = json.loads(Path(held).read_text(encoding="utf-8"))
    assert one["gates"] == ["A", "C"] and one["reason"] == "stakes" and set(one["why"]) == {"zh", "en"}
