"""PyFlink: ``flink_peer.py JOB``. Records are read by Python, keyed by plate, and a ``KeyedProcessFunction``
keeps the passes of each plate in a ``ListState``; checkpoints every ten seconds, two subtasks in a local
cluster."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import Any

from contest import Told, read_job
from contradict import Pass, Rule
from pyflink.common import Configuration, Types, WatermarkStrategy
from pyflink.common.serialization import SimpleStringSchema
from pyflink.datastream import StreamExecutionEnvironment
from pyflink.datastream.connectors.kafka import KafkaOffsetsInitializer, KafkaSource
from pyflink.datastream.functions import FlatMapFunction, KeyedProcessFunction, RuntimeContext
from pyflink.datastream.state import ListStateDescriptor

CHECKPOINT_MS = 10_000
LOGIN = "org.apache.flink.kafka.shaded.org.apache.kafka.common.security.plain.PlainLoginModule"


def pass_types() -> list[Any]:
    """Types of time, id and gate; made anew each time, as one that was used cannot go to a worker."""
    return [Types.LONG(), Types.STRING(), Types.INT()]


def name_of(operator: object) -> str:
    """Another one for each subtask; in the thread mode of 2.2 a subtask cannot be asked for its number."""
    return f"{type(operator).__name__}-{os.getpid()}-{id(operator)}"


class Read(FlatMapFunction):
    """Records to plates and passes; counts those that are none."""

    def __init__(self, job: dict[str, Any]) -> None:
        self._job = job

    def open(self, runtime_context: RuntimeContext) -> None:
        """Called by Flink in each subtask."""
        self._rule, self._told = Rule(self._job["rule"]), Told(self._job["out"], "read-", thread=False)
        self._name = name_of(self)
        self._told.counts[self._name] = 0

    def flat_map(self, value: str) -> Iterator[tuple[str, int, str, int]]:
        """Called by Flink for each record."""
        known = self._rule.read(value)
        if known:
            plate, new = known
            yield plate, *new
        else:
            self._told.counts[self._name] += 1
            self._told.tell_if_due()

    def close(self) -> None:
        """Called by Flink at the end of the topic."""
        self._told.tell()


class Contradict(KeyedProcessFunction):
    """The passes of one plate; counts all of them."""

    def __init__(self, job: dict[str, Any]) -> None:
        self._job = job

    def open(self, runtime_context: RuntimeContext) -> None:
        """Called by Flink in each subtask."""
        self._rule, self._told = Rule(self._job["rule"]), Told(self._job["out"], "keyed-", thread=False)
        self._name = name_of(self)
        self._told.counts[self._name] = 0
        self._kept = runtime_context.get_list_state(ListStateDescriptor("kept", Types.TUPLE(pass_types())))

    def process_element(
        self, value: tuple[str, int, str, int], ctx: KeyedProcessFunction.Context
    ) -> Iterator[str]:
        """Called by Flink for each pass."""
        plate, *rest = value
        new: Pass = tuple(rest)  # type: ignore[assignment]
        kept: list[Pass] = [tuple(one) for one in self._kept.get()]
        pairs = self._rule.completes(kept, new)
        if pairs is not None:
            if self._rule.forgets(kept, new):
                self._kept.update(self._rule.remembered(kept, new))
            else:
                self._kept.add(new)
            self._told.found(plate, pairs)
        self._told.counts[self._name] += 1
        self._told.tell_if_due()
        return iter(())

    def close(self) -> None:
        """Called by Flink at the end of the topic."""
        self._told.tell()


def main() -> None:
    """Reads what the topic holds, then ends: the last records are told of when the operators are closed."""
    job = read_job(sys.argv[1])
    config = Configuration()
    for name, value in job["options"].items():
        config.set_string(name, value)
    config.set_string("restart-strategy.type", "none")  # else what fails is tried again in silence
    config.set_string("execution.checkpointing.dir", f"file://{job['state']}")
    env = StreamExecutionEnvironment.get_execution_environment(config)
    env.set_parallelism(job["shares"])
    env.add_jars(*[f"file://{jar}" for jar in job["jars"]])
    env.enable_checkpointing(CHECKPOINT_MS)
    records = env.from_source(_source(job), WatermarkStrategy.no_watermarks(), "passes")
    (
        records.flat_map(Read(job), Types.TUPLE([Types.STRING(), *pass_types()]))
        .key_by(lambda one: one[0], Types.STRING())
        .process(Contradict(job), Types.STRING())
        .print()
    )
    env.execute("bench")


def _source(job: dict[str, Any]) -> KafkaSource:
    kafka = job["kafka"]
    login = f'{LOGIN} required username="{kafka["sasl.username"]}" password="{kafka["sasl.password"]}";'
    return (
        KafkaSource.builder()
        .set_bootstrap_servers(kafka["bootstrap.servers"])
        .set_topics(job["topic"])
        .set_group_id("bench-flink")
        .set_starting_offsets(KafkaOffsetsInitializer.earliest())
        .set_bounded(KafkaOffsetsInitializer.latest())
        .set_value_only_deserializer(SimpleStringSchema())
        .set_property("security.protocol", kafka["security.protocol"])
        .set_property("sasl.mechanism", kafka["sasl.mechanism"])
        .set_property("sasl.jaas.config", login)
        .build()
    )


if __name__ == "__main__":
    main()
