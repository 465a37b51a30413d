"""``kakou ledger check`` on real stores: a sound world balances, each fault is exit code 1 under its law."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from kafka import TopicPartition
from kafka.admin import KafkaAdminClient
from poison import GOOD, POISON, line
from topic_stream import TABLES, Stream, ask, fresh_topics, produce
from typer.testing import CliRunner

from kakou.connections import connect, kafka_options, node_names
from kakou.errors import BadInputError, StorageError
from kakou.settings import Settings
from kakou.stack.environment import child_environment
from spark_jobs.ledger.check import read_ledger
from spark_jobs.ledger.commands import ledger
from spark_jobs.producer_log import Attempt, format_attempt
from sql.archive import archive_day

pytestmark = pytest.mark.integration
GATES = [f"LEDGER_G{n}" for n in range(8)]
DAY = date(2024, 1, 15)
Check = Callable[..., tuple[int, dict[str, Any]]]


@dataclass
class World:
    """A topic that the sinks have handled in three batches."""

    settings: Settings
    stream: Stream
    attempts: list[Attempt]


def records(first: int, count: int = 30) -> list[bytes | None]:
    """Passes of both nodes, one that repeats, one that contradicts, some that nobody understands."""
    passes = [
        line(f0=f"ledger-{n}", f2=GATES[n % 8], f6=f"苏C{n:05d}", f7=f"牌{n}")
        for n in range(first, first + count)
    ]
    refused = [raw for name, raw, _ in POISON if name in ("not UTF-8", "NUL", "30 February", "empty")]
    odd = [b"\t".join([b"odd-%d-%d" % (first, n), *raw.split(b"\t")[1:]]) for n, raw in enumerate(GOOD)]
    other = line(f0=f"ledger-{first}", f2=GATES[(first + 1) % 8], f6=f"苏C{first:05d}", f7="另一个")
    return [*passes, passes[0], passes[3], other, *refused, None, *odd]


def make_world(stack: Settings, var: Path) -> World:
    """Three batches, all handled, in a history folder of their own."""
    settings = fresh_topics(stack).model_copy(update={"var": var})
    (var / "secrets").symlink_to(stack.secrets_dir)
    stream = Stream(settings)
    attempts = []
    for first in (0, 100, 200):
        attempts += produce(settings, records(first))
        stream.take()
    return World(settings, stream, attempts)


def name_in_environment(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in child_environment(settings).items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="module")
def shared(stack: Settings, tmp_path_factory: pytest.TempPathFactory) -> tuple[World, dict[str, Any]]:
    """A world, and what its tables hold."""
    made = make_world(stack, tmp_path_factory.mktemp("ledger"))
    rows = {
        (node, table): ask(made.settings, f"SELECT * FROM {table}", node=node)
        for node in node_names(stack)
        for table in TABLES
    }
    return made, rows


def mend(settings: Settings, node: str, table: str, rows: list[Any]) -> None:
    """Lets a table hold these rows again."""
    with connect(settings, node, "root") as connection, connection.cursor() as cursor:
        cursor.execute(f"DELETE FROM {table}")
        if rows:
            marks = ", ".join(["%s"] * len(rows[0]))
            cursor.executemany(f"INSERT INTO {table} VALUES ({marks})", rows)
        connection.commit()


@pytest.fixture
def world(shared: tuple[World, Any], monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """The shared world, whose tables are mended afterwards; its topics must stay as they are."""
    made, tables = shared
    name_in_environment(made.settings, monkeypatch)
    attempts = list(made.attempts)
    yield made
    made.attempts = attempts
    for (node, table), rows in tables.items():
        mend(made.settings, node, table, rows)


@pytest.fixture
def own_world(stack: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """A world for a test that changes topics; comes after those that share one."""
    made = make_world(stack, tmp_path)
    name_in_environment(made.settings, monkeypatch)
    return made


@pytest.fixture
def check() -> Check:
    """Runs the command; returns its exit code and what it printed as JSON."""

    def run(*arguments: str, wait: str = "0") -> tuple[int, dict[str, Any]]:
        result = CliRunner().invoke(ledger, ["check", "--json", "--wait", wait, *arguments])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.exit_code, json.loads(result.stdout)

    return run


def log_of(attempts: list[Attempt], folder: Path) -> str:
    path = folder / "attempts.jsonl"
    path.write_text("".join(map(format_attempt, attempts)), encoding="utf-8")
    return str(path)


def test_a_sound_world_balances(world: World, check: Check, tmp_path: Path) -> None:
    code, found = check("--producer-log", log_of(world.attempts, tmp_path))
    assert code == 0, found
    assert list(found)[:5] == ["balanced", "partitions", "lost", "doubled", "unexpected"]
    assert (found["balanced"], found["lost"], found["doubled"], found["unexpected"]) == (True, 0, 0, 0)
    assert all(law["held"] for law in found["laws"])
    parts = found["partitions"]
    assert list(parts[0]) == ["partition", "start", "end", "stored", "rejected", "duplicate", "gaps"]
    assert sum(one["end"] - one["start"] for one in parts) == len(world.attempts)
    assert sum(one["stored"] for one in parts) == 3 * (30 + len(GOOD))
    assert sum(one["duplicate"] for one in parts) == 3 * 2 and sum(one["rejected"] for one in parts) == 3 * 6


def a_row(world: World) -> tuple[str, str]:
    """An id that is repeated nowhere, and its node."""
    for node in ("dn1", "dn2"):
        rows = ask(world.settings, "SELECT id FROM traffic_data WHERE id = 'ledger-105'", node=node)
        if rows:
            return rows[0][0], node
    raise AssertionError


def remove_row(world: World) -> None:
    ask(world.settings, "DELETE FROM traffic_data WHERE id = 'ledger-105'")


def copy_row(world: World) -> None:
    id, node = a_row(world)
    other = {"dn1": "dn2", "dn2": "dn1"}[node]
    ((*values,),) = ask(world.settings, "SELECT * FROM traffic_data WHERE id = %s", [id], node)
    marks = ", ".join(["%s"] * len(values))
    ask(world.settings, f"INSERT INTO traffic_data VALUES ({marks})", values, other)


def second_fate(world: World) -> None:
    ((partition, offset),) = ask(
        world.settings, "SELECT kafka_partition, kafka_offset FROM traffic_data WHERE id = 'ledger-105'"
    )
    statement = "INSERT INTO duplicate_records VALUES (%s, %s, 'ledger-105', 1, 'duplicate')"
    ask(world.settings, statement, [partition, offset], "dn1")


def false_duplicate(world: World) -> None:
    second_fate(world)
    remove_row(world)


def foreign_row(world: World) -> None:
    insert = (
        "INSERT INTO traffic_data SELECT 'nobody', kkmc, fxlx, gcsj, hpzl, hphm, clppxh, xzqhmc, province, "
        "is_weekend, is_peak_hour, vehicle_type_name, {place}, 1 FROM traffic_data WHERE id = 'ledger-105'"
    )
    ask(world.settings, insert.format(place="0, 1000000"))


def row_without_place(world: World) -> None:
    ask(world.settings, "UPDATE traffic_data SET kafka_offset = NULL WHERE id = 'ledger-105'")


def other_id(world: World) -> None:
    ask(world.settings, "UPDATE traffic_data SET id = 'ledger-other' WHERE id = 'ledger-105'")


def changed_byte(world: World) -> None:
    ask(world.settings, "UPDATE traffic_data SET clppxh = CONCAT(clppxh, ' ') WHERE id = 'ledger-105'")


def torn_range(world: World) -> None:
    wider = "REPLACE(offsets_end, '\"0\": ', '\"0\": 1')"
    ask(world.settings, f"UPDATE batch_ledger SET offsets_end = {wider} WHERE batch_id = 1", node="dn2")


def batch_missing(world: World) -> None:
    ask(world.settings, "DELETE FROM batch_ledger WHERE batch_id = 1", node="dn2")


def wrong_count(world: World) -> None:
    ask(world.settings, "UPDATE batch_ledger SET stored = stored + 1 WHERE batch_id = 2", node="dn1")


def fate_forgotten(world: World) -> None:
    ask(world.settings, "DELETE FROM rejected_records WHERE reason = 'nul' LIMIT 1", node="dn1")


def cut(world: World, topic: str, partition: int, offset: int) -> None:
    client = KafkaAdminClient(**kafka_options(world.settings))
    client.delete_records({TopicPartition(topic, partition): offset})
    client.close()


def bytes_lost(world: World) -> None:
    cut(world, world.settings.rejected_topic, 0, 2)


def never_read(world: World) -> None:
    produce(world.settings, [line(f0="unread", f6="苏C00000")] * 8)
    (partition,) = {one.partition for one in produce(world.settings, [line(f0="unread", f6="苏C00000")])}
    assert partition is not None
    cut(world, world.settings.topic, partition, world.stream.reached[partition] + 4)
    world.stream.reached[partition] += 4
    world.stream.take()


def at_another_place(world: World) -> None:
    first = world.attempts[0]
    world.attempts[0] = Attempt("somebody else", "ok", first.partition, first.offset)


FAULTS = {
    remove_row: {"L1", "L2"},
    copy_row: {"L3"},
    second_fate: {"L1", "L3"},
    false_duplicate: {"L2"},
    foreign_row: {"L4"},
    row_without_place: {"L4"},
    other_id: {"L4"},
    changed_byte: {"L5"},
    torn_range: {"L6"},
    batch_missing: {"L6"},
    wrong_count: {"L6"},
    fate_forgotten: {"L1", "L2"},
    at_another_place: {"L2"},
}
FAULTS_OF_TOPICS = {bytes_lost: {"bytes"}, never_read: {"L2", "L6"}}


@pytest.mark.parametrize("plant", FAULTS, ids=lambda plant: plant.__name__)
def test_each_fault_ends_with_exit_code_1_under_its_law(
    world: World, check: Check, plant: Callable[[World], None], tmp_path: Path
) -> None:
    plant(world)
    code, found = check("--producer-log", log_of(world.attempts, tmp_path))
    assert code == 1 and not found["balanced"]
    broken = {law["law"] for law in found["laws"] if not law["held"]}
    assert FAULTS[plant] <= broken, found
    assert found["lost"] + found["doubled"] + found["unexpected"] or broken <= {"L5", "L6"}


def test_people_read_a_line_for_each_law(world: World) -> None:
    changed_byte(world)
    result = CliRunner().invoke(ledger, ["check", "--wait", "0"])
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert [one.split()[1] for one in lines if one.startswith(("L", "bytes"))] == [
        "holds", "holds", "holds", "holds", "BROKEN", "holds", "holds",
    ]  # fmt: skip
    assert lines[-1].startswith("NOT balanced")


def test_a_missing_topic_and_a_bad_log_are_said_in_a_sentence(world: World, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="has no topic"):
        read_ledger(world.settings.model_copy(update={"topic": "nowhere"}))
    with pytest.raises(BadInputError, match="cannot be read"):
        read_ledger(world.settings, producer_log=tmp_path / "missing")


def test_what_retention_took_is_found_in_the_archive(world: World, check: Check, tmp_path: Path) -> None:
    archive_day(world.settings, DAY)
    ask(world.settings, "DELETE FROM traffic_data WHERE DATE(gcsj) = %s AND kkmc = %s", [DAY, GATES[5]])
    code, found = check("--producer-log", log_of(world.attempts, tmp_path))
    assert code == 0, found
    (file,) = (world.settings.history_dir / f"day={DAY}").glob("dn1-*.parquet")
    file.write_bytes(b"PAR1 and then nothing")
    with pytest.raises(StorageError, match="cannot be read"):
        check()
    shutil.rmtree(world.settings.history_dir)


@pytest.mark.parametrize("plant", FAULTS_OF_TOPICS, ids=lambda plant: plant.__name__)
def test_what_kafka_dropped_too_early_is_lost(
    own_world: World, check: Check, plant: Callable[[World], None]
) -> None:
    plant(own_world)
    code, found = check()
    broken = {law["law"] for law in found["laws"] if not law["held"]}
    assert code == 1 and FAULTS_OF_TOPICS[plant] <= broken and found["lost"], found


def test_a_topic_that_grows_and_is_cut_and_a_stream_that_is_behind(own_world: World, check: Check) -> None:
    settings, stream = own_world.settings, own_world.stream
    cut(own_world, settings.topic, 0, stream.reached[0] - 7)
    code, found = check()
    assert code == 0, found
    assert found["partitions"][0]["start"] == stream.reached[0] - 7

    client = KafkaAdminClient(**kafka_options(settings))
    client.create_partitions({settings.topic: 3})
    client.close()
    produce(settings, records(300))
    code, found = check(wait="1.2")
    many = len(records(300))
    assert (code, found["lost"], found["behind"]) == (1, many, many)
    assert f"{many} of them not handled yet: the stream is behind" in found["laws"][0]["words"]
    stream.take()
    code, found = check(wait="30")
    assert code == 0, found
    assert [one["partition"] for one in found["partitions"]] == [0, 1, 2]


def test_a_store_that_is_away_is_said_in_a_sentence(world: World) -> None:
    away = world.settings.model_copy(update={"port_offset": world.settings.port_offset + 1})
    with pytest.raises(StorageError, match=r"Kafka at .* does not answer"):
        read_ledger(away)
