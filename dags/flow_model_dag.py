"""
### 流量预测模型 · Flow model (P11)

Counts observed passes per gate and hour, trains the Spark ML model, logs the run to MLflow (experiment
`traffic_flow`), makes it champion only if it beats the present one on held-back days, and publishes the
forecasts of today and the next 30 days.
训练卡口小时流量模型，记录到 MLflow，在留出日上优于现任模型才成为 champion，并发布今天及未来 30 天的预测。

Runs after each batch (asset `checkpoint_passes`) and nightly at 04:00. With too little history the training
is **refused**: the task is marked skipped, its log and the screen say what is there and what is needed, and
earlier forecasts stay.
历史数据不足时拒绝训练：任务标记为跳过，并说明现有数据与所需数据。
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
    dag_id="flow_model",
    description="Train and publish the flow model 训练并发布流量预测模型",
    doc_md=__doc__,
    schedule=AssetOrTimeSchedule(
        timetable=CronTriggerTimetable("0 4 * * *", timezone=load_settings().timezone), assets=[PASSES]
    ),
    catchup=False,
    max_active_runs=1,
    tags=["learning", "学习", "forecast"],
    default_args={"retries": 2, "retry_delay": timedelta(seconds=30), "retry_policy": RETRY},
) as dag:
    # Of the default pool's four slots a training takes three: two never run at once, and a batch still may.
    @task(pool_slots=3, execution_timeout=timedelta(minutes=30))
    def train_flow() -> dict[str, Any]:
        """Runs the Spark job in a Python of its own."""
        from pathlib import Path

        from airflow.sdk.exceptions import AirflowSkipException

        from kakou.errors import TooLittleDataError
        from spark_jobs.nightly import PASSES_FILE, default_passes, run_job

        settings = load_settings()
        # A run that the clock started has no event; one that assets started has no logical date.
        events = [one for held in get_current_context()["triggering_asset_events"].values() for one in held]
        passes = Path(events[-1].extra["output_folder"]) / PASSES_FILE if events else default_passes(settings)
        if not events and not passes.exists():
            raise AirflowSkipException(
                f"No batch has run yet, so there is no {passes} 尚无批处理结果. Trigger checkpoint_batch."
            )
        try:
            return run_job(settings, "flow_model", passes)
        except TooLittleDataError as refusal:
            raise AirflowSkipException(str(refusal)) from refusal

    train_flow()
