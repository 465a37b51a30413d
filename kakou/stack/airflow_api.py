"""A few calls of Airflow's public REST API (v2): trigger a run, watch it, read its task states."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import httpx

from kakou.errors import ServiceError
from kakou.secret_files import secret
from kakou.settings import Settings

DONE_STATES = frozenset({"success", "failed"})


@dataclass(frozen=True, slots=True)
class RunState:
    """State of a DAG run: ``queued``, ``running``, ``success`` or ``failed``, and its tasks by state."""

    dag_id: str
    run_id: str
    state: str
    tasks: dict[str, int]
    failed_tasks: tuple[str, ...]


class AirflowApi:
    """Client with a token of the ``admin`` user; the token is fetched anew when it has run out."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._client = httpx.Client(
            base_url=f"http://{settings.host}:{settings.port('airflow')}", timeout=30, trust_env=False
        )
        self._token = ""

    def _login(self) -> None:
        answer = self._client.post(
            "/auth/token",
            json={
                "username": "admin",
                "password": secret(self._settings, "airflow_admin").get_secret_value(),
            },
        )
        answer.raise_for_status()
        self._token = answer.json()["access_token"]

    def _call(self, method: str, path: str, **options: Any) -> Any:
        try:
            for attempt in (1, 2):
                if not self._token or attempt == 2:
                    self._login()
                answer = self._client.request(
                    method, f"/api/v2{path}", headers={"Authorization": f"Bearer {self._token}"}, **options
                )
                if answer.status_code != httpx.codes.UNAUTHORIZED:
                    break
            answer.raise_for_status()
        except httpx.HTTPStatusError as error:
            raise ServiceError(
                f"Airflow answered {error.response.status_code} to {method} {path}: "
                f"{error.response.text[:300]}. See `kakou logs airflow-api`."
            ) from error
        except httpx.HTTPError as error:
            raise ServiceError(
                f"Airflow does not answer ({error}). See `kakou status` and `kakou logs airflow-api`."
            ) from error
        return answer.json()

    def has_dag(self, dag_id: str) -> bool:
        """True once the DAG processor has read the DAG."""
        found = self._call("GET", "/dags", params={"dag_id_pattern": dag_id, "limit": 50})
        return any(dag["dag_id"] == dag_id for dag in found["dags"])

    def unpause(self, dag_id: str) -> None:
        self._call("PATCH", f"/dags/{dag_id}", json={"is_paused": False})

    def trigger(self, dag_id: str, conf: dict[str, Any]) -> str:
        """Starts a run now and returns its id."""
        run = self._call("POST", f"/dags/{dag_id}/dagRuns", json={"logical_date": None, "conf": conf})
        return str(run["dag_run_id"])

    def run_ids(self, dag_id: str) -> list[str]:
        """Ids of the newest runs, newest first."""
        runs = self._call("GET", f"/dags/{dag_id}/dagRuns", params={"limit": 20, "order_by": "-run_after"})
        return [str(run["dag_run_id"]) for run in runs["dag_runs"]]

    def state(self, dag_id: str, run_id: str) -> RunState:
        run = self._call("GET", f"/dags/{dag_id}/dagRuns/{run_id}")
        tasks = self._call("GET", f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances", params={"limit": 200})
        counts: dict[str, int] = {}
        for task in tasks["task_instances"]:
            counts[task["state"] or "waiting"] = counts.get(task["state"] or "waiting", 0) + 1
        failed = tuple(t["task_id"] for t in tasks["task_instances"] if t["state"] == "failed")
        return RunState(dag_id, run_id, str(run["state"]), counts, failed)
