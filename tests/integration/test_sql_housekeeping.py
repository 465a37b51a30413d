"""Roll-ups, fates and warnings are kept as long as somebody needs them, and no longer."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from archived_days import GATES, empty_place, everywhere, put
from kafka import KafkaAdminClient, KafkaProducer, TopicPartition
from pass_rows import pass_row

from kakou.connections import connect, kafka_options, node_names
from kakou.errors import StorageError
from kakou.settings import Settings
from kakou.stack.topics import ensure_topics
from sql import housekeeping
from sql.housekeeping import delete_old_fates, delete_old_flow, delete_old_warnings

pytestmark = pytest.mark.integration
TABLES = ("batch_ledger", "rejected_records")
SINGLE = ("warnings", "warning_tracks", "reviews")
FIRST_OFFSET = 6


@pytest.fixture
def place(stack: Settings, tmp_path: Path) -> Iterator[Settings]:
    with empty_place(stack, tmp_path) as settings:
        _empty(settings)
        yield settings
        _empty(settings)


def _empty(settings: Settings) -> None:
    for node in node_names(settings):
        run(settings, node, *(f"DELETE FROM {table}" for table in TABLES))
    run(settings, "dn1", *(f"DELETE FROM {table}" for table in SINGLE))


@pytest.fixture(scope="module")
def topic(stack: Settings) -> str:
    """A topic whose partition 0 begins at ``FIRST_OFFSET`` and whose partition 1 holds everything."""
    name = "housekeeping-raw"
    ensure_topics(stack.model_copy(update={"topic": name}))
    producer = KafkaProducer(**kafka_options(stack))
    for partition in (0, 1):
        for n in range(10):
            producer.send(name, value=b"%d" % n, partition=partition)
    producer.flush(30)
    producer.close()
    admin = KafkaAdminClient(**kafka_options(stack))
    admin.delete_records({TopicPartition(name, 0): FIRST_OFFSET})
    admin.close()
    return name


def run(settings: Settings, node: str, *statements: str) -> None:
    with connect(settings, node, "root", autocommit=True) as server, server.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def ago(settings: Settings, days: int) -> str:
    return str(datetime.now(ZoneInfo(settings.timezone)).date() - timedelta(days=days))


@pytest.mark.parametrize(("keep_flow", "keep_passes", "kept"), [(10, 3, 10), (2, 5, 5)])
def test_roll_ups_outlive_passes_and_closed_days_outlive_roll_ups(
    place: Settings, keep_flow: int, keep_passes: int, kept: int
) -> None:
    settings = place.model_copy(update={"keep_flow_days": keep_flow, "keep_days": keep_passes})
    for node in node_names(place):
        for age in (0, kept, kept + 1, kept + 2, kept + 300):
            day = ago(place, age)
            run(place, node, f"INSERT INTO closed_days (day) VALUES ('{day}')")
            for hour in (0, 23):
                run(place, node, f"INSERT INTO flow_hourly VALUES ('{node}', '{day}', {hour}, '苏', '型', 1)")
    nodes = len(node_names(place))
    assert delete_old_flow(settings) == {"flow_hourly": 3 * 2 * nodes, "closed_days": 3 * nodes}
    left = {
        (str(day), n) for day, n in everywhere(place, "SELECT day, COUNT(*) FROM flow_hourly GROUP BY day")
    }
    assert left == {(ago(place, 0), 2), (ago(place, kept), 2)}
    assert {str(day) for (day,) in everywhere(place, "SELECT day FROM closed_days")} == {
        ago(place, 0),
        ago(place, kept),
    }
    assert delete_old_flow(settings) == {"flow_hourly": 0, "closed_days": 0}


def test_fates_go_when_kafka_has_let_go_of_the_record(
    place: Settings, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(housekeeping, "CHUNK_ROWS", 4)
    settings = place.model_copy(update={"topic": topic})
    for partition in (0, 1, 9):  # no partition 9 is known, so nobody knows what it still has
        for offset in range(10):
            run(
                place,
                "dn2",
                f"INSERT INTO duplicate_records VALUES ({partition}, {offset}, 'x', 1, 'duplicate')",
            )
    assert delete_old_fates(settings)["duplicate_records"] == FIRST_OFFSET
    assert everywhere(
        place, "SELECT kafka_partition, MIN(kafka_offset) FROM duplicate_records GROUP BY 1"
    ) == [
        (0, FIRST_OFFSET),
        (1, 0),
        (9, 0),
    ]


@pytest.mark.parametrize(
    ("offset", "days", "settled", "stays"),
    [
        (2, 29, "replayed", True),
        (2, 31, "replayed", False),
        (2, 31, "discarded", False),
        (2, 31, "replaying", True),
        (2, 31, None, True),
        (2, 401, None, False),
        (FIRST_OFFSET, 401, "replayed", True),
    ],
)
def test_refused_records_stay_until_they_are_settled_and_old(
    place: Settings, topic: str, offset: int, days: int, settled: str | None, stays: bool
) -> None:
    word = f"'{settled}'" if settled else "NULL"
    run(
        place,
        "dn1",
        "INSERT INTO rejected_records "
        "(kafka_partition, kafka_offset, reason, batch_id, rejected_at, settled) "
        f"VALUES (0, {offset}, 'nul', 1, NOW() - INTERVAL {days} DAY, {word})",
    )
    deleted = delete_old_fates(place.model_copy(update={"topic": topic}))
    assert deleted["rejected_records"] == int(not stays)


def test_the_newest_batches_of_a_query_stay_however_old(place: Settings, topic: str) -> None:
    for query, batches, days in (("stopped", 15, 100), ("running", 15, 16), ("short", 3, 100)):
        for batch in range(batches):
            run(
                place,
                "dn1",
                f"INSERT INTO batch_ledger VALUES ('{query}', {batch}, '{{}}', '{{}}', 1, 0, 0, "
                f"NOW() - INTERVAL {days} DAY)",
            )
    settings = place.model_copy(update={"topic": topic})
    assert delete_old_fates(settings)["batch_ledger"] == 5
    asked = "SELECT query, MIN(batch_id), COUNT(*) FROM batch_ledger GROUP BY query ORDER BY query"
    assert everywhere(place, asked) == [("running", 0, 15), ("short", 0, 3), ("stopped", 5, 10)]
    # Passes that are kept longer than Kafka keeps records are still counted by their batches.
    longer = settings.model_copy(update={"keep_days": 90})
    run(place, "dn1", "UPDATE batch_ledger SET committed_at = NOW() - INTERVAL 100 DAY")
    assert delete_old_fates(longer)["batch_ledger"] == 0
    assert delete_old_fates(settings)["batch_ledger"] == 5


def test_a_topic_that_kafka_lacks_lets_nothing_go(place: Settings) -> None:
    run(place, "dn1", "INSERT INTO duplicate_records VALUES (0, 0, 'x', 1, 'duplicate')")
    lacking = place.model_copy(update={"topic": "never-made"})
    assert delete_old_fates(lacking)["duplicate_records"] == 0
    assert len(everywhere(place, "SELECT 1 FROM duplicate_records")) == 1


def test_old_warnings_go_but_not_those_of_a_reviewed_case(
    place: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(housekeeping, "CHUNK_ROWS", 2)
    for name, case, days in (
        ("old1", "c1", 401), ("old2", "c2", 500), ("old3", "c2", 500), ("young", "c1", 399),
        ("reviewed", "c3", 500), ("same case", "c3", 500), ("old4", "c4", 500),
    ):  # fmt: skip
        run(
            place,
            "dn1",
            "INSERT INTO warnings VALUES "
            f"('{name}', '{case}', 1, 'misread', 'raised', 'low', 0.5, '苏C1', 'a', 'b', 'g', 'h', "
            f"'2024-01-15', '2024-01-15', 1, 'gap-1', NOW() - INTERVAL {days} DAY, '{{}}', NOW())",
            *([f"INSERT INTO warning_tracks VALUES ('{name}', '{{}}')"] if name != "old2" else []),
        )
    run(
        place,
        "dn1",
        "INSERT INTO reviews (alert_id, verdict, note, reviewer) VALUES ('reviewed', 'cloned', '', 'x')",
    )
    assert delete_old_warnings(place) == 4
    with connect(place, "dn1", "kakou_reader") as node, node.cursor() as cursor:
        cursor.execute("SELECT alert_id FROM warnings ORDER BY alert_id")
        assert [row[0] for row in cursor.fetchall()] == ["reviewed", "same case", "young"]
        cursor.execute("SELECT alert_id FROM warning_tracks ORDER BY alert_id")
        assert [row[0] for row in cursor.fetchall()] == ["reviewed", "same case", "young"]


def test_a_node_that_is_away_is_named(place: Settings) -> None:
    away = place.model_copy(update={"port_offset": place.port_offset + 7})
    for work in (delete_old_flow, delete_old_fates, delete_old_warnings):
        with pytest.raises(StorageError, match="dn1"):
            work(away)


@pytest.mark.parametrize("work", [delete_old_flow, delete_old_fates])
def test_neither_waits_for_an_open_batch_of_the_stream(
    place: Settings, topic: str, work: Callable[[Settings], Any]
) -> None:
    """The stream holds rows of today in every table, next to the old ones."""
    old, now = ago(place, 500), ago(place, 0)
    put(place, [pass_row("now", gate, f"{now} 00:00:01", offset=9) for gate in GATES[:1]], count=True)
    with ExitStack() as held:
        for node in node_names(place):
            run(
                place,
                node,
                f"INSERT INTO flow_hourly VALUES ('{GATES[0]}', '{old}', 0, '苏', '型', 1)",
                "INSERT INTO duplicate_records VALUES (0, 0, 'x', 1, 'duplicate')",
            )
            server = held.enter_context(connect(place, node, "kakou_writer"))
            for statement in (
                f"INSERT INTO flow_hourly VALUES ('{GATES[0]}', '{now}', 0, '苏', '型', 1)",
                "INSERT INTO duplicate_records VALUES (0, 9, 'x', 1, 'duplicate')",
                "INSERT INTO batch_ledger VALUES ('q', 9, '{}', '{}', 1, 0, 0, NOW())",
            ):
                server.cursor().execute(statement)
        done: list[Any] = []
        settings = place.model_copy(update={"topic": topic})
        thread = threading.Thread(target=lambda: done.append(work(settings)))
        thread.start()
        thread.join(20)  # a lock that is waited for is given up after 50 s
        assert done and sum(done[0].values()) == len(node_names(place))
