"""Edge: the Kafka broker, KRaft, one node that is its own controller."""

from __future__ import annotations

import base64
import shutil
import uuid
from importlib import resources
from pathlib import Path

from kafka.admin import KafkaAdminClient

from kakou.connections import KAFKA_USER, TLS_VERSIONS, kafka_options, kafka_protocol
from kakou.secret_files import secret
from kakou.settings import Settings
from kakou.stack.certificates import ensure_certificates, server_file
from kakou.stack.jars import jars_dir, require_java
from kakou.stack.service import Service
from kakou.stack.steps import run_step
from kakou.whole_files import write_private

NODE = 1


def _property(path: Path) -> str:
    """A path as a value of a Java properties file, which is read as Latin-1."""
    return "".join(
        one if one.isascii() and one != "\\" else "".join(f"\\u{unit:04x}" for unit in _utf16(one))
        for one in str(path)
    )


def _utf16(character: str) -> tuple[int, ...]:
    data = character.encode("utf-16-be")
    return tuple(int.from_bytes(data[at : at + 2], "big") for at in range(0, len(data), 2))


def _properties(settings: Settings, data: Path) -> str:
    password = secret(settings, "kafka").get_secret_value()
    login = "org.apache.kafka.common.security.plain.PlainLoginModule required"
    jaas = f'{login} username="{KAFKA_USER}" password="{password}" user_{KAFKA_USER}="{password}";'
    protocol = kafka_protocol(settings)
    host, client, controller = settings.host, settings.port("kafka"), settings.port("kafka_controller")
    return "\n".join(
        [
            "process.roles=broker,controller",
            f"node.id={NODE}",
            # Not kept in the data, so that the ports may change between two starts.
            f"controller.quorum.voters={NODE}@{host}:{controller}",
            f"listeners=CLIENT://{host}:{client},CONTROLLER://{host}:{controller}",
            f"advertised.listeners=CLIENT://{host}:{client}",
            f"listener.security.protocol.map=CLIENT:{protocol},CONTROLLER:{protocol}",
            "controller.listener.names=CONTROLLER",
            "inter.broker.listener.name=CLIENT",
            "sasl.enabled.mechanisms=PLAIN",
            "sasl.mechanism.inter.broker.protocol=PLAIN",
            "sasl.mechanism.controller.protocol=PLAIN",
            f"listener.name.client.plain.sasl.jaas.config={jaas}",
            f"listener.name.controller.plain.sasl.jaas.config={jaas}",
            *_tls(settings),
            f"log.dirs={_property(data)}",
            "offsets.topic.replication.factor=1",
            "offsets.topic.num.partitions=4",
            "transaction.state.log.replication.factor=1",
            "transaction.state.log.min.isr=1",
            "transaction.state.log.num.partitions=4",
            "share.coordinator.state.topic.replication.factor=1",
            "share.coordinator.state.topic.min.isr=1",
            "share.coordinator.state.topic.num.partitions=1",
            "group.initial.rebalance.delay.ms=0",
            "auto.create.topics.enable=false",
            f"log.retention.hours={settings.retention_hours}",
            "log.segment.bytes=67108864",
            # By default a third of the heap, for topics that hold a few hundred keys.
            "log.cleaner.dedupe.buffer.size=16777216",
            "num.network.threads=2",
            "num.io.threads=2",
            "",
        ]
    )


def _tls(settings: Settings) -> list[str]:
    """Of both listeners, and of the broker as a client of its controller."""
    if not settings.tls_on:
        return []
    return [
        "ssl.keystore.type=PEM",
        f"ssl.keystore.location={_property(server_file(settings))}",
        "ssl.truststore.type=PEM",
        f"ssl.truststore.location={_property(settings.tls_authority_file)}",
        f"ssl.enabled.protocols={TLS_VERSIONS}",
        "ssl.endpoint.identification.algorithm=https",
        "ssl.client.auth=none",  # a client shows its password
    ]


def _java(settings: Settings, *arguments: str | Path) -> list[str]:
    return [
        str(require_java()),
        # Taken whole at the start: a heap that fills up over an hour looks like a leak.
        "-Xms256m",
        "-Xmx256m",
        "-XX:+AlwaysPreTouch",
        "-XX:+UseSerialGC",
        "-Djava.net.preferIPv4Stack=true",
        f"-Dlog4j2.configurationFile={(settings.run_dir / 'log4j2-kafka.xml').as_uri()}",
        "-cp",
        f"{jars_dir(settings, 'kafka')}/*",
        *map(str, arguments),
    ]


def _prepare(settings: Settings) -> None:
    if settings.tls_on:
        ensure_certificates(settings)
    run = settings.run_dir
    logging = resources.files("kakou.stack").joinpath("log4j2-kafka.xml").read_text(encoding="utf-8")
    write_private(run / "log4j2-kafka.xml", logging)
    data = settings.data_dir / "kafka"
    write_private(run / "kafka.properties", _properties(settings, data))
    if data.exists():
        return
    draft = settings.data_dir / ".kafka.draft"  # renamed when whole: a killed format leaves nothing behind
    shutil.rmtree(draft, ignore_errors=True)
    write_private(run / "kafka-format.properties", _properties(settings, draft))
    run_step(
        _java(
            settings,
            "kafka.tools.StorageTool",
            "format",
            "-t",
            _cluster_id(),
            "-c",
            run / "kafka-format.properties",
        ),
        what="Kafka's data folder could not be initialised",
        mend=f"Check that {settings.data_dir} can be written, then run the command again.",
    )
    (run / "kafka-format.properties").unlink()
    draft.rename(data)


def _cluster_id() -> str:
    """A new name of a cluster, 22 characters of Base64; one that begins with a dash would look like an
    option."""
    while True:
        name = base64.urlsafe_b64encode(uuid.uuid4().bytes).rstrip(b"=").decode()
        if not name.startswith("-"):
            return name


def _answers(settings: Settings) -> None:
    client = KafkaAdminClient(**kafka_options(settings), request_timeout_ms=5000)
    try:
        client.list_topics()
    finally:
        client.close()


SERVICE = Service(
    name="kafka",
    ports=("kafka", "kafka_controller"),
    prepare=_prepare,
    command=lambda settings: _java(settings, "kafka.Kafka", settings.run_dir / "kafka.properties"),
    answers=_answers,
    ready_s=90,
    stop_s=30,
)
