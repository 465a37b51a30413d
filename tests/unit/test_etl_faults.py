"""The batch is killed before every rename and in the middle of writes, and the disk fills up.

A killed run shows whole files only, and the next one ends with the bytes of an undisturbed run. Each run is a
process of its own, forked from one that has the libraries loaded already, so a run takes half a second.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import signal
import sys
import threading
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest
from batch_folder import drafts, share_a_day, strange, unlike, visible

from etl import pipeline
from etl.generate.raw_folder import generate_raw
from etl.params import EtlParams
from kakou.errors import KakouError

FORKED = multiprocessing.get_context("forkserver")
PARAMS = EtlParams(replicate="16-16:22-22")
SECONDS = 60


def run_batch(raw: Path, out: Path, tell: Connection) -> None:
    """In a child: a whole run; sends the names that it renames to, in order, and then ``None``."""
    renamed: list[str] = []

    def watch(event: str, args: tuple[Any, ...]) -> None:
        if event == "os.rename":
            renamed.append(str(Path(os.fsdecode(args[1])).relative_to(out)))

    sys.addaudithook(watch)
    pipeline.run(raw, out, PARAMS)
    tell.send(renamed)


def run_and_die(raw: Path, out: Path, target: str, in_the_middle: bool) -> None:
    """In a child: a run that kills itself while ``target`` is a draft, at the latest before its rename."""
    place, start = (out / target).parent, f".{Path(target).name}."

    def die() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def before_rename(event: str, args: tuple[Any, ...]) -> None:
        if event == "os.rename" and os.fsdecode(args[1]) == str(out / target):
            die()

    def half_written() -> None:
        while True:
            if place.is_dir() and any(
                one.name.startswith(start) and one.stat().st_size for one in os.scandir(place)
            ):
                die()

    sys.addaudithook(before_rename)
    if in_the_middle:
        sys.setswitchinterval(0.0005)
        threading.Thread(target=half_written, daemon=True).start()
    pipeline.run(raw, out, PARAMS)


def run_with_little_room(raw: Path, out: Path, largest: int, tell: Connection) -> None:
    """In a child: a run in which no file may grow beyond ``largest`` bytes; sends what the error says."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))
    try:
        pipeline.run(raw, out, PARAMS)
    except KakouError as error:
        tell.send((type(error).__name__, str(error)))
    else:
        tell.send(None)


def in_a_child(target: Any, *arguments: Any) -> tuple[int, Any]:
    """Exit code of a child that runs ``target``, and what it sent."""
    here, there = FORKED.Pipe(duplex=False)
    tells = () if target is run_and_die else (there,)
    child = FORKED.Process(target=target, args=(*arguments, *tells))
    child.start()
    there.close()
    child.join(SECONDS)
    assert child.exitcode is not None, "the run hangs"
    return child.exitcode, here.recv() if tells and here.poll() else None


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    FORKED.set_forkserver_preload(["etl.pipeline", "fastexcel", __name__])
    folder = tmp_path_factory.mktemp("raw")
    generate_raw(folder, days=4, scale=0.02, seed=3)
    share_a_day(folder)
    return folder


@pytest.fixture(scope="module")
def whole(raw: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, str], list[str]]:
    """What an undisturbed run makes, and the order in which the names appear."""
    out = tmp_path_factory.mktemp("whole")
    code, renamed = in_a_child(run_batch, raw, out)
    assert code == 0
    return visible(out), renamed


def test_killed_before_every_rename_and_resumed(
    raw: Path, whole: tuple[dict[str, str], list[str]], tmp_path: Path
):
    reference, renamed = whole
    # Parts are made side by side, so only the death before the first of them is sure to come.
    part = next(name for name in renamed if name.startswith("parts/"))
    steps = [name for name in renamed if name.startswith("days/") or not name.endswith((".json", ".csv"))]
    steps = [name for name in steps if not name.startswith(("parts/", "rejected/"))]
    steps += ["steps/plan.json", "merged_data.csv", "kkmc_dimension.csv", "report.json"]
    assert {name for name in reference if name.endswith((".csv", ".parquet"))} <= set(renamed)
    # One folder goes through all the deaths, so each run resumes what the one before left.
    for target in [part, *steps]:
        code, _ = in_a_child(run_and_die, raw, tmp_path, target, False)
        assert code == -signal.SIGKILL, f"nothing was renamed to {target}"
        assert strange(tmp_path, reference) == [], f"half a file after the death before {target}"
        assert drafts(tmp_path), f"{target} was not written as a draft"
    code, _ = in_a_child(run_batch, raw, tmp_path)
    assert (code, unlike(tmp_path, reference)) == (0, [])


@pytest.mark.parametrize("target", ["merged_data.csv", "master_data_expanded.parquet"])
def test_killed_in_the_middle_of_a_write_and_resumed(
    raw: Path, whole: tuple[dict[str, str], list[str]], tmp_path: Path, target: str
):
    code, _ = in_a_child(run_and_die, raw, tmp_path, target, True)
    assert code == -signal.SIGKILL
    assert drafts(tmp_path)
    assert target not in visible(tmp_path)
    assert strange(tmp_path, whole[0]) == []
    code, _ = in_a_child(run_batch, raw, tmp_path)
    assert (code, unlike(tmp_path, whole[0])) == (0, [])


def test_killed_at_any_time_and_resumed(raw: Path, whole: tuple[dict[str, str], list[str]], tmp_path: Path):
    begin = time.monotonic()
    assert in_a_child(run_batch, raw, tmp_path / "timed")[0] == 0
    seconds, deaths = time.monotonic() - begin, 0
    for share in (0.4, 0.6, 0.8):
        here, there = FORKED.Pipe(duplex=False)
        child = FORKED.Process(target=run_batch, args=(raw, tmp_path / "out", there))
        child.start()
        child.join(seconds * share)
        child.kill()
        child.join()
        here.close()
        deaths += child.exitcode == -signal.SIGKILL
        assert strange(tmp_path / "out", whole[0]) == []
    assert deaths
    assert in_a_child(run_batch, raw, tmp_path / "out")[0] == 0
    assert unlike(tmp_path / "out", whole[0]) == []


def test_a_disk_that_fills_up_in_any_step_is_one_sentence_and_the_run_resumes(
    raw: Path, whole: tuple[dict[str, str], list[str]], tmp_path: Path
):
    probe = tmp_path / "probe"
    assert in_a_child(run_batch, raw, probe)[0] == 0
    sizes = {name: (probe / name).stat().st_size for name in whole[0]}
    # Too little for a part, for the merged rows, and for the largest file of all.
    for largest in (1000, max(n for name, n in sizes.items() if name.startswith("parts/")) + 1,
                    max(sizes.values()) - 1):  # fmt: skip
        out = tmp_path / str(largest)
        code, said = in_a_child(run_with_little_room, raw, out, largest)
        assert code == 0 and said is not None
        assert said[0] == "DiskFullError", said
        assert "Free some" in said[1] and "\n" not in said[1]
        assert drafts(out) == []
        assert strange(out, whole[0]) == []
        assert in_a_child(run_batch, raw, out)[0] == 0
        assert unlike(out, whole[0]) == []
