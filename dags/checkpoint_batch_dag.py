"""
### 卡口批处理 · Checkpoint batch (P1–P5)

Raw files of a folder → clean passes: read (mapped over groups of files) → merge → profile, standardise →
clean → expand → gates into the stores. 原始文件 → 合并 → 统计、标准化 → 修复 → 扩展 → 卡口入库。

**Form 表单** raw folder · output folder · days to replicate, such as `12-17:18-21` · imputation confidence ·
groups of files read side by side · dry run (only say what would be read).

**Safe to repeat 可重复运行** Every step writes under a temporary name and renames; a killed step can be
cleared and run again. A second trigger waits for the first. Bad input fails at once with one sentence; a
store that is away is retried.

**Afterwards 之后** The asset `checkpoint_passes` starts `travel_times` and `flow_model`.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import (
    DAG,
    Asset,
    ExceptionRetryPolicy,
    Param,
    RetryAction,
    RetryRule,
    get_current_context,
    task,
)

from kakou.settings import load_settings

_settings = load_settings()
PASSES = Asset("checkpoint_passes", uri="kakou://clean/passes")
ONLY_A_PERSON_CAN_MEND = ["BadInputError", "RawFolderError", "SettingsError", "TopologyError", "InstallError"]
RETRY = ExceptionRetryPolicy(
    [RetryRule([f"kakou.errors.{name}" for name in ONLY_A_PERSON_CAN_MEND], RetryAction.FAIL)]
)


def _given() -> tuple[Any, Any, Any]:
    """Raw folder, output folder and parameters of this run."""
    from pathlib import Path

    from etl.params import EtlParams

    params = get_current_context()["params"]
    choices = EtlParams(
        replicate=params["replicate"] or None, imputation_confidence=params["imputation_confidence"]
    )
    return Path(params["raw_folder"]), Path(params["output_folder"]), choices


with DAG(
    dag_id="checkpoint_batch",
    description="Raw files to clean passes 原始文件批处理：合并、标准化、修复、扩展",
    doc_md=__doc__,
    schedule=None,
    catchup=False,
    max_active_runs=1,
    tags=["batch", "批处理"],
    default_args={"retries": 2, "retry_delay": timedelta(seconds=20), "retry_policy": RETRY},
    params={
        "raw_folder": Param(
            str(_settings.raw_dir), type="string", minLength=1, title="Raw folder 原始数据目录"
        ),
        "output_folder": Param(
            str(_settings.clean_dir), type="string", minLength=1, title="Output folder 输出目录"
        ),
        "replicate": Param(
            None,
            type=["null", "string"],
            pattern=r"^(\d{1,2}-\d{1,2}:\d{1,2}-\d{1,2})?$",
            title="Replicate days 复制日期",
            description="Such as 12-17:18-21; empty makes up nothing 留空则不复制",
        ),
        "imputation_confidence": Param(
            0.9, type="number", minimum=0, maximum=1, title="Imputation confidence 填补置信度"
        ),
        "groups": Param(4, type="integer", minimum=1, maximum=32, title="Groups of files 文件分组数"),
        "dry_run": Param(False, type="boolean", title="Dry run 试运行"),
    },
) as dag:

    @task
    def list_files() -> list[list[str]]:
        """Names the raw files, in groups: starting a task costs seconds, reading a file less than one."""
        from airflow.sdk.exceptions import AirflowSkipException

        from etl.pipeline import list_raw_files

        params = get_current_context()["params"]
        raw, out, _ = _given()
        names = list_raw_files(raw)
        print(f"{len(names)} raw files in {raw}, output to {out}:", *names, sep="\n  ")
        if params["dry_run"]:
            raise AirflowSkipException(f"Dry run 试运行: would read {len(names)} files of {raw} into {out}.")
        return [names[start :: params["groups"]] for start in range(min(params["groups"], len(names)))]

    @task(map_index_template="{{ names | length }} files from {{ names[0] }}")
    def read(names: list[str]) -> int:
        """Reads a group of files, each into its own part; one that was read before costs nothing."""
        from etl.pipeline import read_file

        raw, out, choices = _given()
        return sum(read_file(raw, name, out, choices).rows for name in names)

    @task
    def merge() -> dict[str, Any]:
        from etl import pipeline

        return pipeline.merge(*_given())

    @task
    def profile() -> dict[str, int]:
        from etl import pipeline

        return pipeline.profile(*_given()[1:])

    @task
    def standardise() -> dict[str, int]:
        from etl import pipeline

        return pipeline.standardise(*_given()[1:])

    @task
    def clean() -> dict[str, Any]:
        from etl import pipeline

        return pipeline.clean(*_given()[1:])

    @task
    def expand() -> dict[str, Any]:
        from etl import pipeline

        return pipeline.expand(*_given()[1:])

    @task(outlets=[PASSES])
    def load_gates() -> int:
        """Makes the gates known to nodes and endpoint, then tells the learning DAGs where the passes are."""
        from sql.gates import load_gates as load

        out = _given()[1]
        gates = load(load_settings(), out / "kkmc_dimension.csv")
        get_current_context()["outlet_events"][PASSES].extra = {"output_folder": str(out), "gates": gates}
        return gates

    merged, standardised, last = merge(), standardise(), load_gates()
    read.expand(names=list_files()) >> merged >> standardised >> clean() >> expand() >> last
    merged >> profile() >> last
