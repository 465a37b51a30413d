"""Edge: the Kafka topics."""

from __future__ import annotations

from kafka.admin import KafkaAdminClient, NewTopic

from kakou.connections import kafka_options
from kakou.settings import Settings


def ensure_topics(settings: Settings) -> None:
    """Creates the topics of passes and of rejected records where they are missing; changes nothing else."""
    hours = str(settings.retention_hours * 3_600_000)
    # A rejected record is the original one and its headers, so it may be larger than any original.
    wanted = [
        NewTopic(settings.topic, settings.partitions, 1, topic_configs={"retention.ms": hours}),
        NewTopic(
            settings.rejected_topic,
            1,
            1,
            topic_configs={"retention.ms": hours, "max.message.bytes": str(4 * 1024 * 1024)},
        ),
    ]
    client = KafkaAdminClient(**kafka_options(settings))
    try:
        known = set(client.list_topics())
        missing = [one for one in wanted if one.name not in known]
        if missing:
            client.create_topics(missing, timeout_ms=20_000)
    finally:
        client.close()
