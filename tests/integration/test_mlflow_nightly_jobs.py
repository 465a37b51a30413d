"""A nightly job in a Python of its own: its result, its errors and its end come back to the caller."""

from __future__ import annotations

import json
import threading
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from flow_world import counts, passes_file

from kakou import redis_keys
from kakou.connections import redis_client
from kakou.errors import BadInputError, ServiceError, TooLittleDataError
from kakou.settings import Settings
from spark_jobs.nightly import only_training, run_job

pytestmark = pytest.mark.integration


def job_processes() -> list[psutil.Process]:
    """Our own children that run a nightly job."""
    found = []
    for one in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):  # what has ended meanwhile, a zombie included
            if "spark_jobs.nightly" in one.cmdline():
                found.append(one)
    return found


def test_result_comes_back(settings: Settings, tmp_path: Path):
    result = run_job(settings, "travel_times", passes_file(tmp_path, counts(2)))
    assert result["file"] == str(settings.travel_times_file)
    assert settings.travel_times_file.read_text(encoding="utf-8").count("\n") == result["pairs"] + 1 > 1
    assert job_processes() == []


def test_refusal_comes_back_as_itself_and_is_noted_for_the_screen(stack: Settings, tmp_path: Path):
    with pytest.raises(TooLittleDataError, match="3 of 3 observed days have at least 12 whole hours"):
        run_job(stack, "flow_model", passes_file(tmp_path, counts(3)))
    told = json.loads(redis_client(stack).get(redis_keys.FLOW_STATUS) or "{}")
    assert told["status"] == "refused"


def test_bad_input_comes_back_as_itself(settings: Settings, tmp_path: Path):
    with pytest.raises(BadInputError, match="There are no passes"):
        run_job(settings, "travel_times", tmp_path / "none.parquet")


def test_job_that_is_killed_is_a_service_error(settings: Settings, tmp_path: Path):
    def kill() -> None:
        while not (found := job_processes()):
            time.sleep(0.05)
        found[0].kill()

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(ServiceError, match="ended with code -9"):
        run_job(settings, "travel_times", passes_file(tmp_path, counts(2)))
    killer.join()
    assert not settings.travel_times_file.exists()


def test_second_job_waits_for_the_first(settings: Settings):
    order: list[str] = []

    def second() -> None:
        with only_training(settings):
            order.append("second")

    with only_training(settings):
        other = threading.Thread(target=second)
        other.start()
        time.sleep(0.3)
        order.append("first")
    other.join(5)
    assert order == ["first", "second"]
