"""DAGs run for real, task by task in Airflow's own runner, on a tiny raw folder and the small stack."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from kakou.connections import connect
from kakou.settings import Settings
from kakou.stack.environment import child_environment

pytestmark = pytest.mark.integration

DAGS = Path(__file__).resolve().parents[2] / "dags"
RUN = """
import importlib.util, json, sys
spec = importlib.util.spec_from_file_location("tested", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
run = module.dag.test(run_conf=json.loads(sys.argv[2]))
states = {f"{one.task_id}[{one.map_index}]": str(one.state) for one in run.get_task_instances()}
print("RESULT", json.dumps({"state": str(run.state), "tasks": states}))
"""


@pytest.fixture(scope="module")
def airflow(stack: Settings) -> dict[str, str]:
    """Environment of a task: that of the stack, but with the private AIRFLOW_HOME and its database."""
    private = {name: value for name, value in os.environ.items() if name.startswith("AIRFLOW")}
    environment = child_environment(stack) | private
    subprocess.run(
        [sys.executable, "-m", "airflow", "db", "migrate"], env=environment, check=True, capture_output=True
    )
    return environment


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory, stack: Settings) -> Path:
    folder = tmp_path_factory.mktemp("raw")
    command = ["raw", "generate", "--out", str(folder), "--days", "2", "--scale", "0.02"]
    subprocess.run([sys.executable, "-m", "kakou.cli", *command], env=child_environment(stack), check=True)
    return folder


def run(environment: dict[str, str], dag: str, conf: dict[str, object]) -> dict[str, object]:
    import json

    done = subprocess.run(
        [sys.executable, "-c", RUN, str(DAGS / f"{dag}_dag.py"), json.dumps(conf)],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    told = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    assert told, done.stdout[-3000:] + done.stderr[-3000:]
    return dict(json.loads(told[-1].removeprefix("RESULT ")))


def test_batch_makes_clean_passes_and_known_gates(
    airflow: dict[str, str], stack: Settings, raw: Path, tmp_path: Path
):
    out = tmp_path / "clean"
    ended = run(airflow, "checkpoint_batch", {"raw_folder": str(raw), "output_folder": str(out), "groups": 2})
    assert ended["state"] == "success"
    assert "read[1]" in ended["tasks"] and "read[2]" not in ended["tasks"]
    passes = pl.read_parquet(out / "master_data_expanded.parquet")
    assert len(passes) > 50
    assert passes["GCSJ"].is_sorted()
    with connect(stack, "endpoint", "kakou_reader") as server, server.cursor() as cursor:
        cursor.execute("SELECT kkmc FROM kkmc_info")
        known = {row[0] for row in cursor.fetchall()}
    assert set(passes["KKMC"]) <= known


def test_dry_run_writes_nothing_and_is_green(airflow: dict[str, str], raw: Path, tmp_path: Path):
    out = tmp_path / "clean"
    ended = run(
        airflow, "checkpoint_batch", {"raw_folder": str(raw), "output_folder": str(out), "dry_run": True}
    )
    assert ended["state"] == "success"
    assert set(ended["tasks"].values()) == {"skipped"}
    assert not out.exists()


def test_missing_raw_folder_fails_at_once(airflow: dict[str, str], tmp_path: Path):
    conf = {"raw_folder": str(tmp_path / "nowhere"), "output_folder": str(tmp_path / "clean")}
    ended = run(airflow, "checkpoint_batch", conf)
    assert ended["state"] == "failed"
    assert ended["tasks"]["list_files[-1]"] == "failed"  # not up_for_retry: only a person can mend it


def test_night_before_the_first_batch_is_skipped_and_not_red(airflow: dict[str, str], stack: Settings):
    assert not (stack.clean_dir / "master_data_expanded.parquet").exists()
    ended = run(airflow, "flow_model", {})
    assert ended["state"] == "success"
    assert ended["tasks"] == {"train_flow[-1]": "skipped"}
