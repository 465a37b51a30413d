"""Starting and stopping: all or nothing, idempotent, nothing left. Each test has its own small stack."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from rich.console import Console

from kakou.connections import connect
from kakou.errors import ServiceError
from kakou.settings import Settings, load_settings
from kakou.stack import leftovers, lifecycle
from kakou.stack.environment import child_environment
from kakou.stack.ports import free_offset
from kakou.stack.supervision import Supervisor

pytestmark = pytest.mark.integration
QUIET = Console(quiet=True)


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Settings]:
    """Settings for a stack of one test, in a folder whose name would trip a careless quoting."""
    var = tmp_path / "卡口 50%"
    offset = free_offset("127.0.0.1", 10_050 + os.getpid() % 100 * 100, 100, 23_000)
    built = load_settings(_env_file=None, var=var, parts=load_settings().parts, port_offset=offset)
    try:
        yield built
    finally:
        lifecycle.down(built)
        shutil.rmtree(var, ignore_errors=True)


def _kakou(settings: Settings, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "kakou.cli", *arguments],
        env=_environment(settings),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def _environment(settings: Settings) -> dict[str, str]:
    """As in an operator's terminal: without the marker of the stack's own children."""
    env = child_environment(settings)
    del env["KAKOU_STACK"]
    return env


def _running(settings: Settings) -> list[psutil.Process]:
    """Every process that names this stack's folder, on its command line or in its environment."""
    named = []
    for process in psutil.process_iter():
        try:
            if any(str(settings.var) in word for word in process.cmdline()):
                named.append(process)
        except psutil.Error:
            continue
    return leftovers.alive({*named, *leftovers.marked(settings)})


def _wait(ready: Callable[[], object], seconds: float = 30) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if ready():
            return True
        time.sleep(0.1)
    return False


def test_down_leaves_no_process_and_may_be_repeated(own: Settings) -> None:
    lifecycle.up(own, {"redis", "dn1"}, console=QUIET)
    assert len(_running(own)) >= 3
    lifecycle.down(own)
    assert _running(own) == []
    lifecycle.down(own)


def test_down_ends_what_a_killed_supervisor_left(own: Settings) -> None:
    lifecycle.up(own, {"redis", "dn1"}, console=QUIET)
    psutil.Process(Supervisor(own).pid()).kill()
    assert _wait(lambda: Supervisor(own).pid() is None)
    assert _running(own)
    lifecycle.down(own)
    assert _running(own) == []


def test_up_recovers_from_a_killed_supervisor(own: Settings) -> None:
    lifecycle.up(own, {"redis"}, console=QUIET)
    psutil.Process(Supervisor(own).pid()).kill()
    assert _wait(lambda: Supervisor(own).pid() is None)
    lifecycle.up(own, {"redis"}, console=QUIET)
    assert Supervisor(own).states()["redis"].state in ("STARTING", "RUNNING")


def test_data_survives_down_and_up(own: Settings) -> None:
    lifecycle.up(own, {"dn1"}, console=QUIET)
    with connect(own, "dn1", "root", database="") as connection, connection.cursor() as cursor:
        cursor.execute("CREATE DATABASE kept")
        cursor.execute("SELECT @@time_zone, @@character_set_server")
        assert cursor.fetchone() == ("+08:00", "utf8mb4")
    lifecycle.down(own)
    lifecycle.up(own, {"dn1"}, console=QUIET)
    with connect(own, "dn1", "root", database="kept"):
        pass


def test_a_killed_initialisation_is_done_anew(own: Settings) -> None:
    half = own.data_dir / ".dn1.draft" / "mysql"
    half.mkdir(parents=True)
    (half / "global_priv.frm").write_bytes(b"half")
    lifecycle.up(own, {"dn1"}, console=QUIET)
    assert not half.parent.exists()


def test_a_taken_port_is_one_sentence_and_starts_nothing(own: Settings) -> None:
    port = own.port("redis")
    with socket.socket() as other:
        other.bind((own.host, port))
        other.listen()
        ended = _kakou(own, "up", "redis", "dn1")
    assert ended.returncode == 1
    assert f"Port {port}, which redis needs, is taken" in ended.stderr
    assert "KAKOU_PORT_OFFSET" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert _running(own) == []


@pytest.mark.parametrize(
    ("number", "moment", "services"),
    [
        (signal.SIGINT, "initialising", {"dn1", "dn2", "redis", "kafka"}),
        (signal.SIGINT, "starting", {"dn1", "dn2", "redis"}),
        (signal.SIGTERM, "initialising", {"dn1", "dn2", "redis"}),
        (signal.SIGHUP, "starting", {"dn1", "dn2", "redis"}),
    ],
)
def test_an_interrupt_leaves_nothing_running_and_nothing_broken(
    own: Settings, number: signal.Signals, moment: str, services: set[str]
) -> None:
    first_sign = own.data_dir / (".dn1.draft" if moment == "initialising" else "dn1")
    process = subprocess.Popen(
        [sys.executable, "-m", "kakou.cli", "up", *services],
        env=_environment(own),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        # A test run that a shell started in the background ignores Ctrl-C, and its children would too.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert _wait(first_sign.exists)
    # As a terminal does: the whole group in the foreground gets it.
    os.killpg(process.pid, number)
    output = process.communicate(timeout=90)[0]
    assert process.returncode == 130
    assert "Traceback" not in output
    assert _running(own) == []
    lifecycle.up(own, services, console=QUIET)


def test_a_service_that_cannot_start_is_named_with_its_log(own: Settings) -> None:
    lifecycle.up(own, {"redis"}, console=QUIET)
    lifecycle.down(own)
    (own.data_dir / "redis" / "appendonlydir" / "appendonly.aof.manifest").write_text("no manifest\n")
    with pytest.raises(ServiceError) as caught:
        lifecycle.up(own, {"redis"}, console=QUIET)
    text = str(caught.value)
    assert "redis did not start" in text and str(own.log_dir / "redis.log") in text
    assert "manifest" in text
    assert "\n" not in text


def test_status_and_logs_as_a_program_reads_them(own: Settings) -> None:
    lifecycle.up(own, {"redis"}, console=QUIET)
    ended = _kakou(own, "status", "--json")
    rows = {row["service"]: row for row in json.loads(ended.stdout)}
    assert rows["redis"]["health"] == "healthy"
    assert rows["redis"]["ports"] == [own.port("redis")]
    assert psutil.pid_exists(rows["redis"]["pid"])
    assert rows["kafka"]["health"] == "stopped"
    assert ended.returncode == 1  # not everything is up
    assert "Ready to accept connections" in _kakou(own, "logs", "redis").stdout
    assert len(_kakou(own, "logs", "redis", "-n", "1").stdout.splitlines()) == 1
    unknown = _kakou(own, "logs", "zookeeper")
    assert unknown.returncode == 1 and "There is no service 'zookeeper'" in unknown.stderr


def test_the_doctor_knows_our_own_ports(own: Settings) -> None:
    lifecycle.up(own, {"redis"}, console=QUIET)
    found = {one["what"]: one for one in json.loads(_kakou(own, "doctor", "--json").stdout)}
    assert found[f"port {own.port('redis')} redis"]["found"] == "ours, running"
    assert found["servers"]["ok"]
