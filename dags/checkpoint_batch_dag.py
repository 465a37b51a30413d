"""
### 卡口批处理 · Checkpoint batch (P1–P5)

Raw files of a folder → clean passes: read (mapped over groups of files) → plan → merge_days (mapped over
groups of the days that several files share) → merge → profile, standardise → clean → expand → gates into
the stores. 原始文件 → 读取（按文件组并行）→ 计划 → 按日合并（并行）→ 合并 → 统计、标准化 → 修复 → 扩展
→ 卡口入库。

**Form 表单**

* Raw folder, output folder 原始目录、输出目录: where the files lie, and where the artefacts go.
* First day, last day 起止日期: a backfill 补数. Only these days are built anew, all others keep what an
  earlier run made of them. Empty: all days 留空为全部。
* Replicate days 复制日期: such as `12-17:18-21`, marked `replicated`; empty makes up nothing 留空则不复制。
* Imputation confidence 填补置信度: a model fills a field only where it is this sure.
* Most rejected share 最大拒绝比例: if more rows than this share fail, the run stops before it merges.
* Groups 分组数: how many tasks read, and merge days, side by side.
* Dry run 试运行: writes nothing. The log of `list_files` and its XCom `dry_run` name the files that would
  be read and the days that would be built 只说明将读取的文件与将生成的日期，不执行。

**Safe to repeat 可重复运行** Every step writes a draft and renames it, so a killed task can be cleared and
run again with the same result, byte for byte. A second trigger waits for the first. A run from elsewhere on
the same folder (`kakou etl run`, another scheduler) takes turns with this one; if it began with other files
or choices, the next task here stops and says so. 被终止的任务清除后可直接重跑；同一目录上的任务轮流执行。

**Failing 失败** A store that is away is tried again; bad input or a full disk fails at once with one
sentence, as only a person can mend it. 存储暂不可用会重试；输入错误或磁盘已满立即失败并说明原因。

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
RETRY = ExceptionRetryPolicy(
    [
        RetryRule(["kakou.errors.StorageError", "kakou.errors.ServiceError"], RetryAction.DEFAULT),
        RetryRule("kakou.errors.KakouError", RetryAction.FAIL, reason="only a person can mend it"),
    ]
)


def _given() -> tuple[Any, Any, Any]:
    """Raw folder, output folder and choices of this run."""
    from datetime import date
    from pathlib import Path

    from etl.params import EtlParams

    params = get_current_context()["params"]
    first, last = (params[name] and date.fromisoformat(params[name]) for name in ("first_day", "last_day"))
    choices = EtlParams(
        replicate=params["replicate"] or None,
        imputation_confidence=params["imputation_confidence"],
        max_reject_share=params["max_reject_share"],
        first_day=first or None,
        last_day=last or None,
        gate_registry=load_settings().gate_registry_file,
    )
    return Path(params["raw_folder"]), Path(params["output_folder"]), choices


def _groups(names: list[str]) -> list[list[str]]:
    """One list per task: starting one costs seconds, and a file or a day often less. Never none at all."""
    count = min(get_current_context()["params"]["groups"], max(1, len(names)))
    return [names[start::count] for start in range(count)]


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
        "first_day": Param(
            None,
            type=["null", "string"],
            format="date",
            title="First day 起始日期",
            description="Only days from here on are built anew; empty: from the first 留空为全部",
        ),
        "last_day": Param(
            None,
            type=["null", "string"],
            format="date",
            title="Last day 结束日期",
            description="Only days up to here are built anew; empty: to the last 留空为全部",
        ),
        "replicate": Param(
            None,
            type=["null", "string"],
            pattern=r"^(\d{1,2}-\d{1,2}:\d{1,2}-\d{1,2})?$",
            title="Replicate days 复制日期",
            description="Such as 12-17:18-21; empty makes up nothing 留空则不复制",
        ),
        "imputation_confidence": Param(
            0.75, type="number", minimum=0, maximum=1, title="Imputation confidence 填补置信度"
        ),
        "max_reject_share": Param(
            0.05,
            type="number",
            minimum=0,
            maximum=1,
            title="Most rejected share 最大拒绝比例",
            description="Stop if more rows than this share cannot be understood 超过则停止",
        ),
        "groups": Param(4, type="integer", minimum=1, maximum=32, title="Groups 分组数"),
        "dry_run": Param(
            False,
            type="boolean",
            title="Dry run 试运行",
            description="Only say what would be read and built 只说明将读取与生成的内容",
        ),
    },
) as dag:

    @task
    def list_files() -> list[list[str]]:
        """Names the raw files, in groups, and begins the run on the output folder."""
        from airflow.sdk.exceptions import AirflowSkipException

        from etl import batch_tasks
        from etl.dry_run import in_words, what_would_run

        context = get_current_context()
        if context["params"]["dry_run"]:
            found = what_would_run(*_given())
            print(in_words(found))
            context["ti"].xcom_push(key="dry_run", value=found)
            raise AirflowSkipException("Dry run 试运行: the lines above say what would be done.")
        return _groups(batch_tasks.begin(*_given()))

    @task(map_index_template="{{ names | length }} files {{ names[:1] | join }}")
    def read(names: list[str]) -> int:
        """Reads a group of files, each into its own part; one that was read before costs nothing."""
        from etl import batch_tasks

        return batch_tasks.read(*_given(), names)

    @task
    def plan() -> list[list[str]]:
        """Finds copies, repeated ids and re-stamped days, and so the days that several files share."""
        from etl import batch_tasks

        return _groups(batch_tasks.plan(*_given()))

    @task(map_index_template="{{ days | length }} days {{ days[:1] | join }}")
    def merge_days(days: list[str]) -> int:
        """Merges a group of days, each into a file of its own; one that was merged before costs nothing."""
        from etl import batch_tasks

        return batch_tasks.merge_days(*_given(), days)

    @task
    def merge() -> dict[str, Any]:
        from etl import batch_tasks

        return batch_tasks.merge(*_given())

    @task
    def profile() -> dict[str, Any]:
        from etl import batch_tasks

        return batch_tasks.profile(*_given())

    @task
    def standardise() -> dict[str, Any]:
        from etl import batch_tasks

        return batch_tasks.standardise(*_given())

    @task
    def clean() -> dict[str, Any]:
        from etl import batch_tasks

        return batch_tasks.clean(*_given())

    @task
    def expand() -> dict[str, Any]:
        from etl import batch_tasks

        return batch_tasks.expand(*_given())

    @task(outlets=[PASSES])
    def load_gates() -> int:
        """Makes the gates known to nodes and endpoint, then tells the learning DAGs where the passes are."""
        from sql.gates import load_gates as load

        out = _given()[1]
        gates = load(load_settings(), out / "kkmc_dimension.csv")
        get_current_context()["outlet_events"][PASSES].extra = {"output_folder": str(out), "gates": gates}
        return gates

    planned, merged, standardised, last = plan(), merge(), standardise(), load_gates()
    read.expand(names=list_files()) >> planned
    merge_days.expand(days=planned) >> merged >> standardised >> clean() >> expand() >> last
    merged >> profile() >> last
