"""
### 归档 · Archive closed days

At 02:30 every day that is over and still in the nodes goes to Parquet under `history/day=…`, counts checked
against the nodes. 每天 02:30 将已结束日期的通行记录归档为 Parquet，并与节点核对行数。

A missed night is made up for by the next one; rows that came late are added. The roll-up of a day that the
nodes have forgotten is counted from the archive. Retention (`housekeeping`, 03:00) deletes only what is
archived.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, CronTriggerTimetable, ExceptionRetryPolicy, RetryAction, RetryRule, task

from kakou.settings import load_settings

RETRY = ExceptionRetryPolicy(
    [
        RetryRule(
            [f"kakou.errors.{name}" for name in ("BadInputError", "DiskFullError", "SchemaError")],
            RetryAction.FAIL,
        )
    ]
)

with DAG(
    dag_id="archive_day",
    description="Closed days of traffic_data to Parquet 归档已结束的日期",
    doc_md=__doc__,
    schedule=CronTriggerTimetable("30 2 * * *", timezone=load_settings().timezone),
    catchup=False,
    max_active_runs=1,
    tags=["storage", "存储"],
    default_args={"retries": 4, "retry_delay": timedelta(minutes=3), "retry_policy": RETRY},
) as dag:

    @task
    def archive_closed_days() -> list[str]:
        """The days come from the nodes and not from the schedule, so a late run archives the same."""
        from sql.archive import archive_closed_days as archive

        return [str(day) for day in archive(load_settings())]

    archive_closed_days()
