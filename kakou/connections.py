"""How to reach each store: one place for addresses, accounts and passwords.

Accounts on the nodes and at the endpoint: ``root`` (migrations), ``kakou_writer`` (stream), ``kakou_reader``
(API and downstream apps; can only read); at the endpoint alone also ``kakou_reviewer``, which writes what
people say and no pass. Passwords are the generated secrets ``db_root``, ``db_writer``, ``db_reader`` and
``db_reviewer``.

Where ``settings.tls_on``, every client here speaks TLS, and demands a certificate that the stack's authority
signed for the host it asked for; there is no falling back to an open connection.
"""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any, Literal

import pymysql
import redis
from sqlalchemy import URL

from kakou.errors import SettingsError
from kakou.secret_files import secret
from kakou.settings import Settings
from kakou.topology import load_topology

Account = Literal["root", "kakou_writer", "kakou_reader", "kakou_reviewer"]
_SECRET_OF: dict[Account, str] = {
    "root": "db_root",
    "kakou_writer": "db_writer",
    "kakou_reader": "db_reader",
    "kakou_reviewer": "db_reviewer",
}
KAFKA_USER = "kakou"
NODE_DATABASE = "traffic_db"
ENDPOINT_SCHEMA = "MYETCDB"
TLS_VERSIONS = "TLSv1.2,TLSv1.3"


def database_of(server: str) -> str:
    """Default database of ``dn1``, ``dn2`` … or ``endpoint``."""
    return ENDPOINT_SCHEMA if server == "endpoint" else NODE_DATABASE


def authority(settings: Settings) -> str:
    """Path of the certificate by which a client knows the stores.

    Raises:
        SettingsError: it is not there.
    """
    path = settings.tls_authority_file
    if not path.exists():
        raise SettingsError(
            f"TLS is on, but {path} is missing. `kakou up` makes it; on a machine without stores, copy it "
            "from theirs."
        )
    return str(path)


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
        pymysql.OperationalError: the server is away or refuses, or shows a certificate that is not ours.
    """
    if settings.tls_on:
        options = {
            "ssl_ca": authority(settings),
            "ssl_verify_cert": True,
            "ssl_verify_identity": True,
            **options,
        }
    else:
        # Else the driver reads every authority of this machine for each connection, which takes 20 ms.
        options = {"ssl_disabled": True, **options}
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
    query = {"charset": "utf8mb4"}
    if settings.tls_on:
        query |= {"ssl_ca": authority(settings), "ssl_check_hostname": "true"}
    return URL.create(
        "mysql+pymysql",
        username=account,
        password=secret(settings, _SECRET_OF[account]).get_secret_value(),
        host=settings.host,
        port=settings.port(server),
        database=database_of(server),
        query=query,
    )


def node_names(settings: Settings) -> tuple[str, ...]:
    """The data nodes of ``mycat_conf/``, in ring order."""
    return tuple(node.name for node in load_topology(settings.topology_dir).nodes)


def redis_client(settings: Settings) -> redis.Redis:
    """Redis client that answers ``str``; at most 100 connections."""
    options: dict[str, Any] = {}
    if settings.tls_on:
        options = {
            "ssl": True,
            "ssl_ca_certs": authority(settings),
            "ssl_min_version": ssl.TLSVersion.TLSv1_2,
        }
    return redis.Redis(
        host=settings.host,
        port=settings.port("redis"),
        password=secret(settings, "redis").get_secret_value(),
        decode_responses=True,
        max_connections=100,
        socket_timeout=5,
        socket_connect_timeout=5,
        **options,
    )


def kafka_protocol(settings: Settings) -> Literal["SASL_SSL", "SASL_PLAINTEXT"]:
    """Kafka's word for a password over TLS, or over an open connection."""
    return "SASL_SSL" if settings.tls_on else "SASL_PLAINTEXT"


def kafka_options(settings: Settings) -> dict[str, Any]:
    """Keyword arguments of every kafka-python client."""
    options: dict[str, Any] = {
        "bootstrap_servers": settings.kafka_bootstrap,
        "security_protocol": kafka_protocol(settings),
        "sasl_mechanism": "PLAIN",
        "sasl_plain_username": KAFKA_USER,
        "sasl_plain_password": secret(settings, "kafka").get_secret_value(),
    }
    if settings.tls_on:
        options |= {"ssl_cafile": authority(settings), "ssl_check_hostname": True}
    return options


def spark_kafka_options(settings: Settings) -> dict[str, str]:
    """Options of Spark's Kafka source and sink."""
    password = secret(settings, "kafka").get_secret_value()
    options = {
        "kafka.bootstrap.servers": settings.kafka_bootstrap,
        "kafka.security.protocol": kafka_protocol(settings),
        "kafka.sasl.mechanism": "PLAIN",
        "kafka.sasl.jaas.config": (
            "org.apache.kafka.common.security.plain.PlainLoginModule required "
            f'username="{KAFKA_USER}" password="{password}";'
        ),
    }
    if settings.tls_on:
        options |= {
            "kafka.ssl.truststore.type": "PEM",
            # Its text and not its path: executors on other machines have no such file.
            "kafka.ssl.truststore.certificates": Path(authority(settings)).read_text("ascii"),
            "kafka.ssl.enabled.protocols": TLS_VERSIONS,
            "kafka.ssl.endpoint.identification.algorithm": "https",
        }
    return options


def mlflow_environment(settings: Settings) -> dict[str, str]:
    """Environment that points MLflow's client at our server; set it before any MLflow call."""
    return {
        "MLFLOW_TRACKING_URI": f"http://{settings.host}:{settings.port('mlflow')}",
        "MLFLOW_TRACKING_USERNAME": "admin",
        "MLFLOW_TRACKING_PASSWORD": secret(settings, "mlflow_admin").get_secret_value(),
    }
