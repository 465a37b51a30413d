"""A stack with ``KAKOU_TLS=on``: our clients get in, nobody in the open, and no client takes another server.

The databases first run without TLS, as those of a stack do on which it is switched on later.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pymysql
import pytest
import redis
from api_client import api_client
from cryptography import x509
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError
from pass_rows import ask, insert_rows, pass_row
from redis.backoff import NoBackoff
from redis.retry import Retry
from rich.console import Console
from sqlalchemy import create_engine, text

from kakou import redis_keys
from kakou.connections import NODE_DATABASE, connect, database_url, kafka_options, node_names, redis_client
from kakou.secret_files import secret
from kakou.settings import Settings, load_settings
from kakou.stack import lifecycle
from kakou.stack.catalogue import STORES
from kakou.stack.certificates import SERVER_LIFE, Pair, ensure_certificates, server_file, sign_server
from kakou.stack.environment import child_environment
from kakou.stack.ports import free_offset
from kakou.stack.renewal import renew_certificates
from kakou.topology import load_topology
from kakou.whole_files import write_private
from sql.gates import ensure_gates

pytestmark = pytest.mark.integration
QUIET = Console(quiet=True)
DATABASES = ("dn1", "dn2", "endpoint")
# The same address for the system, but no certificate names it.
OTHER_NAME = "127.1"
SPARK_READS = """
import json, sys
from kakou.connections import spark_kafka_options
from kakou.settings import load_settings
from spark_jobs.session import build_session

settings = load_settings()
spark = build_session(settings, "tls")
reader = spark.read.format("kafka").options(**spark_kafka_options(settings))
rows = reader.option("subscribe", settings.topic).load().select("key", "value").collect()
print(json.dumps(sorted([row.key.decode(), row.value.decode()] for row in rows)))
"""


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A running stack with TLS, in a folder whose name would trip a careless quoting."""
    var = tmp_path_factory.mktemp("tls") / "卡口 50%"
    offset = free_offset("127.0.0.1", 10_030 + os.getpid() % 100 * 100, 100, 23_000)
    off = load_settings(_env_file=None, var=var, parts=load_settings().parts, port_offset=offset, tls="off")
    on = off.model_copy(update={"tls": "on"})
    try:
        lifecycle.up(off, set(DATABASES), console=QUIET)
        insert_rows(connect(off, _node_of(off, "TLS_OLD"), "kakou_writer"), [pass_row("tls-old", "TLS_OLD")])
        lifecycle.down(off)
        lifecycle.up(on, set(STORES), console=QUIET)
        yield on
    finally:
        lifecycle.down(on)
        shutil.rmtree(var, ignore_errors=True)


@pytest.fixture(scope="module")
def stranger(tls: Settings, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Whoever knows every password, but trusts another authority."""
    other = tls.model_copy(update={"var": tmp_path_factory.mktemp("stranger")})
    shutil.copytree(tls.secrets_dir, other.secrets_dir, ignore=shutil.ignore_patterns("tls"))
    ensure_certificates(other)
    return other


@pytest.fixture(scope="module")
def nobody(tls: Settings, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Whoever trusts our authority, but knows no password."""
    other = tls.model_copy(update={"var": tmp_path_factory.mktemp("nobody")})
    shutil.copytree(tls.tls_dir, other.tls_dir)
    return other


def _node_of(settings: Settings, gate: str) -> str:
    return load_topology(settings.topology_dir).ring.locate(gate)


def _in_the_open(settings: Settings) -> Settings:
    return settings.model_copy(update={"tls": "off"})


def _ask_database(settings: Settings, name: str, **options: Any) -> None:
    connect(settings, name, "root", database="", **options).close()


def _ask_redis(settings: Settings) -> None:
    client = redis_client(settings)
    client.set_retry(Retry(NoBackoff(), 0))
    client.ping()


def _ask_kafka(settings: Settings) -> None:
    KafkaAdminClient(**kafka_options(settings), request_timeout_ms=3000, bootstrap_timeout_ms=1500).close()


def _greet(settings: Settings, port: str) -> ssl.SSLSocket:
    """A TLS connection to a port that speaks TLS from its first byte."""
    context = ssl.create_default_context(cafile=settings.tls_authority_file)
    plain = socket.create_connection((settings.host, settings.port(port)), timeout=5)
    return context.wrap_socket(plain, server_hostname=settings.host)


def _ask_controller_in_the_open(settings: Settings) -> None:
    """Asks for Kafka's versions, which it tells anybody who comes over the right transport."""
    number = b"\x00\x00\x30\x39"
    with socket.create_connection((settings.host, settings.port("kafka_controller")), timeout=5) as open_one:
        open_one.sendall(b"\x00\x00\x00\x0a\x00\x12\x00\x00" + number + b"\xff\xff")
        if open_one.recv(8)[4:] != number:
            raise ConnectionError("no answer of Kafka's")


@dataclass(frozen=True)
class Door:
    """One port: a client of ours, one that ignores TLS, and what either gets where it is refused."""

    port: str
    enter: Callable[[Settings], object]
    enter_in_the_open: Callable[[Settings], object]
    refused: type[Exception]


DOORS = [
    *(
        Door(
            name,
            lambda settings, name=name: _ask_database(settings, name),
            lambda settings, name=name: _ask_database(_in_the_open(settings), name, ssl_disabled=True),
            pymysql.OperationalError,
        )
        for name in DATABASES
    ),
    Door("kafka", _ask_kafka, lambda settings: _ask_kafka(_in_the_open(settings)), KafkaError),
    # No client of ours talks to the controller, but the broker does.
    Door(
        "kafka_controller",
        lambda settings: _greet(settings, "kafka_controller").close(),
        _ask_controller_in_the_open,
        OSError,
    ),
    Door(
        "redis",
        _ask_redis,
        lambda settings: _ask_redis(_in_the_open(settings)),
        redis.ConnectionError,
    ),
]
each_door = pytest.mark.parametrize("door", DOORS, ids=lambda door: door.port)


@each_door
def test_our_clients_come_in(tls: Settings, door: Door) -> None:
    door.enter(tls)


@each_door
def test_a_client_in_the_open_is_refused(tls: Settings, door: Door) -> None:
    with pytest.raises(door.refused):
        door.enter_in_the_open(tls)


@each_door
def test_a_client_refuses_servers_of_another_authority(stranger: Settings, door: Door) -> None:
    with pytest.raises(door.refused):
        door.enter(stranger)


@each_door
def test_a_client_refuses_a_server_of_another_name(tls: Settings, door: Door) -> None:
    with pytest.raises(door.refused):
        door.enter(tls.model_copy(update={"host": OTHER_NAME}))


@pytest.mark.parametrize("door", [one for one in DOORS if one.port != "kafka_controller"])
def test_passwords_are_still_needed(nobody: Settings, door: Door) -> None:
    with pytest.raises(door.refused):
        door.enter(nobody)


@pytest.mark.parametrize("port", ["kafka", "kafka_controller", "redis"])
def test_old_tls_is_refused(tls: Settings, port: str) -> None:
    context = ssl.create_default_context(cafile=tls.tls_authority_file)
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    with (
        socket.create_connection((tls.host, tls.port(port)), timeout=5) as plain,
        pytest.raises(ssl.SSLError, match="PROTOCOL_VERSION"),
    ):
        context.wrap_socket(plain, server_hostname=tls.host)


@pytest.mark.parametrize("server", DATABASES)
def test_sqlalchemy_speaks_tls(tls: Settings, server: str) -> None:
    engine = create_engine(database_url(tls, server, "kakou_reader"))
    with engine.connect() as connection:
        version = connection.execute(text("SHOW SESSION STATUS LIKE 'Ssl_version'")).one()[1]
    engine.dispose()
    assert version in ("TLSv1.2", "TLSv1.3")


def test_passes_of_before_are_seen_through_the_endpoint(tls: Settings) -> None:
    with connect(tls, "endpoint", "kakou_reader") as endpoint:
        assert ask(endpoint, "SELECT kkmc FROM traffic_data WHERE id = 'tls-old'") == [("TLS_OLD",)]


def test_passes_written_through_the_endpoint_land_on_their_node(tls: Settings) -> None:
    gates = [f"TLS_{n}" for n in range(8)]
    ensure_gates(tls, gates)
    with connect(tls, "endpoint", "kakou_writer") as endpoint:
        insert_rows(endpoint, [pass_row(f"tls-{gate}", gate) for gate in gates])
    for node in node_names(tls):
        with connect(tls, node, "kakou_reader") as connection:
            found = ask(connection, "SELECT kkmc FROM traffic_data WHERE id LIKE 'tls-TLS%%' ORDER BY kkmc")
        mine = [(gate,) for gate in gates if _node_of(tls, gate) == node]
        assert mine and found == mine


@pytest.mark.parametrize("link", ["ours", "another_authority", "another_name", "in_the_open"])
def test_the_endpoint_checks_its_nodes(tls: Settings, stranger: Settings, link: str) -> None:
    host = OTHER_NAME if link == "another_name" else tls.host
    trusted = (stranger if link == "another_authority" else tls).tls_authority_file
    words = {
        "wrapper": "mysql", "host": host, "port": tls.port("dn1"), "database": NODE_DATABASE,
        "table": "flow_forecast", "user": "kakou_writer",
        "password": secret(tls, "db_writer").get_secret_value(),
    }  # fmt: skip
    if link != "in_the_open":
        words |= {"ssl_ca": str(trusted).replace(" ", "\\ "), "ssl_verify_server_cert": 1}
    comment = ", ".join(f'{name} "{value}"' for name, value in words.items())
    with connect(tls, "endpoint", "root", autocommit=True) as endpoint, endpoint.cursor() as cursor:
        cursor.execute(
            f"CREATE TABLE link_{link} (kkmc VARCHAR(50) PRIMARY KEY) ENGINE=SPIDER "
            f"COMMENT={endpoint.escape(comment)}"
        )
        if link == "ours":
            cursor.execute("SELECT COUNT(*) FROM link_ours")
        else:
            with pytest.raises(pymysql.MySQLError):
                cursor.execute(f"SELECT COUNT(*) FROM link_{link}")
    with connect(tls, "endpoint", "root", autocommit=True) as endpoint, endpoint.cursor() as cursor:
        cursor.execute(f"DROP TABLE link_{link}")


def test_the_api_reaches_its_stores(tls: Settings) -> None:
    with api_client(tls) as client:
        answer = client.get("/ready")
    assert answer.status_code == 200, answer.text


def test_a_warning_is_pushed_and_read(tls: Settings) -> None:
    client = redis_client(tls)
    client.lpush(redis_keys.WARNINGS, "{}")
    assert client.lrange(redis_keys.WARNINGS, 0, 0) == ["{}"]
    client.delete(redis_keys.WARNINGS)


@pytest.fixture(scope="module")
def records(tls: Settings) -> list[list[str]]:
    """What lies in the topic of passes, sorted."""
    sent = [[f"苏C{n:05d}", f"record {n}"] for n in range(20)]
    producer = KafkaProducer(**kafka_options(tls), acks="all")
    for key, value in sent:
        producer.send(tls.topic, key=key.encode(), value=value.encode())
    producer.flush()
    producer.close()
    return sent


def test_records_are_sent_and_read(tls: Settings, records: list[list[str]]) -> None:
    consumer = KafkaConsumer(**kafka_options(tls), consumer_timeout_ms=5000)
    consumer.assign([TopicPartition(tls.topic, number) for number in range(tls.partitions)])
    consumer.seek_to_beginning()
    found = [[one.key.decode(), one.value.decode()] for _, one in zip(records, consumer, strict=False)]
    consumer.close()
    assert sorted(found) == records


@pytest.mark.spark
def test_spark_reads_the_topic_where_no_store_runs(
    tls: Settings, records: list[list[str]], tmp_path: Path
) -> None:
    elsewhere = tls.model_copy(update={"var": tmp_path})
    shutil.copytree(tls.secrets_dir, elsewhere.secrets_dir, ignore=shutil.ignore_patterns("tls"))
    elsewhere.tls_dir.mkdir()
    shutil.copy(tls.tls_authority_file, elsewhere.tls_dir)
    ended = subprocess.run(
        [sys.executable, "-c", SPARK_READS],
        env=child_environment(elsewhere),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout) == records


def test_keys_are_their_owners_alone(tls: Settings) -> None:
    keys = [path for path in tls.var.rglob("*.pem") if b"PRIVATE KEY" in path.read_bytes()]
    assert len(keys) == 2
    assert all(path.stat().st_mode & 0o077 == 0 for path in (*keys, tls.tls_dir))


def test_running_stores_show_a_renewed_certificate(tls: Settings) -> None:
    authority = Pair.read(tls.tls_dir / "authority.pem")
    nearly_over = sign_server(authority, tls.host, datetime.now(UTC) - SERVER_LIFE * 0.9)
    write_private(server_file(tls), nearly_over.pem())
    renew_certificates(tls)
    renewed = x509.load_pem_x509_certificate(server_file(tls).read_bytes())
    assert renewed.not_valid_after_utc > nearly_over.certificate.not_valid_after_utc
    shown = {port: _greet(tls, port).getpeercert(True) for port in ("kafka", "kafka_controller", "redis")}
    for name in DATABASES:
        with connect(tls, name, "root", database="") as connection:
            shown[name] = connection._sock.getpeercert(True)
    assert {port: x509.load_der_x509_certificate(der) for port, der in shown.items()} == dict.fromkeys(
        shown, renewed
    )
