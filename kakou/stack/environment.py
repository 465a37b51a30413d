"""The environment that every child process of the stack gets."""

from __future__ import annotations

import base64
import os
import sys
from pathlib import Path
from typing import Final

from kakou.connections import mlflow_environment
from kakou.secret_files import secret
from kakou.settings import PROJECT_ROOT, Settings
from kakou.stack.jars import java_home

MARKER: Final = "KAKOU_STACK"  # names the stack that a process belongs to; see leftovers.py


def airflow_home(settings: Settings) -> Path:
    """AIRFLOW_HOME of the stack."""
    return settings.data_dir / "airflow"


def airflow_passwords_file(settings: Settings) -> Path:
    """Where Airflow's simple auth manager reads the passwords of its users."""
    return settings.secrets_dir / "airflow_passwords.json"


def child_environment(settings: Settings) -> dict[str, str]:
    """Environment of every service and of every command that acts on the running stack.

    It holds the settings as ``KAKOU_*``, so a child reads the same settings whatever ``.env`` says, and the
    addresses and secrets that Airflow and MLflow take from the environment only. TZ is left alone.
    """
    env = dict(os.environ)
    for name in ("PYTHONHOME", "LD_LIBRARY_PATH", "VIRTUAL_ENV"):
        env.pop(name, None)
    programs = str(Path(sys.executable).parent)
    env.update({f"KAKOU_{name.upper()}": str(value) for name, value in settings.model_dump().items()})
    env.update(
        {
            MARKER: str(settings.var),
            "PATH": os.pathsep.join(
                [programs, *[one for one in env.get("PATH", os.defpath).split(os.pathsep) if one != programs]]
            ),
            "PYTHONUNBUFFERED": "1",
            # Without it setproctitle (Airflow, gunicorn) overwrites /proc/PID/environ and with it the marker.
            "SPT_NOENV": "1",
            "PYSPARK_PYTHON": sys.executable,
            "PYSPARK_DRIVER_PYTHON": sys.executable,
            "SPARK_LOCAL_IP": settings.host,
            "LC_ALL": "C.UTF-8",
        }
    )
    home = java_home()
    if home is not None:
        env["JAVA_HOME"] = str(home)
    env.update(mlflow_environment(settings))
    env.update(_airflow(settings))
    return env


def _airflow(settings: Settings) -> dict[str, str]:
    home = airflow_home(settings)
    base = f"http://{settings.host}:{settings.port('airflow')}"
    # 32 characters of ASCII are the 32 bytes that a Fernet key is made of.
    fernet = base64.urlsafe_b64encode(secret(settings, "airflow_fernet").get_secret_value().encode()).decode()
    options = {
        "core": {
            "executor": "LocalExecutor",
            "parallelism": "2",
            # Read when the database is made. A training takes three of the four, so two never run at once.
            "default_pool_task_slot_count": "4",
            "dags_folder": str(PROJECT_ROOT / "dags"),
            "load_examples": "False",
            # Catch-up is off in every DAG, so a fresh stack runs nothing but what is due.
            "dags_are_paused_at_creation": "False",
            "fernet_key": fernet,
            "default_timezone": settings.timezone,
            "simple_auth_manager_users": "admin:admin",
            "simple_auth_manager_passwords_file": str(airflow_passwords_file(settings)),
            "execution_api_server_url": f"{base}/execution/",
        },
        "database": {"sql_alchemy_conn": f"sqlite:///{home / 'airflow.db'}"},
        "api": {
            "host": settings.host,
            "port": str(settings.port("airflow")),
            "base_url": base,
            "workers": "1",
            "secret_key": secret(settings, "airflow_session").get_secret_value(),
        },
        "api_auth": {"jwt_secret": secret(settings, "airflow_jwt").get_secret_value()},
        "logging": {
            "base_log_folder": str(settings.log_dir / "airflow"),
            "logging_level": settings.log_level,
        },
        "scheduler": {"scheduler_health_check_server_host": settings.host},
        "dag_processor": {
            "parsing_processes": "1",
            "refresh_interval": "30",
            # A busy two-core machine imports Airflow slowly; the default of 50 s drops a good DAG.
            "dag_file_processor_timeout": "180",
        },
    }
    env = {
        f"AIRFLOW__{section.upper()}__{key.upper()}": value
        for section, values in options.items()
        for key, value in values.items()
    }
    env["AIRFLOW_HOME"] = str(home)
    return env
