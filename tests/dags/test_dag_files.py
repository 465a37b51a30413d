"""Every DAG file parses quickly, alone and without the heavy libraries, and says what the contract says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import jinja2
import pytest

from kakou.settings import Settings
from kakou.stack.environment import child_environment

DAGS = Path(__file__).resolve().parents[2] / "dags"
FILES = sorted(DAGS.glob("*.py"))
HEAVY = ("pyspark", "polars", "duckdb", "pandas", "mlflow", "pymysql", "etl", "spark_jobs", "sql")
SCHEDULES = {
    "checkpoint_batch": None,
    "travel_times": "30 3 * * *",
    "flow_model": "0 4 * * *",
    "archive_day": "30 2 * * *",
    "housekeeping": "0 3 * * *",
}
MOST_SECONDS = 2.0
# Kind of error → whether the same task can go well a little later without anybody doing anything.
MENDS_ITSELF = {
    "StorageError": True, "ServiceError": True, "BadInputError": False, "RawFolderError": False,
    "SettingsError": False, "DiskFullError": False,
}  # fmt: skip

# What a worker does with a DAG file, in a Python that has imported nothing else.
LOOK = """
import importlib.util, json, sys, time
import airflow.sdk
from airflow.sdk.definitions.asset import Asset
from airflow.serialization.serialized_objects import DagSerialization
from kakou import errors
before = set(sys.modules)
begin = time.process_time()
spec = importlib.util.spec_from_file_location("looked_at", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
seconds = time.process_time() - begin
imported = sorted({name.split(".")[0] for name in set(sys.modules) - before})
dag = module.dag
DagSerialization.to_dict(dag)
timetable = getattr(dag.timetable, "timetable", dag.timetable)
print(json.dumps({
    "id": dag.dag_id, "seconds": seconds, "imported": imported, "doc": dag.doc_md,
    "description": dag.description, "catchup": dag.catchup, "max_active_runs": dag.max_active_runs,
    "tags": sorted(dag.tags),
    "cron": getattr(timetable, "expression", None), "zone": str(getattr(timetable, "timezone", "")),
    "kind": type(dag.timetable).__name__,
    "assets": [one.name for one in getattr(getattr(dag.timetable, "asset_condition", None), "objects", [])],
    "outlets": [out.name for task in dag.tasks for out in task.outlets if isinstance(out, Asset)],
    "params": sorted(dag.params), "pools": {task.task_id: task.pool_slots for task in dag.tasks},
    "retries": {task.task_id: [task.retries, task.retry_delay.total_seconds()] for task in dag.tasks},
    "titles": {name: dag.params.get_param(name).schema.get("title", "") for name in dag.params},
    "map_names": {
        task.task_id: task.map_index_template for task in dag.tasks if task.map_index_template
    },
    "mends_itself": {
        kind: all(policy.evaluate(getattr(errors, kind)("why"), 1, 2).action.value != "fail"
                  for policy in (task.retry_policy for task in dag.tasks) if policy)
        for kind in sys.argv[2:]
    },
}))
"""


def look(path: Path, **environment: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-c", LOOK, str(path), *MENDS_ITSELF],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout.splitlines()[-1]))


@pytest.fixture(scope="module")
def seen() -> dict[str, dict[str, Any]]:
    return {one["id"]: one for one in (look(path, KAKOU_TIMEZONE="Asia/Urumqi") for path in FILES)}


def test_every_file_is_one_of_the_contracts_dags(seen: dict[str, dict[str, Any]]):
    assert set(seen) == set(SCHEDULES)
    assert {path.name for path in FILES} == {f"{name}_dag.py" for name in SCHEDULES}


@pytest.mark.parametrize("name", SCHEDULES)
def test_parsing_is_light(seen: dict[str, dict[str, Any]], name: str):
    assert not set(seen[name]["imported"]) & set(HEAVY)
    assert seen[name]["seconds"] < MOST_SECONDS


def test_what_counts_as_heavy_would_be_noticed(tmp_path: Path):
    heavy = tmp_path / "heavy_dag.py"
    heavy.write_text(f"import duckdb\n{(DAGS / 'housekeeping_dag.py').read_text(encoding='utf-8')}".replace(
        "from __future__ import annotations\n", ""), encoding="utf-8")  # fmt: skip
    assert "duckdb" in look(heavy)["imported"]


@pytest.mark.parametrize("name", SCHEDULES)
def test_page_is_written_in_both_languages(seen: dict[str, dict[str, Any]], name: str):
    for text in (seen[name]["doc"], seen[name]["description"]):
        assert any("a" <= letter <= "z" for letter in text)
        assert any("一" <= letter <= "鿿" for letter in text)
    assert len(seen[name]["doc"]) > 150
    assert seen[name]["tags"]


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedule_is_in_the_platforms_zone_and_never_catches_up(seen: dict[str, dict[str, Any]], name: str):
    dag = seen[name]
    assert dag["cron"] == SCHEDULES[name]
    if SCHEDULES[name]:
        assert dag["zone"] == "Asia/Urumqi"
    assert dag["catchup"] is False
    assert dag["max_active_runs"] == 1


def test_learning_follows_the_batch(seen: dict[str, dict[str, Any]]):
    assert seen["checkpoint_batch"]["outlets"] == ["checkpoint_passes"]
    for name in ("travel_times", "flow_model"):
        assert seen[name]["kind"] == "AssetOrTimeSchedule"
        assert seen[name]["assets"] == ["checkpoint_passes"]


def test_two_trainings_do_not_fit_the_pool_and_a_batch_beside_one_does(
    seen: dict[str, dict[str, Any]], settings: Settings
):
    slots = int(child_environment(settings)["AIRFLOW__CORE__DEFAULT_POOL_TASK_SLOT_COUNT"])
    first, second = (next(iter(seen[name]["pools"].values())) for name in ("travel_times", "flow_model"))
    assert first + second > slots >= max(first, second) + max(seen["checkpoint_batch"]["pools"].values())


def test_form_of_the_batch(seen: dict[str, dict[str, Any]]):
    assert seen["checkpoint_batch"]["params"] == [
        "dry_run", "first_day", "groups", "imputation_confidence", "last_day", "max_reject_share",
        "output_folder", "raw_folder", "replicate",
    ]  # fmt: skip


def test_form_of_the_batch_is_in_both_languages(seen: dict[str, dict[str, Any]]):
    for title in seen["checkpoint_batch"]["titles"].values():
        assert any("a" <= letter <= "z" for letter in title)
        assert any("一" <= letter <= "鿿" for letter in title)


@pytest.mark.parametrize("given", [[], ["a"], ["a", "b"]])
def test_a_mapped_task_has_a_name_even_if_nothing_is_to_do(seen: dict[str, dict[str, Any]], given: list[str]):
    for names in (one["map_names"] for one in seen.values()):
        for template in names.values():
            name = jinja2.Template(template).render(names=given, days=given)
            assert name.startswith(f"{len(given)} ") and ("a" in name.split()[2:]) == bool(given)


def test_the_batch_tries_again_only_what_can_mend_itself(seen: dict[str, dict[str, Any]]):
    assert seen["checkpoint_batch"]["mends_itself"] == MENDS_ITSELF


@pytest.mark.parametrize("name", SCHEDULES)
def test_every_task_is_tried_again_after_a_while(seen: dict[str, dict[str, Any]], name: str):
    assert all(tries >= 2 and delay >= 20 for tries, delay in seen[name]["retries"].values())
