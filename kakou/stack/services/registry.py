"""Edge: the MLflow server, with password login."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from kakou.secret_files import secret
from kakou.settings import Settings
from kakou.stack.service import Service
from kakou.stack.services.own import get
from kakou.whole_files import write_private


def _stamp(settings: Settings) -> Path:
    """Made when the server has answered once."""
    return settings.data_dir / "mlflow" / ".answered"


def _answers(settings: Settings) -> None:
    get(settings, "mlflow", "/health")
    _stamp(settings).touch()


def _prepare(settings: Settings) -> None:
    data = settings.data_dir / "mlflow"
    if not _stamp(settings).exists():
        # Killed while it made its tables: it never answered, so there is nothing in it yet.
        for half in data.glob("*.db*"):
            half.unlink()
    (data / "artifacts").mkdir(parents=True, exist_ok=True, mode=0o700)
    lines = [
        "[mlflow]",
        "default_permission = READ",
        f"database_uri = sqlite:///{data / 'accounts.db'}",
        "admin_username = admin",
        f"admin_password = {secret(settings, 'mlflow_admin').get_secret_value()}",
        "authorization_function = mlflow.server.auth:authenticate_request_basic_auth",
        "",
    ]
    write_private(settings.run_dir / "mlflow_accounts.ini", "\n".join(lines))


def _environment(settings: Settings) -> Mapping[str, str]:
    return {
        "MLFLOW_AUTH_CONFIG_PATH": str(settings.run_dir / "mlflow_accounts.ini"),
        "MLFLOW_FLASK_SERVER_SECRET_KEY": secret(settings, "mlflow_session").get_secret_value(),
        # The job runner is for judging language models; it would hold four more Python processes.
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_TRACKING_URI": "",
    }


def _command(settings: Settings) -> list[str]:
    data = settings.data_dir / "mlflow"
    port = settings.port("mlflow")
    return [
        *(sys.executable, "-m", "mlflow", "server"),
        *("--backend-store-uri", f"sqlite:///{data / 'mlflow.db'}"),
        *("--artifacts-destination", str(data / "artifacts"), "--serve-artifacts"),
        *("--app-name", "basic-auth", "--workers", "1"),
        *("--host", settings.host, "--port", str(port)),
        *("--allowed-hosts", f"{settings.host}:{port},localhost:{port}"),
    ]


SERVICE = Service(
    name="mlflow",
    ports=("mlflow",),
    prepare=_prepare,
    command=_command,
    environment=_environment,
    answers=_answers,
    ready_s=180,
    start_s=5,
)
