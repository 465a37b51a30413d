"""Quix Streams: ``quix_peer.py JOB``. State by key, and a plate is the key of its records; kept in RocksDB
with a changelog topic, as the library does by default. Processes of one consumer group share the work."""

from __future__ import annotations

import sys
from typing import Any

from contest import Told, read_job
from contradict import Rule
from quixstreams import Application, State, message_context
from quixstreams.kafka import ConnectionConfig


def main() -> None:
    """Reads until it is ended."""
    job = read_job(sys.argv[1])
    rule, told = Rule(job["rule"]), Told(job["out"])
    app = Application(
        broker_address=ConnectionConfig.from_librdkafka_dict(job["kafka"]),
        consumer_group="bench-quix",
        auto_offset_reset="earliest",
        state_dir=f"{job['state']}/{job['share']}",
        loglevel="WARNING",
    )

    def take(value: bytes, state: State) -> None:
        known = rule.read(value.decode("utf-8", "replace"))
        if known:
            plate, new = known
            kept: list[Any] = [tuple(one) for one in state.get("kept", [])]
            pairs = rule.completes(kept, new)
            if pairs is not None:
                state.set("kept", rule.remembered(kept, new))
                told.found(plate, pairs)
        at = message_context()
        told.counts[str(at.partition)] = at.offset + 1

    topic = app.topic(job["topic"], key_deserializer="bytes", value_deserializer="bytes")
    app.dataframe(topic).update(take, stateful=True)
    app.run()


if __name__ == "__main__":
    main()
