"""The main job of the product, once through: what ``make run`` does after the install.

raw folder → stack up → batch DAG → travel times and flow model → replay with planted clones → a table of
what came out at each stage. Each stage calls what a user would call: commands, Airflow's API, the stores.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from kakou.errors import RawFolderError, ServiceError
from kakou.settings import Settings
from kakou.stack import lifecycle
from kakou.stack.airflow_api import DONE_STATES, AirflowApi
from kakou.stack.environment import child_environment
from kakou.stack.summary import Counts, count_everything, print_summary

BATCH_DAG = "checkpoint_batch"
CHAINED_DAGS = ("travel_times", "flow_model")
DAG_LIMIT_S = 900
DRAIN_LIMIT_S = 180
REPLAY_RATE = 50


def run_everything(settings: Settings, raw: Path | None, seconds: int, clones: int) -> None:
    """Brings the stack up, does the main job and leaves the stack running.

    Args:
        raw: folder of raw files; None generates a realistic one on first use.
        seconds: length of the replay.
        clones: planted clones; each must end up in ``traffic:warnings``.

    Raises:
        RawFolderError: ``raw`` is no folder or holds nothing to read. Nothing is started then.
        ServiceError: a stage failed, or the counts do not balance.
    """
    console = Console()
    folder = _checked(raw)
    try:
        if folder is None:
            folder = _generated(settings, console)
        lifecycle.up(settings)
        _run_dags(settings, folder, console)
        planted = _replay(settings, seconds, clones, console)
        counts = _drain(settings, planted, console)
    except KeyboardInterrupt:
        console.print(
            "\nInterrupted: stopping every service, stores last, so that nothing breaks (up to 40 s) …"
        )
        lifecycle.down(settings)
        raise
    print_summary(settings, counts, console)
    _demand_balance(counts)


def _checked(raw: Path | None) -> Path | None:
    folder = raw.expanduser().absolute() if raw else None
    if folder is not None and not folder.is_dir():
        raise RawFolderError(f"The raw folder {folder} does not exist. Name another with RAW=dir.")
    if folder is not None and not any(one.suffix.lower() in (".csv", ".xlsx") for one in folder.rglob("*")):
        raise RawFolderError(f"The raw folder {folder} holds no CSV and no XLSX. Name another with RAW=dir.")
    return folder


def _generated(settings: Settings, console: Console) -> Path:
    """The generated raw folder, made on first use; one that was cut short is made again."""
    folder = settings.raw_dir
    done = folder / ".complete"
    if not done.exists():
        console.print(f"No RAW=dir given: generating a realistic raw folder in {folder}")
        _kakou(settings, "raw", "generate", "--out", str(folder))
        done.touch()
    return folder


def _kakou(settings: Settings, *arguments: str) -> None:
    """Runs one of our own commands in the foreground."""
    ended = subprocess.run(
        [sys.executable, "-m", "kakou.cli", *arguments], env=child_environment(settings), check=False
    )
    if ended.returncode:
        raise ServiceError(f"`kakou {' '.join(arguments)}` ended with code {ended.returncode}; see above.")


def _bar(console: Console) -> Progress:
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        TextColumn("{task.fields[detail]}"),
        TimeElapsedColumn(),
        console=console,
    )


def _wait(what: str, ready: Callable[[], bool], limit_s: float, mend: str) -> None:
    end = time.monotonic() + limit_s
    while not ready():
        if time.monotonic() > end:
            raise ServiceError(f"{what} did not happen within {limit_s:.0f} s. {mend}")
        time.sleep(1)


def _run_dags(settings: Settings, raw: Path, console: Console) -> None:
    api = AirflowApi(settings)
    for dag in (BATCH_DAG, *CHAINED_DAGS):
        _wait(
            f"Reading the DAG {dag}",
            lambda dag=dag: api.has_dag(dag),  # type: ignore[misc]
            120,
            "See `kakou logs airflow-dag-processor`.",
        )
    for dag in (*CHAINED_DAGS, BATCH_DAG):
        api.unpause(dag)
    before = {dag: set(api.run_ids(dag)) for dag in CHAINED_DAGS}
    run_id = api.trigger(BATCH_DAG, {"raw_folder": str(raw), "output_folder": str(settings.clean_dir)})
    with _bar(console) as progress:
        _follow(api, BATCH_DAG, run_id, progress)
        for dag in CHAINED_DAGS:
            fresh: list[str] = []

            def appeared(dag: str = dag, fresh: list[str] = fresh) -> bool:
                fresh[:] = [one for one in api.run_ids(dag) if one not in before[dag]]
                return bool(fresh)

            _wait(f"A run of {dag} after the batch", appeared, 120, "See `kakou logs airflow-scheduler`.")
            _follow(api, dag, fresh[0], progress)


def _follow(api: AirflowApi, dag: str, run_id: str, progress: Progress) -> None:
    """Shows a DAG run until it ends."""
    bar = progress.add_task(f"Airflow {dag}", total=None, detail="queued")
    end = time.monotonic() + DAG_LIMIT_S
    while True:
        now = api.state(dag, run_id)
        done = sum(n for state, n in now.tasks.items() if state in ("success", "skipped"))
        detail = f"{now.state}: {done} of {sum(now.tasks.values())} tasks"
        progress.update(bar, total=sum(now.tasks.values()) or None, completed=done, detail=detail)
        if now.state in DONE_STATES:
            break
        if time.monotonic() > end:
            raise ServiceError(
                f"The DAG run {dag}/{run_id} did not end within {DAG_LIMIT_S} s. Open it in Airflow."
            )
        time.sleep(1)
    progress.stop_task(bar)
    if now.state != "success":
        raise ServiceError(
            f"The DAG run {dag}/{run_id} failed in {', '.join(now.failed_tasks) or 'an unknown task'}. "
            "Open it in Airflow and read the task's log."
        )


def _planted(settings: Settings) -> list[dict[str, Any]]:
    path = settings.sim_dir / "planted.jsonl"
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]


def _replay(settings: Settings, seconds: int, clones: int, console: Console) -> list[dict[str, Any]]:
    """Runs the simulator and returns the clones that it planted this time."""
    before = len(_planted(settings))
    console.print(f"Replay: {REPLAY_RATE} records/s for {seconds} s with {clones} planted clones")
    _kakou(
        settings, "simulate", "--rate", str(REPLAY_RATE), "--seconds", str(seconds), "--clones", str(clones)
    )  # fmt: skip
    return _planted(settings)[before:]


def _drain(settings: Settings, planted: list[dict[str, Any]], console: Console) -> Counts:
    """Waits until everything that was produced is stored and every planted clone is warned of."""
    end = time.monotonic() + DRAIN_LIMIT_S
    with _bar(console) as progress:
        bar = progress.add_task("Waiting for the stream", total=None, detail="")
        while True:
            counts = count_everything(settings, planted)
            progress.update(
                bar,
                total=counts.offsets,
                completed=counts.stored + counts.rejected + counts.duplicates,
                detail=f"{counts.stored} stored, {counts.planted_seen} of {counts.planted} clones warned of",
            )
            if (counts.complete and counts.planted_seen == counts.planted) or time.monotonic() > end:
                return counts
            time.sleep(1)


def _demand_balance(counts: Counts) -> None:
    if not counts.complete:
        raise ServiceError(
            f"Not balanced: {counts.offsets} offsets, but {counts.stored} stored + "
            f"{counts.rejected} rejected + {counts.duplicates} duplicates. "
            "See `kakou logs stream` and `kakou logs ship`."
        )
    if counts.planted_seen < counts.planted:
        raise ServiceError(
            f"Only {counts.planted_seen} of {counts.planted} planted clones are in traffic:warnings. "
            "See `kakou logs stream`."
        )
