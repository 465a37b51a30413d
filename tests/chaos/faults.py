"""What is done to the stores of a stack: each fault ends when its block ends, and the store answers again."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

from kafka import KafkaConsumer, TopicPartition
from kafka.admin import KafkaAdminClient, NewPartitions
from rich.console import Console

from kakou.connections import connect, kafka_options, redis_client
from kakou.settings import Settings
from kakou.stack import lifecycle
from kakou.stack.catalogue import services
from kakou.stack.supervision import STOPPED, Supervisor

UP_S, LOOK_S = 120, 0.2


def pid_of(settings: Settings, service: str) -> int:
    """Process id of a service; 0 while it does not run."""
    state = Supervisor(settings).states().get(service)
    return state.pid if state else 0


def answers(settings: Settings, service: str) -> bool:
    """Whether a service does what it is there for."""
    try:
        services(settings)[service].answers(settings)
    except Exception:  # whatever it is, it does not answer
        return False
    return True


def wait_for(settings: Settings, service: str) -> None:
    """Waits until a service answers."""
    give_up = time.monotonic() + UP_S
    while not answers(settings, service):
        assert time.monotonic() < give_up, f"{service} does not answer"
        time.sleep(LOOK_S)


def kill(settings: Settings, service: str) -> None:
    """kill -9; the supervisor starts it again, and we wait until it answers."""
    pid = pid_of(settings, service)
    os.kill(pid, signal.SIGKILL)
    give_up = time.monotonic() + UP_S
    while pid_of(settings, service) in (0, pid):
        assert time.monotonic() < give_up, f"{service} was not started again"
        time.sleep(LOOK_S)
    wait_for(settings, service)


def stop(settings: Settings, service: str) -> None:
    """Stops a service in order and waits for its end."""
    supervisor = Supervisor(settings)
    supervisor.stop(service)
    give_up = time.monotonic() + UP_S
    while supervisor.states()[service].state not in STOPPED:
        assert time.monotonic() < give_up, f"{service} does not stop"
        time.sleep(LOOK_S)


@contextmanager
def down(settings: Settings, service: str) -> Iterator[None]:
    """The service is away while the block runs."""
    stop(settings, service)
    try:
        yield
    finally:
        start(settings, service)


def start(settings: Settings, *names: str) -> None:
    """What an operator does with ``kakou up``."""
    lifecycle.up(settings, set(names), console=Console(quiet=True))


@contextmanager
def frozen(settings: Settings, service: str) -> Iterator[None]:
    """The process is there, holds its connections, and does nothing."""
    pid = pid_of(settings, service)
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)
        wait_for(settings, service)


@contextmanager
def read_only(settings: Settings, node: str) -> Iterator[None]:
    """A node that answers and takes nothing."""
    _set(settings, node, "read_only", "ON")
    try:
        yield
    finally:
        _set(settings, node, "read_only", "OFF")


def _set(settings: Settings, node: str, name: str, value: str) -> None:
    connection = connect(settings, node, "root", autocommit=True)
    with connection, connection.cursor() as cursor:
        cursor.execute(f"SET GLOBAL {name} = {value}")


@contextmanager
def full_redis(settings: Settings) -> Iterator[None]:
    """Redis answers, and takes nothing that costs memory."""
    client = redis_client(settings)
    before = client.config_get("maxmemory")["maxmemory"]
    client.config_set("maxmemory", "1")
    try:
        yield
    finally:
        client.config_set("maxmemory", before)


@contextmanager
def empty_redis(settings: Settings) -> Iterator[None]:
    """Redis is away, and has forgotten everything when it comes back."""
    with down(settings, "redis"):
        folder = settings.data_dir / "redis"
        for path in folder.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        yield


def grow_topic(settings: Settings, partitions: int) -> None:
    """Gives the topic of passes more partitions."""
    admin = KafkaAdminClient(**kafka_options(settings))
    admin.create_partitions({settings.topic: NewPartitions(total_count=partitions)})
    admin.close()


def cut_topic(settings: Settings, keep: int) -> int:
    """Kafka drops all but the last ``keep`` records of each partition; returns how many that were."""
    consumer, admin = KafkaConsumer(**kafka_options(settings)), KafkaAdminClient(**kafka_options(settings))
    try:
        numbers = sorted(consumer.partitions_for_topic(settings.topic))
        partitions = [TopicPartition(settings.topic, number) for number in numbers]
        start, end = consumer.beginning_offsets(partitions), consumer.end_offsets(partitions)
        until = {one: max(start[one], end[one] - keep) for one in partitions}
        admin.delete_records(until)
        return sum(until[one] - start[one] for one in partitions)
    finally:
        consumer.close()
        admin.close()
