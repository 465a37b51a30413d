"""How to reach each store: one place for addresses, accounts and passwords.

Accounts on the nodes and at the endpoint: ``root`` (migrations), ``kakou_writer`` (stream), ``kakou_reader``
(API and downstream apps; can only read). Passwords are the generated secrets ``db_root``, ``db_writer`` and
``db_reader``.
"""

from __future__ import annotations

from typing import Any, Literal

import pymysql
import redis
from sqlalchemy import URL

from kakou.secret_files import secret
from kakou.settings import Settings
from kakou.topology import load_topology

Account = Literal["root", "kakou_writer", "kakou_reader"]
_SECRET_OF: dict[Account, str] = {
    "root": "db_root",
    "kakou_writer": "db_writer",
    "kakou_reader": "db_reader",
}
KAFKA_USER = "kakou"
NODE_DATABASE = "traffic_db"
ENDPOINT_SCHEMA = "MYETCDB"


def database_of(server: str) -> str:
    """Default database of ``dn1``, ``dn2`` … or ``endpoint``."""
    return ENDPOINT_SCHEMA if server == "endpoint" else NODE_DATABASE


def connect(
    settings: Settings,
    server: str,
    account: Account,
    *,
    database: str | None = None,
    autocommit: bool = False,
    **options: Any,
) -> pymysql.Connection[Any]:
    """Opens a connection to ``dn1``, ``dn2`` or ``endpoint``; the caller commits unless ``autocommit``.

    Raises:
        pymysql.OperationalError: the server is away or refuses.
    """
    return pymysql.connect(
        host=settings.host,
        port=settings.port(server),
        user=account,
        password=secret(settings, _SECRET_OF[account]).get_secret_value(),
        database=database_of(server) if database is None else database or None,
        charset="utf8mb4",
        autocommit=autocommit,
        connect_timeout=options.pop("connect_timeout", 5),
        **options,
    )


def database_url(settings: Settings, server: str, account: Account) -> URL:
    """SQLAlchemy URL of a server's default database."""
    return URL.create(
        "mysql+pymysql",
        username=account,
        password=secret(settings, _SECRET_OF[account]).get_secret_value(),
        host=settings.host,
        port=settings.port(server),
        database=database_of(server),
        query={"charset": "utf8mb4"},
    )


def node_names(settings: Settings) -> tuple[str, ...]:
    """The data nodes of ``mycat_conf/``, in ring order."""
    return tuple(node.name for node in load_topology(settings.topology_dir).nodes)


def redis_client(settings: Settings) -> redis.Redis:
    """Redis client that answers ``str``; at most 100 connections."""
    return redis.Redis(
        host=settings.host,
        port=settings.port("redis"),
        password=secret(settings, "redis").get_secret_value(),
        decode_responses=True,
        max_connections=100,
        socket_timeout=5,
        socket_connect_timeout=5,
    )


def kafka_options(settings: Settings) -> dict[str, Any]:
    """Keyword arguments of every kafka-python client."""
    return {
        "bootstrap_servers": settings.kafka_bootstrap,
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": "PLAIN",
        "sasl_plain_username": KAFKA_USER,
        "sasl_plain_password": secret(settings, "kafka").get_secret_value(),
    }


def spark_kafka_options(settings: Settings) -> dict[str, str]:
    """Options of Spark's Kafka source and sink."""
    password = secret(settings, "kafka").get_secret_value()
    return {
        "kafka.bootstrap.servers": settings.kafka_bootstrap,
        "kafka.security.protocol": "SASL_PLAINTEXT",
        "kafka.sasl.mechanism": "PLAIN",
        "kafka.sasl.jaas.config": (
            "org.apache.kafka.common.security.plain.PlainLoginModule required "
            f'username="{KAFKA_USER}" password="{password}";'
        ),
    }


def mlflow_environment(settings: Settings) -> dict[str, str]:
    """Environment that points MLflow's client at our server; set it before any MLflow call."""
    return {
        "MLFLOW_TRACKING_URI": f"http://{settings.host}:{settings.port('mlflow')}",
        "MLFLOW_TRACKING_USERNAME": "admin",
        "MLFLOW_TRACKING_PASSWORD": secret(settings, "mlflow_admin").get_secret_value(),
    }
