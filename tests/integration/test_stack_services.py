"""The stores: started again when they die, closed without a password, heard on loopback only."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable

import psutil
import pymysql
import pytest
import redis
from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError
from rich.console import Console

from kakou.connections import kafka_options, redis_client
from kakou.settings import Settings
from kakou.stack import lifecycle
from kakou.stack.catalogue import STORES
from kakou.stack.status import service_rows
from kakou.stack.supervision import Supervisor

pytestmark = pytest.mark.integration


def _wait(ready: Callable[[], bool], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if ready():
            return True
        time.sleep(0.2)
    return False


def _family(settings: Settings) -> list[psutil.Process]:
    head = psutil.Process(Supervisor(settings).pid())
    return [head, *head.children(recursive=True)]


def test_every_store_is_healthy(stack: Settings) -> None:
    rows = {row.service: row for row in service_rows(stack)}
    assert {name: rows[name].health for name in STORES} == dict.fromkeys(STORES, "healthy")
    assert rows["mlflow"].health == "stopped"


def test_up_again_leaves_what_runs_alone(stack: Settings) -> None:
    before = {name: one.pid for name, one in Supervisor(stack).states().items()}
    lifecycle.up(stack, set(STORES), console=Console(quiet=True))
    assert {name: one.pid for name, one in Supervisor(stack).states().items()} == before


def test_a_killed_service_comes_back_with_its_data(stack: Settings) -> None:
    redis_client(stack).set("kakou:test:survives", "1")
    time.sleep(1.1)  # the append-only file is flushed once a second
    old = Supervisor(stack).states()["redis"].pid
    os.kill(old, signal.SIGKILL)

    def back() -> bool:
        state = Supervisor(stack).states()["redis"]
        return state.state == "RUNNING" and state.pid not in (0, old)

    assert _wait(back, 20)
    assert redis_client(stack).get("kakou:test:survives") == "1"
    redis_client(stack).delete("kakou:test:survives")


def test_nothing_listens_beyond_loopback(stack: Settings) -> None:
    listening = [
        connection.laddr
        for process in _family(stack)
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    ]
    ports = {stack.port(name) for name in (*STORES, "kafka_controller")}
    assert ports <= {address.port for address in listening}
    assert {address.ip.removeprefix("::ffff:") for address in listening} == {"127.0.0.1"}


def test_redis_refuses_without_a_password(stack: Settings) -> None:
    with pytest.raises(redis.AuthenticationError):
        redis.Redis(host=stack.host, port=stack.port("redis")).ping()


@pytest.mark.parametrize("server", ["dn1", "dn2", "endpoint"])
@pytest.mark.parametrize("user", ["root", "kakou_writer", "kakou_reader", ""])
def test_databases_refuse_without_a_password(stack: Settings, server: str, user: str) -> None:
    with pytest.raises(pymysql.OperationalError, match="Access denied"):
        pymysql.connect(host=stack.host, port=stack.port(server), user=user, password="")


@pytest.mark.parametrize("port", ["kafka", "kafka_controller"])
def test_kafka_refuses_without_a_password(stack: Settings, port: str) -> None:
    options = {**kafka_options(stack), "bootstrap_servers": f"{stack.host}:{stack.port(port)}"}
    options["sasl_plain_password"] = "wrong"
    with pytest.raises(KafkaError):
        KafkaAdminClient(**options, request_timeout_ms=4000, bootstrap_timeout_ms=4000).list_topics()
    with pytest.raises(KafkaError):
        KafkaAdminClient(
            bootstrap_servers=options["bootstrap_servers"], request_timeout_ms=4000, bootstrap_timeout_ms=4000
        ).list_topics()


def test_files_with_passwords_are_for_their_owner_alone(stack: Settings) -> None:
    secrets = list(stack.secrets_dir.iterdir())
    assert secrets
    words = [path.read_bytes() for path in secrets]
    for path in (one for one in stack.var.rglob("*") if one.is_file() and stack.data_dir not in one.parents):
        if path in secrets or any(word in path.read_bytes() for word in words):
            assert path.stat().st_mode & 0o077 == 0, path
    assert stack.secrets_dir.stat().st_mode & 0o077 == 0


def test_no_command_line_shows_a_password(stack: Settings) -> None:
    words = [path.read_text() for path in stack.secrets_dir.iterdir()]
    for process in _family(stack):
        line = " ".join(process.cmdline())
        assert not any(word in line for word in words), process.name()


def test_topics_are_as_the_contract_says(stack: Settings) -> None:
    client = KafkaAdminClient(**kafka_options(stack))
    try:
        told = {one["name"]: len(one["partitions"]) for one in client.describe_topics([stack.topic])}
    finally:
        client.close()
    assert told == {"traffic-raw": 4}
