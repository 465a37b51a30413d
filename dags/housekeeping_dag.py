"""
### 清理 · Housekeeping

At 03:00: passes older than `keep_days` days are deleted from the nodes if their day is archived; roll-ups
after `keep_flow_days`, warnings that nobody reviewed after `keep_warnings_days`, fates of records once Kafka
has let go of them; task logs after 30 days. 每天 03:00 删除已归档且超过保留期的通行记录，
以及过期的汇总、预警、记录去向与任务日志。

Everything is deleted in chunks that nobody waits for. A task that fails leaves the others alone and may be
run again.
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
    def delete_old_flow() -> dict[str, int]:
        from sql.housekeeping import delete_old_flow as delete

        return delete(load_settings())

    @task
    def delete_old_fates() -> dict[str, int]:
        """Asks Kafka what it still has, since it drops whole segments and not by the hour."""
        from sql.housekeeping import delete_old_fates as delete

        return delete(load_settings())

    @task
    def delete_old_warnings() -> int:
        from sql.housekeeping import delete_old_warnings as delete

        return delete(load_settings())

    @task
    def delete_old_logs() -> int:
        from kakou.stack.old_logs import delete_old_logs as delete

        return delete(load_settings().log_dir / "airflow", timedelta(days=KEEP_LOGS_DAYS))

    delete_old_passes()
    delete_old_flow()
    delete_old_fates()
    delete_old_warnings()
    delete_old_logs()
