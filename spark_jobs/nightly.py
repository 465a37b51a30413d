"""Edge: a nightly job in a Python of its own.

Spark keeps its JVM and memory until its Python ends, and an Airflow task that started one would hand it on
to whatever runs next. So a task calls ``run_job``: it starts ``python -m spark_jobs.nightly JOB``, passes
its output on, and raises the job's own error.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from kakou import errors
from kakou.process_lock import one_after_another
from kakou.settings import PROJECT_ROOT, Settings, load_settings
from kakou.whole_files import write_json

PASSES_FILE: Final = "master_data_expanded.parquet"
JOBS: Final = ("travel_times", "flow_model")
_STOP_SECONDS: Final = 10


def default_passes(settings: Settings) -> Path:
    """The batch's output, where the caller names no other."""
    return settings.clean_dir / PASSES_FILE


@contextmanager
def only_training(settings: Settings) -> Iterator[None]:
    """Waits until no other nightly job runs on this machine: two of them would not fit a small one."""
    with one_after_another(settings.run_dir / ".training.lock"):
        yield


def run_job(settings: Settings, job: str, passes: Path | None = None) -> dict[str, Any]:
    """Runs a nightly job in a fresh Python and returns its result.

    Args:
        settings: handed on through the environment.
        job: one of ``JOBS``.
        passes: Parquet of passes; None takes the batch's output.

    Raises:
        KakouError: the job's own, of the same class.
        ServiceError: the job died without a word.
    """
    with tempfile.TemporaryDirectory(prefix="kakou-job-") as folder:
        result = Path(folder) / "result.json"
        command = [sys.executable, "-m", "spark_jobs.nightly", job, "--result", str(result)]
        command += ["--passes", str(passes or default_passes(settings))]
        given = {f"KAKOU_{name.upper()}": _as_text(value) for name, value in settings.model_dump().items()}
        child = subprocess.Popen(
            command,
            env=os.environ | given,
            cwd=PROJECT_ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        try:
            assert child.stdout is not None
            for line in child.stdout:
                print(line.rstrip(), flush=True)
            code = child.wait()
        finally:
            _end(child)
        if not result.exists():
            raise errors.ServiceError(
                f"The job {job} ended with code {code} and no result; its output above says why."
            )
        answer = json.loads(result.read_text(encoding="utf-8"))
    if "error" in answer:
        raise getattr(errors, answer["error"])(answer["message"])
    return dict(answer["result"])


def _as_text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str).strip('"')


def _end(child: subprocess.Popen[str]) -> None:
    """Ends the job and its JVM, if the task is ended before them."""
    for number, seconds in ((signal.SIGTERM, _STOP_SECONDS), (signal.SIGKILL, _STOP_SECONDS)):
        if child.poll() is not None:
            return
        try:
            os.killpg(child.pid, number)
            child.wait(seconds)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            continue


def _run(settings: Settings, job: str, passes: Path) -> dict[str, Any]:
    with only_training(settings):
        if job == "travel_times":
            from spark_jobs.learn_travel_times import learn_travel_times

            return asdict(learn_travel_times(settings, passes))
        from spark_jobs.train_flow import train_flow

        return asdict(train_flow(settings, passes, progress=lambda what: print(what, flush=True)))


def main() -> int:
    """Entry point of the child. The result file holds ``{"result": …}`` or ``{"error": class, "message":
    …}``.
    """
    parser = argparse.ArgumentParser(prog="python -m spark_jobs.nightly")
    parser.add_argument("job", choices=JOBS)
    parser.add_argument("--passes", type=Path, required=True)
    parser.add_argument("--result", type=Path, required=True)
    given = parser.parse_args()
    code = 0
    try:
        answer: dict[str, Any] = {"result": _run(load_settings(), given.job, given.passes)}
    except errors.KakouError as error:
        known = next(kind for kind in type(error).__mro__ if hasattr(errors, kind.__name__))
        answer, code = {"error": known.__name__, "message": str(error)}, 1
        print(f"{known.__name__}: {error}", flush=True)
    write_json(given.result, answer)
    return code


if __name__ == "__main__":
    raise SystemExit(main())
