"""One small SparkSession for every test below this folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pyspark.sql import SparkSession

from kakou.settings import load_settings
from spark_jobs.session import build_session


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """Spark as the jobs build it, on two threads; needs no other service."""
    settings = load_settings(
        _env_file=None, var=tmp_path_factory.mktemp("spark") / "var", parts=load_settings().parts
    )
    session = build_session(settings, "tests")
    yield session
    session.stop()
