"""A plain consumer with a dictionary: ``plain_peer.py JOB``. Its share of the partitions is its own; it keeps
nothing that would survive it."""

from __future__ import annotations

import sys

from confluent_kafka import Consumer, KafkaException, TopicPartition
from contest import Told, read_job
from contradict import Pass, Rule

AT_ONCE, WAIT_S = 2_000, 0.2
SWEEP_EVERY = 200_000


def main() -> None:
    """Reads until it is ended."""
    job = read_job(sys.argv[1])
    rule, told = Rule(job["rule"]), Told(job["out"])
    consumer = Consumer({**job["kafka"], "group.id": "bench-plain", "enable.auto.commit": False})
    mine = range(job["share"], job["partitions"], job["shares"])
    consumer.assign([TopicPartition(job["topic"], partition, 0) for partition in mine])
    memory: dict[str, list[Pass]] = {}
    handled, newest = 0, 0
    while True:
        for message in consumer.consume(AT_ONCE, WAIT_S):
            if message.error():
                raise KafkaException(message.error())
            known = rule.read(message.value().decode("utf-8", "replace"))
            if known:
                plate, new = known
                newest = max(newest, new[0])
                _take(memory, plate, new, rule, told)
            told.counts[str(message.partition())] = message.offset() + 1
            handled += 1
            if handled % SWEEP_EVERY == 0:
                _sweep(memory, rule.horizon(newest))


def _take(memory: dict[str, list[Pass]], plate: str, new: Pass, rule: Rule, told: Told) -> None:
    kept = memory.get(plate)
    if kept is None:
        memory[plate] = [new]
        return
    pairs = rule.completes(kept, new)
    if pairs is None:
        return
    told.found(plate, pairs)
    if rule.forgets(kept, new):
        memory[plate] = rule.remembered(kept, new)
    else:
        kept.append(new)


def _sweep(memory: dict[str, list[Pass]], horizon: int) -> None:
    """Forgets the plates that did not come again."""
    for plate in [plate for plate, kept in memory.items() if kept[-1][0] < horizon]:
        del memory[plate]


if __name__ == "__main__":
    main()
