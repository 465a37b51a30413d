"""
### 清理 · Housekeeping

At 03:00: passes older than `keep_days` days are deleted from the nodes if their day is archived; task logs
older than 30 days are removed. 每天 03:00 删除已归档且超过保留期的通行记录，并清理 30 天前的任务日志。
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, CronTriggerTimetable, task

from kakou.settings import load_settings

KEEP_LOGS_DAYS = 30

with DAG(
    dag_id="housekeeping",
    description="Delete what is archived and old 清理过期数据与日志",
    doc_md=__doc__,
    schedule=CronTriggerTimetable("0 3 * * *", timezone=load_settings().timezone),
    catchup=False,
    max_active_runs=1,
    tags=["storage", "存储"],
    default_args={"retries": 3, "retry_delay": timedelta(minutes=3)},
) as dag:

    @task
    def delete_old_passes() -> dict[str, int]:
        """Refuses a day that is not archived; the other days are deleted all the same."""
        from sql.retention import delete_old

        settings = load_settings()
        return {str(day): rows for day, rows in delete_old(settings, settings.keep_days).items()}

    @task
    def delete_old_logs() -> int:
        from kakou.stack.old_logs import delete_old_logs as delete

        return delete(load_settings().log_dir / "airflow", timedelta(days=KEEP_LOGS_DAYS))

    delete_old_passes()
    delete_old_logs()
