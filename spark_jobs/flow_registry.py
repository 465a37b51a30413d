"""Edge: the flow model in MLflow: runs, versions, and who is champion. Names and policy:
``mlflow/registry.toml``.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from pathlib import Path
from string import Template
from typing import Any, Final

import pandas as pd
import pyspark
from pyspark import SparkContext
from pyspark.ml import PipelineModel

from kakou.settings import PROJECT_ROOT, Settings
from spark_jobs.mlflow_server import MlflowServer

POLICY_DIR: Final = PROJECT_ROOT / "mlflow"
DAYS_FILE: Final = "days.json"


@dataclass(frozen=True)
class Champion:
    """The version that holds the alias.

    Attributes:
        days: passes per training day, by which a later run knows what the champion has seen.
        features: what it reads; with others than today's code gives it cannot be used.
    """

    version: str
    days: dict[str, float]
    beats_baseline: bool
    features: str


class FlowRegistry:
    """The experiment and the registered model.

    Raises:
        ServiceError: from any call, where MLflow is away or refuses.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._server = MlflowServer(settings, "the old forecasts stay.")
        self.policy = tomllib.loads((POLICY_DIR / "registry.toml").read_text(encoding="utf-8"))

    @property
    def name(self) -> str:
        return str(self.policy["model"]["name"])

    @cached_property
    def _mlflow(self) -> Any:
        mlflow = self._server.library()
        import_module("mlflow.spark")
        return mlflow

    @cached_property
    def _client(self) -> Any:
        return self._mlflow.MlflowClient(tracking_uri=self._server.address, registry_uri=self._server.address)

    def champion(self) -> Champion | None:
        """The champion, or None where there is none yet."""
        with self._server.talking():
            try:
                held = self._client.get_model_version_by_alias(self.name, self.policy["champion"]["alias"])
            except self._mlflow.exceptions.MlflowException as error:
                if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                    return None
                raise
            return Champion(
                version=str(held.version),
                days=self._mlflow.artifacts.load_dict(f"runs:/{held.run_id}/{DAYS_FILE}"),
                beats_baseline=held.tags.get("beats_baseline") == "true",
                features=held.tags.get("features", ""),
            )

    def load(self, version: str) -> PipelineModel:
        """The fitted pipeline of a version."""
        with self._server.talking():
            return self._mlflow.spark.load_model(f"models:/{self.name}/{version}", dfs_tmpdir=self._scratch())

    def log(
        self,
        model: PipelineModel,
        *,
        params: dict[str, Any],
        metrics: dict[str, float],
        tags: dict[str, str],
        days: dict[str, float],
        tables: dict[str, pd.DataFrame],
        card: dict[str, object],
    ) -> tuple[str, str]:
        """Logs a run and registers its model.

        Args:
            tables: further artefacts, kept as CSV under their names.
            card: values of the model card's template, but for name and version.

        Returns:
            run id and version. The version has no alias yet.
        """
        with self._server.talking():
            mlflow = self._mlflow
            mlflow.set_experiment(self.policy["experiment"]["name"])
            with mlflow.start_run(tags=tags) as run:
                mlflow.log_params(params)
                mlflow.log_metrics(metrics)
                mlflow.log_dict(days, DAYS_FILE)
                for name, table in tables.items():
                    mlflow.log_text(table.to_csv(index=False), f"{name}.csv")
                logged = self._log_model(model)
                version = str(mlflow.register_model(logged.model_uri, self.name, tags=tags).version)
                text = Template((POLICY_DIR / "model_card.md").read_text(encoding="utf-8"))
                filled = text.substitute(card, model_name=self.name, version=version)
                mlflow.log_text(filled, "model_card.md")
                self._client.update_model_version(self.name, version, description=filled)
                return str(run.info.run_id), version

    def promote(self, version: str) -> None:
        """Gives the alias to a version; readers see the old champion or the new one, never none."""
        with self._server.talking():
            self._client.set_registered_model_alias(self.name, self.policy["champion"]["alias"], version)

    def _log_model(self, model: PipelineModel) -> Any:
        # MLflow first tries to save straight to the server, which Spark cannot, and logs a page about it.
        context = SparkContext.getOrCreate()
        context.setLogLevel("OFF")
        try:
            return self._mlflow.spark.log_model(
                model,
                artifact_path=self.policy["model"]["artifact"],
                dfs_tmpdir=self._scratch(),
                # Named, because finding them out would load the model in another Python.
                pip_requirements=[f"pyspark=={pyspark.__version__}"],
            )
        finally:
            context.setLogLevel("ERROR")

    def _scratch(self) -> str:
        folder: Path = self._settings.run_dir / "spark" / "mlflow"
        folder.mkdir(parents=True, exist_ok=True)
        return str(folder)
