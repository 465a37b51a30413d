"""
### 最短行程时间 · Minimum travel times

Learns from all observed passes how fast an honest vehicle gets from gate to gate (low quantile per ordered
pair), how clocks are off and how cameras err, weighs reasons by what reviews say of alerts, and swaps the
files that the running stream reads. Gates whose place on the map is then not used are in the log and in the
version. Each run is a version in MLflow, experiment `travel_times`.
从观测到的通行记录学习卡口间的行程时间、时钟偏差与误识别规律，并按人工复核结果校准置信度，
供实时套牌检测使用；坐标不可信而不予采用的卡口记入日志；每次运行在 MLflow 中留有版本。

Runs after each batch (asset `checkpoint_passes`) and nightly at 03:30. Cut or masked plates give no travel
time: the file then holds its header only, and the stream falls back to geography.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import (
    DAG,
    Asset,
    AssetOrTimeSchedule,
    CronTriggerTimetable,
    ExceptionRetryPolicy,
    RetryAction,
    RetryRule,
    get_current_context,
    task,
)

from kakou.settings import load_settings

PASSES = Asset("checkpoint_passes", uri="kakou://clean/passes")
ONLY_A_PERSON_CAN_MEND = ["BadInputError", "SettingsError", "InstallError"]
RETRY = ExceptionRetryPolicy(
    [RetryRule([f"kakou.errors.{name}" for name in ONLY_A_PERSON_CAN_MEND], RetryAction.FAIL)]
)

with DAG(
    dag_id="travel_times",
    description="Minimum travel times between gates 卡口间最短行程时间",
    doc_md=__doc__,
    schedule=AssetOrTimeSchedule(
        timetable=CronTriggerTimetable("30 3 * * *", timezone=load_settings().timezone), assets=[PASSES]
    ),
    catchup=False,
    max_active_runs=1,
    tags=["learning", "学习", "detection"],
    default_args={"retries": 2, "retry_delay": timedelta(seconds=30), "retry_policy": RETRY},
) as dag:
    # Of the default pool's four slots a training takes three: two never run at once, and a batch still may.
    @task(pool_slots=3, priority_weight=10, execution_timeout=timedelta(minutes=30))
    def learn_travel_times() -> dict[str, Any]:
        """Runs the Spark job in a Python of its own."""
        from pathlib import Path

        from airflow.sdk.exceptions import AirflowSkipException

        from spark_jobs.nightly import PASSES_FILE, default_passes, run_job

        settings = load_settings()
        # A run that the clock started has no event; one that assets started has no logical date.
        events = [one for held in get_current_context()["triggering_asset_events"].values() for one in held]
        passes = Path(events[-1].extra["output_folder"]) / PASSES_FILE if events else default_passes(settings)
        if not events and not passes.exists():
            raise AirflowSkipException(
                f"No batch has run yet, so there is no {passes} 尚无批处理结果. Trigger checkpoint_batch."
            )
        return run_job(settings, "travel_times", passes)

    learn_travel_times()
