"""Edge: has stores that run show a renewed certificate, so that none ends while the stack is up."""

from __future__ import annotations

import ssl
import time
from typing import Any, Final

from cryptography.x509 import load_pem_x509_certificate
from kafka.admin import AlterConfigOp, ConfigResource, ConfigResourceType, KafkaAdminClient

from kakou.connections import connect, kafka_options, node_names, redis_client
from kakou.errors import ServiceError
from kakou.settings import Settings
from kakou.stack.certificates import Pair, ensure_certificates, server_file
from kakou.stack.services.broker import NODE

_PORTS: Final = {"client": "kafka", "controller": "kafka_controller"}  # of each listener
_RELOAD_S: Final = 30
_POLL_S: Final = 0.2


def renew_certificates(settings: Settings) -> None:
    """Renews a certificate that ends soon, and has every store read it.

    No store is started again and no connection is closed; those that are opened from now on see the new one.

    Raises:
        SettingsError: the files cannot be read.
        ServiceError: Kafka does not take the new certificate.
        pymysql.MySQLError, redis.RedisError, kafka.errors.KafkaError: a store is away.
    """
    ensure_certificates(settings)
    for server in ("endpoint", *node_names(settings)):
        connection = connect(settings, server, "root", database="")
        with connection, connection.cursor() as cursor:
            cursor.execute("FLUSH SSL")
    client = redis_client(settings)
    try:
        # A file is read again whenever it is named, even if the name is the old one.
        client.config_set("tls-cert-file", str(server_file(settings)))
    finally:
        client.close()
    _tell_kafka(settings)


def _tell_kafka(settings: Settings) -> None:
    """Kafka reads the file when told its name; told to forget it, nothing of it stays in its metadata."""
    if _kafka_shows_it(settings):
        return
    admin = KafkaAdminClient(**kafka_options(settings), request_timeout_ms=10_000)
    try:
        _alter(admin, settings, AlterConfigOp.SET)
        end = time.monotonic() + _RELOAD_S
        while not _kafka_shows_it(settings):
            if time.monotonic() > end:
                raise ServiceError(
                    "Kafka shows its old certificate. Before that ends, run `kakou down` and `kakou up`."
                )
            time.sleep(_POLL_S)
        _alter(admin, settings, AlterConfigOp.DELETE)
    finally:
        admin.close()


def _alter(admin: KafkaAdminClient, settings: Settings, operation: AlterConfigOp) -> None:
    values: dict[str, Any] = {}
    for listener in _PORTS:
        prefix = f"listener.name.{listener}.ssl.keystore"
        values[f"{prefix}.type"] = (operation, "PEM")
        values[f"{prefix}.location"] = (operation, str(server_file(settings)))
    broker = ConfigResource(ConfigResourceType.BROKER, str(NODE), configs=values)
    admin.alter_configs([broker], raise_on_unknown=False)


def _kafka_shows_it(settings: Settings) -> bool:
    wanted = Pair.read(server_file(settings)).certificate
    return all(
        load_pem_x509_certificate(
            ssl.get_server_certificate((settings.host, settings.port(port)), timeout=5).encode()
        )
        == wanted
        for port in _PORTS.values()
    )
