"""DAGs run for real, task by task in Airflow's own runner, on a tiny raw folder and the small stack."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from batch_folder import drafts, share_a_day, strange, unlike, visible

from kakou.connections import connect, node_names
from kakou.settings import Settings
from kakou.stack.environment import child_environment

pytestmark = pytest.mark.integration

DAGS = Path(__file__).resolve().parents[2] / "dags"
CLEARED = "2024-03-01T00:00:00+00:00"
# Runs a DAG as `airflow dags test` does. Given a file name, it kills itself before a task renames its draft
# to that; given a logical date, a later call clears that run and does it again.
RUN = """
import importlib.util, json, os, signal, sys
from datetime import datetime

def die(event, args):
    if event == "os.rename" and os.path.basename(os.fsdecode(args[1])) == sys.argv[4]:
        os.kill(os.getpid(), signal.SIGKILL)

if sys.argv[4]:
    sys.addaudithook(die)
spec = importlib.util.spec_from_file_location("tested", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
when = {"logical_date": datetime.fromisoformat(sys.argv[3])} if sys.argv[3] else {}
run = module.dag.test(run_conf=json.loads(sys.argv[2]), **when)
states = {f"{one.task_id}[{one.map_index}]": str(one.state) for one in run.get_task_instances()}

from airflow.models.xcom import XComModel
from airflow.settings import Session
with Session() as session:
    wanted = XComModel.get_many(run_id=run.run_id, dag_ids=run.dag_id, key="dry_run")
    said = [XComModel.deserialize_value(one) for one in session.scalars(wanted)]
print("RESULT", json.dumps({"state": str(run.state), "tasks": states, "said": said}))
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
    share_a_day(folder)
    return folder


@pytest.fixture(scope="module")
def batch(
    airflow: dict[str, str], raw: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, Any], Path]:
    """An undisturbed run of the batch, and its output folder."""
    out = tmp_path_factory.mktemp("batch") / "clean"
    return run(airflow, "checkpoint_batch", {**folders(raw, out), "groups": 2}), out


def folders(raw: Path, out: Path) -> dict[str, object]:
    return {"raw_folder": str(raw), "output_folder": str(out)}


def start(
    environment: dict[str, str], dag: str, conf: dict[str, object], when: str = "", dies_at: str = ""
) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", RUN, str(DAGS / f"{dag}_dag.py"), json.dumps(conf), when, dies_at],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def end(child: subprocess.Popen[str]) -> dict[str, Any]:
    out, err = child.communicate()
    told = [line for line in out.splitlines() if line.startswith("RESULT ")]
    assert told, out[-3000:] + err[-3000:]
    return dict(json.loads(told[-1].removeprefix("RESULT ")))


def run(environment: dict[str, str], dag: str, conf: dict[str, object], when: str = "") -> dict[str, Any]:
    return end(start(environment, dag, conf, when))


def test_batch_makes_clean_passes_and_known_gates(batch: tuple[dict[str, Any], Path], stack: Settings):
    ended, out = batch
    assert ended["state"] == "success"
    assert "read[1]" in ended["tasks"] and "read[2]" not in ended["tasks"]
    assert ended["tasks"]["merge_days[0]"] == "success"
    passes = pl.read_parquet(out / "master_data_expanded.parquet")
    assert len(passes) > 50
    assert passes["GCSJ"].is_sorted()
    with connect(stack, "endpoint", "kakou_reader") as server, server.cursor() as cursor:
        cursor.execute("SELECT kkmc FROM kkmc_info")
        known = {row[0] for row in cursor.fetchall()}
    assert set(passes["KKMC"]) <= known


def test_killed_in_a_write_then_cleared_and_run_again_beside_another_scheduler(
    airflow: dict[str, str], raw: Path, batch: tuple[dict[str, Any], Path], tmp_path: Path
):
    out, wanted = tmp_path / "out", visible(batch[1])
    child = start(airflow, "checkpoint_batch", folders(raw, out), CLEARED, dies_at="merged_data.parquet")
    assert child.communicate() and child.returncode == -signal.SIGKILL
    assert drafts(out)
    assert strange(out, wanted) == []
    # One scheduler would let a second run wait, so the second one has a home of its own.
    home = shutil.copytree(airflow["AIRFLOW_HOME"], tmp_path / "home")
    second = {name: value.replace(airflow["AIRFLOW_HOME"], str(home)) for name, value in airflow.items()}
    children = [start(one, "checkpoint_batch", folders(raw, out), CLEARED) for one in (airflow, second)]
    assert [end(child)["state"] for child in children] == ["success", "success"]
    assert unlike(out, wanted) == []


def test_dry_run_says_what_it_would_do_and_writes_nothing(
    airflow: dict[str, str], raw: Path, batch: tuple[dict[str, Any], Path], tmp_path: Path
):
    passes = pl.read_parquet(batch[1] / "merged_data.parquet")
    *before, last = sorted(passes["GCSJ"].dt.date().cast(pl.String).unique())
    conf = {**folders(raw, tmp_path / "clean"), "dry_run": True, "first_day": last}
    ended = run(airflow, "checkpoint_batch", conf)
    assert ended["state"] == "success"
    assert set(ended["tasks"].values()) == {"skipped"}
    assert not (tmp_path / "clean").exists()
    (said,) = ended["said"]
    assert (list(said["days"]), list(said["days_left_alone"])) == ([last], before)
    files = {path.relative_to(raw).as_posix() for path in raw.rglob("*") if path.is_file()}
    assert (set(said["to_read"]), said["read_before"]) == (files, [])


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


@pytest.fixture
def old_day(stack: Settings) -> Iterator[str]:
    """A day with one pass, older than passes are kept and younger than roll-ups are; and an older roll-up."""
    day = str(date.today() - timedelta(days=(stack.keep_days + stack.keep_flow_days) // 2))
    with connect(stack, "dn1", "root", autocommit=True) as server, server.cursor() as cursor:
        cursor.execute(
            "INSERT INTO traffic_data VALUES "
            "('night', 'NIGHT_G1', '1', %s, '02', '苏C1', '-', '县', '江苏', 0, 1, '型', 0, 1, 1)",
            (f"{day} 08:00:00",),
        )
        cursor.execute("INSERT INTO flow_hourly VALUES ('NIGHT_G1', '2001-01-01', 8, '江苏', '型', 1)")
    yield day
    for node in node_names(stack):
        with connect(stack, node, "root", autocommit=True) as server, server.cursor() as cursor:
            cursor.execute("DELETE FROM closed_days")
            for table in ("traffic_data", "flow_hourly"):
                cursor.execute(f"DELETE FROM {table} WHERE kkmc = 'NIGHT_G1'")
    # Whole: the night archives whatever else other tests left, and later ledgers would count that too.
    shutil.rmtree(stack.history_dir)


def test_a_night_archives_what_is_over_and_lets_the_stores_forget(
    airflow: dict[str, str], stack: Settings, old_day: str
):
    assert run(airflow, "archive_day", {})["state"] == "success"
    archived = pl.read_parquet(stack.history_dir / f"day={old_day}" / "dn1-0000.parquet")
    assert archived["GCXH"].to_list() == ["night"]
    ended = run(airflow, "housekeeping", {})
    assert set(ended["tasks"].values()) == {"success"} and len(ended["tasks"]) == 5
    with connect(stack, "dn1", "kakou_reader") as server, server.cursor() as cursor:
        cursor.execute("SELECT COUNT(*) FROM traffic_data WHERE id = 'night'")
        assert cursor.fetchone() == (0,)
        cursor.execute("SELECT CAST(day AS CHAR), n FROM flow_hourly WHERE kkmc = 'NIGHT_G1'")
        assert cursor.fetchall() == ((old_day, 1),)
