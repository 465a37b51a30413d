"""The two locks between real processes: one refuses, one waits, and a killed holder frees both."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from kakou.errors import BadInputError
from kakou.process_lock import one_after_another, only_one

HOLD = """
import sys, time
from pathlib import Path
from kakou.process_lock import one_after_another
with one_after_another(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    return tmp_path / "not" / "made" / "lock"


def holder(lock: Path) -> subprocess.Popen[str]:
    child = subprocess.Popen([sys.executable, "-c", HOLD, str(lock)], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None and child.stdout.readline() == "held\n"
    return child


def kill(child: subprocess.Popen[str]) -> None:
    child.send_signal(signal.SIGKILL)
    child.communicate()


def test_the_refusing_form_names_the_command_and_a_killed_holder_frees_it(lock: Path):
    child = holder(lock)
    try:
        with pytest.raises(BadInputError, match=f"`kakou ship` is running on {lock.parent}"):
            only_one(lock, "kakou ship").__enter__()
    finally:
        kill(child)
    with only_one(lock, "kakou ship"):
        pass


def test_the_waiting_form_tells_once_and_goes_on_when_the_holder_is_killed(lock: Path):
    child, told, entered = holder(lock), threading.Event(), threading.Event()

    def wait() -> None:
        with one_after_another(lock, told.set):
            entered.set()

    waiting = threading.Thread(target=wait)
    waiting.start()
    try:
        assert told.wait(5)
        assert not entered.wait(0.2)
    finally:
        kill(child)
    assert entered.wait(5)
    waiting.join()


def test_nobody_is_told_to_wait_where_nobody_holds_it(lock: Path):
    for _ in range(2):
        with one_after_another(lock, lambda: pytest.fail("told to wait")):
            pass


def test_both_forms_are_one_lock(lock: Path):
    with (
        one_after_another(lock),
        pytest.raises(BadInputError),
        only_one(lock, "kakou etl run"),
    ):
        pass


def test_shared_holders_go_on_side_by_side_and_one_who_must_be_alone_waits(lock: Path):
    told, entered = threading.Event(), threading.Event()

    def alone() -> None:
        with one_after_another(lock, told.set):
            entered.set()

    with one_after_another(lock, shared=True):
        with one_after_another(lock, lambda: pytest.fail("told to wait"), shared=True):
            waiting = threading.Thread(target=alone)
            waiting.start()
            assert told.wait(5)
        assert not entered.wait(0.2)
    assert entered.wait(5)
    waiting.join()
