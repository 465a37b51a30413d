"""Edge: Airflow as three processes. ``airflow standalone`` is not used: it survives SIGTERM."""

from __future__ import annotations

import json
import sqlite3
import sys
from contextlib import closing
from importlib.metadata import version
from pathlib import Path

from kakou.process_lock import one_after_another
from kakou.secret_files import secret
from kakou.settings import Settings
from kakou.stack.environment import airflow_home, airflow_passwords_file, child_environment
from kakou.stack.service import Service
from kakou.stack.services.own import get
from kakou.stack.steps import run_step
from kakou.whole_files import write_private


def _airflow(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "airflow", *arguments]


def _prepare(settings: Settings) -> None:
    home = airflow_home(settings)
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    password = secret(settings, "airflow_admin").get_secret_value()
    write_private(airflow_passwords_file(settings), json.dumps({"admin": password}) + "\n")
    with one_after_another(
        settings.run_dir / ".airflow-migrate.lock"
    ):  # three services ask for the same thing
        _migrate(settings, home)


def _migrate(settings: Settings, home: Path) -> None:
    """Brings the database to the installed version, on a copy: a killed migration leaves the old one."""
    stamp, wanted = home / ".migrated", version("apache-airflow")
    database, draft = home / "airflow.db", home / ".airflow.db.draft"
    if database.is_file() and stamp.is_file() and stamp.read_text() == wanted:
        return
    _remove(draft)
    if database.is_file():
        _copy(database, draft)
    run_step(
        _airflow("db", "migrate"),
        what="Airflow's database could not be migrated",
        mend=f"If it holds nothing of worth, remove {home} and run the command again.",
        env={**child_environment(settings), "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{draft}"},
        cwd=settings.run_dir,
    )
    with closing(sqlite3.connect(draft)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    _remove(database)
    draft.replace(database)
    stamp.write_text(wanted)


def _copy(database: Path, draft: Path) -> None:
    """Copies what is committed, the part in the write-ahead log included."""
    with closing(sqlite3.connect(database)) as source, closing(sqlite3.connect(draft)) as target:
        source.backup(target)


def _remove(database: Path) -> None:
    for end in ("", "-wal", "-shm"):
        database.with_name(database.name + end).unlink(missing_ok=True)


def _part_is_healthy(settings: Settings, part: str) -> None:
    health = get(settings, "airflow", "/api/v2/monitor/health").json()
    if health[part]["status"] != "healthy":
        raise ConnectionError(f"Airflow's {part} is {health[part]['status']}")


SERVICES = (
    Service(
        name="airflow-api",
        ports=("airflow",),
        prepare=_prepare,
        command=lambda _: _airflow("api-server"),
        answers=lambda settings: _part_is_healthy(settings, "metadatabase"),
        ready_s=240,
        start_s=10,
    ),
    Service(
        name="airflow-scheduler",
        prepare=_prepare,
        # Its log server would listen on every interface; with everything on one machine nobody asks it.
        command=lambda _: _airflow("scheduler", "--skip-serve-logs"),
        answers=lambda settings: _part_is_healthy(settings, "scheduler"),
        ready_s=240,
        start_s=10,
        stop_s=30,
    ),
    Service(
        name="airflow-dag-processor",
        prepare=_prepare,
        command=lambda _: _airflow("dag-processor"),
        answers=lambda settings: _part_is_healthy(settings, "dag_processor"),
        ready_s=240,
        start_s=10,
        stop_s=30,
    ),
)
