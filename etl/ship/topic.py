"""The Kafka side of shipping: a producer that loses nothing and keeps the order of each plate."""

from __future__ import annotations

import socket
import struct
from contextlib import suppress
from typing import Any, Final

from kafka import KafkaProducer
from kafka.errors import KafkaError

from etl.ship.log_file import Line
from kakou.connections import kafka_options
from kakou.settings import Settings

SOURCE_HEADER: Final = "src"
PLATE_COLUMN: Final = 6
LARGEST_REQUEST: Final = 16 << 20
BATCH_BYTES: Final = 1 << 16
# The library repeats a sending under its first number, which the broker remembers for a day. Only when it
# gives up is the outcome unknown, so it does so late.
GIVE_UP_SECONDS: Final = 12 * 3600
_ABANDON_SECONDS: Final = 15.0
# Closing throws away what the kernel still holds, also when we are killed: it would reach the broker after
# the next process has looked what is there.
_NOTHING_LINGERS: Final = (socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def open_producer(settings: Settings) -> KafkaProducer:
    """An idempotent producer: a retry inside the library never doubles or reorders a record of a partition,
    and one batch of a partition is on its way at a time.

    Raises:
        kafka.errors.KafkaError: the broker does not answer.
    """
    return KafkaProducer(
        **kafka_options(settings),
        acks="all",
        enable_idempotence=True,
        compression_type="lz4",
        linger_ms=5,
        batch_size=BATCH_BYTES,
        max_request_size=LARGEST_REQUEST,
        request_timeout_ms=10_000,
        delivery_timeout_ms=GIVE_UP_SECONDS * 1000,
        max_block_ms=10_000,
        bootstrap_timeout_ms=5_000,
        reconnect_backoff_max_ms=1_000,
        socket_options=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1), _NOTHING_LINGERS],
        # A missing topic is the operator's to make, with its partitions and retention.
        allow_auto_create_topics=False,
    )


def key_of(line: bytes) -> bytes:
    """The plate, so that passes of one vehicle stay in order; empty for a line that has no such column."""
    columns = line.split(b"\t", PLATE_COLUMN + 1)
    return columns[PLATE_COLUMN] if len(columns) > PLATE_COLUMN else b""


def send(producer: KafkaProducer, topic: str, line: Line) -> Any:
    """Hands a line to the producer as it is; the header says where it came from, see
    ``look_back``."""
    source = f"{line.file}:{line.start}".encode()
    return producer.send(topic, value=line.data, key=key_of(line.data), headers=[(SOURCE_HEADER, source)])


def abandon(producer: Any) -> None:
    """Ends a producer at once; nothing of what it had not delivered goes out any more.

    Its own ``close`` waits for what is in flight, and where no answer comes it gives up without closing.
    """
    sender = producer._sender
    sender.force_close()
    sender.join(_ABANDON_SECONDS)
    with suppress(KafkaError):
        producer.close(timeout=0)
