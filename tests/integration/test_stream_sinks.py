"""The sinks on real nodes, endpoint and Redis: a batch written twice, or half, is written once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

import polars as pl
import pymysql
import pytest
import redis
from poison import GOOD, line

from kakou import redis_keys
from kakou.alert import Alert, AlertPass, Evidence, alert_id, case_id
from kakou.connections import connect, node_names, redis_client
from kakou.fields import COLUMNS_12
from kakou.settings import Settings
from kakou.topology import load_topology
from spark_jobs.sinks import alert_relay
from spark_jobs.sinks.alert_relay import AlertRelay
from spark_jobs.sinks.alerts import AlertList, AlertTable
from spark_jobs.sinks.counters import Counter
from spark_jobs.sinks.fates import Batch
from spark_jobs.sinks.nodes import Nodes
from spark_jobs.sinks.patience import Later
from spark_jobs.sinks.sorting import Sorted, sort_out
from spark_jobs.sinks.through_endpoint import Endpoint
from sql.gates import ensure_gates

pytestmark = pytest.mark.integration
BATCH = Batch("sinks-test", 0, {0: 0}, {0: 100})
TABLES = (
    "traffic_data", "flow_hourly", "duplicate_records", "rejected_records", "batch_ledger", "closed_days",
)  # fmt: skip
REFUSED = pl.DataFrame({"partition": [0, 0, 1], "offset": [90, 91, 4], "reason": ["nul", "bad_time", "nul"]})


@pytest.fixture
def clean(stack: Settings) -> Iterator[Settings]:
    """The stack with empty tables of passes."""
    for node in node_names(stack):
        connection = connect(stack, node, "root", autocommit=True)
        with connection, connection.cursor() as cursor:
            for table in TABLES:
                cursor.execute(f"DELETE FROM {table}")
    yield stack


def records(*raws: bytes) -> pl.DataFrame:
    rows = [(0, offset, *raw.decode().split("\t")) for offset, raw in enumerate(raws)]
    schema = {"partition": pl.Int32, "offset": pl.Int64} | dict.fromkeys(COLUMNS_12, pl.String)
    return pl.DataFrame(rows, schema=schema, orient="row")


def every_gate(settings: Settings) -> tuple[pl.DataFrame, list[str]]:
    """Two passes at each of eight gates, and the gates' names."""
    gates = [f"SINK_G{n}" for n in range(8)]
    ensure_gates(settings, gates)
    return records(*(line(f0=f"sink-{n}", f2=gates[n % 8]) for n in range(16))), gates


def count(settings: Settings, table: str, what: str = "COUNT(*)") -> dict[str, int]:
    found = {}
    for node in node_names(settings):
        connection = connect(settings, node, "kakou_reader")
        with connection, connection.cursor() as cursor:
            cursor.execute(f"SELECT COALESCE({what}, 0) FROM {table}")
            found[node] = int(cursor.fetchone()[0])
    return found


def write(
    store: Nodes | Endpoint, batch: Batch, *slices: pl.DataFrame, rejected: pl.DataFrame | None = None
) -> list[Sorted]:
    """A batch in slices, as the stream writes it; the refused records come with the first."""
    found = []
    with store.begin(batch) as writing:
        for rows in slices:
            parts = sort_out(rows, writing.stored_under(rows["gcxh"].to_list()))
            writing.add(parts, REFUSED.clear() if rejected is None or found else rejected)
            found.append(parts)
        writing.commit()
    return found


def is_done(store: Nodes | Endpoint, batch: Batch) -> bool:
    with store.begin(batch) as writing:
        return writing.done


def held(store: Nodes | Endpoint, rows: pl.DataFrame) -> pl.DataFrame:
    with store.begin(replace(BATCH, query="look")) as writing:
        return writing.stored_under(rows["gcxh"].to_list())


@pytest.mark.parametrize("route", [Nodes, Endpoint])
def test_a_batch_that_comes_again_is_written_once(clean: Settings, route: type[Nodes | Endpoint]) -> None:
    rows, gates = every_gate(clean)
    store = route(clean)
    assert not is_done(store, BATCH)
    write(store, BATCH, rows, rejected=REFUSED)
    assert is_done(store, BATCH)
    if isinstance(store, Nodes):
        write(store, BATCH, rows, rejected=REFUSED)
    ring = load_topology(clean.topology_dir).ring
    want = {node: sum(2 for gate in gates if ring.locate(gate) == node) for node in node_names(clean)}
    assert min(want.values()) > 0
    assert count(clean, "traffic_data") == count(clean, "flow_hourly", "SUM(n)") == want
    assert sum(count(clean, "batch_ledger", "SUM(stored)").values()) == 16
    assert sum(count(clean, "batch_ledger", "SUM(rejected)").values()) == 3
    assert count(clean, "rejected_records") == dict.fromkeys(node_names(clean), 0) | {node_names(clean)[0]: 3}
    store.close()


@pytest.mark.parametrize("route", [Nodes, Endpoint])
def test_a_batch_in_slices_is_one_batch(clean: Settings, route: type[Nodes | Endpoint]) -> None:
    """A later slice knows what an earlier one holds, on every node, before anything is committed."""
    rows, gates = every_gate(clean)
    again = rows.head(3).with_columns(pl.col("offset") + 100)
    elsewhere = rows.slice(3, 3).with_columns(
        pl.col("offset") + 100, pl.Series("kkmc", [gates[n + 1] for n in (3, 4, 5)])
    )
    store = route(clean)
    *_, last = write(store, BATCH, rows.head(8), rows.tail(8), pl.concat([again, elsewhere]))
    assert len(last.duplicates) == len(last.conflicts) == 3 and last.fresh.is_empty()
    assert sum(count(clean, "traffic_data").values()) == sum(count(clean, "flow_hourly", "SUM(n)").values())
    assert sum(count(clean, "batch_ledger", "SUM(stored)").values()) == 16
    assert sum(count(clean, "duplicate_records").values()) == 3
    store.close()


@pytest.mark.parametrize("route", [Nodes, Endpoint])
@pytest.mark.parametrize(
    ("step", "stored"),
    [(1, range(0)), (1, range(3, 40, 7)), (40, range(0, 4_000)), (1, range(40))],
    ids=["all free", "some between", "many others between", "all stored"],
)
def test_whatever_lies_between_neighbours_each_stored_id_is_found(
    clean: Settings, route: type[Nodes | Endpoint], step: int, stored: range
) -> None:
    """Ids that follow each other are looked for by ranges, odd ones one by one; on each node."""
    _, gates = every_gate(clean)
    odd = ["G1", "号牌-1", "G32030100000000A ", "G-0001"]
    store = route(clean)
    known = [f"G3203010000{n:06d}" for n in stored] + odd[:2]
    write(store, BATCH, records(*(line(f0=one, f2=gates[n % 8]) for n, one in enumerate(known))))
    asked = [f"G3203010000{n * step:06d}" for n in range(40)] + odd
    with store.begin(replace(BATCH, query="look")) as writing:
        found = writing.stored_under(asked)["gcxh"].to_list()
    assert sorted(found) == sorted(set(asked) & set(known))
    store.close()


def test_a_batch_that_was_not_committed_leaves_nothing(clean: Settings) -> None:
    rows, _ = every_gate(clean)
    store = Nodes(clean)
    with pytest.raises(ZeroDivisionError), store.begin(BATCH) as writing:
        writing.add(sort_out(rows, writing.stored_under([])), REFUSED)
        raise ZeroDivisionError
    assert not is_done(store, BATCH)
    for table in TABLES:
        assert set(count(clean, table).values()) == {0}, table
    store.close()


@pytest.mark.parametrize("route", [Nodes, Endpoint])
def test_a_closed_day_takes_rows_but_no_roll_up(clean: Settings, route: type[Nodes | Endpoint]) -> None:
    """Its roll-up is counted from the archive, so that a pass that comes again never counts twice."""
    rows, _ = every_gate(clean)
    other_day = rows.with_columns(
        pl.lit("2024-01-16 08:00:10").alias("gcsj"), (pl.col("gcxh") + "-next").alias("gcxh")
    )
    for node in node_names(clean):
        connection = connect(clean, node, "root", autocommit=True)
        with connection, connection.cursor() as cursor:
            cursor.execute("INSERT INTO closed_days (day) VALUES ('2024-01-15')")
    store = route(clean)
    write(store, BATCH, rows, other_day)
    assert sum(count(clean, "traffic_data").values()) == 32
    assert sum(count(clean, "flow_hourly", "SUM(n)").values()) == 16
    store.close()


@pytest.mark.parametrize("route", [Nodes, Endpoint])
def test_odd_values_are_stored_as_they_came(clean: Settings, route: type[Nodes | Endpoint]) -> None:
    odd = [b"\t".join([b"odd-%d" % n, *raw.split(b"\t")[1:]]) for n, raw in enumerate(GOOD)]
    rows = records(*odd)
    ensure_gates(clean, rows["kkmc"].unique().to_list())
    store = route(clean)
    write(store, BATCH, rows)
    found = held(store, rows).sort("kafka_offset")
    assert found.select(COLUMNS_12).rows() == rows.select(COLUMNS_12).rows()
    assert len(sort_out(rows, found).own) == len(rows)
    store.close()


def kill_connections(settings: Settings, node: str) -> None:
    """Ends every connection of the writer to a node."""
    root = connect(settings, node, "root", autocommit=True)
    with root, root.cursor() as cursor:
        cursor.execute("SELECT id FROM information_schema.processlist WHERE user = 'kakou_writer'")
        for (number,) in cursor.fetchall():
            cursor.execute(f"KILL {int(number)}")


def test_a_node_that_refuses_keeps_the_others_from_committing(clean: Settings) -> None:
    rows, _ = every_gate(clean)
    store = Nodes(clean)
    root = connect(clean, node_names(clean)[1], "root", autocommit=True)
    with root, root.cursor() as cursor:
        cursor.execute("SET GLOBAL read_only = ON")
        try:
            with pytest.raises(pymysql.MySQLError):
                write(store, BATCH, rows)
        finally:
            cursor.execute("SET GLOBAL read_only = OFF")
    assert set(count(clean, "traffic_data").values()) == {0}
    write(store, BATCH, rows)
    assert sum(count(clean, "traffic_data").values()) == sum(count(clean, "flow_hourly", "SUM(n)").values())
    store.close()


def test_death_between_two_nodes_is_made_good(clean: Settings) -> None:
    """Node 2 goes away when node 1 has committed; the batch comes again under the same number."""
    rows, _ = every_gate(clean)
    first_node, second_node = node_names(clean)
    store = Nodes(clean)
    with pytest.raises(pymysql.MySQLError), store.begin(BATCH) as writing:
        writing.add(sort_out(rows, writing.stored_under([])), REFUSED.clear())
        kill_connections(clean, second_node)
        writing.commit()
    assert not is_done(store, BATCH)
    half = count(clean, "traffic_data")
    assert half[first_node] > 0 and half[second_node] == 0
    write(store, BATCH, rows)
    assert is_done(store, BATCH)
    assert sum(count(clean, "traffic_data").values()) == 16
    assert sum(count(clean, "flow_hourly", "SUM(n)").values()) == 16
    assert set(count(clean, "batch_ledger").values()) == {1}
    store.close()


def test_a_fresh_checkpoint_stores_nothing_twice(clean: Settings) -> None:
    rows, _ = every_gate(clean)
    store = Nodes(clean)
    write(store, BATCH, rows)
    write(store, replace(BATCH, query="another"), rows)
    assert (
        sum(count(clean, "traffic_data").values())
        == sum(count(clean, "flow_hourly", "SUM(n)").values())
        == 16
    )
    assert sum(count(clean, "duplicate_records").values()) == 0
    store.close()


def test_endpoint_half_written_counts_each_hour_once(clean: Settings) -> None:
    """The rows went through, the roll-up and the ledger did not."""
    rows, _ = every_gate(clean)
    store = Endpoint(clean)
    write(store, BATCH, rows.head(10))
    write(store, replace(BATCH, number=1), rows)
    assert (
        sum(count(clean, "traffic_data").values())
        == sum(count(clean, "flow_hourly", "SUM(n)").values())
        == 16
    )


def alert(number: int) -> str:
    first, second = f"sink-a{number}", f"sink-b{number}"
    return Alert(
        alert_id=alert_id("苏C12345", first, second, "t"), verdict="cloned_plate", confidence=0.9,
        severity="high",
        hphm="苏C12345", hpzl="02",
        first=AlertPass(first, "A", "甲", "2024-01-15 08:00:10", "-"),
        second=AlertPass(second, "B", "乙", "2024-01-15 08:03:40", "-"),
        gap_seconds=210, min_travel_seconds=1440, distance_km=None, implied_kmh=None,
        evidence=(Evidence("impossible_travel", 3.1, "中", "en"),), case_id=case_id("苏C12345", "t"),
        rule_version="t", detected_at=f"2024-01-15T08:03:{number % 60:02d}.120+08:00",
    ).to_json()  # fmt: skip


@pytest.fixture
def no_alerts(stack: Settings) -> Iterator[Settings]:
    def clear() -> None:
        connection = connect(stack, "dn1", "root", autocommit=True)
        with connection, connection.cursor() as cursor:
            cursor.execute("DELETE FROM warnings")
            cursor.execute("DELETE FROM warning_tracks")
        client = redis_client(stack)
        everything_lost(client)
        client.delete("kakou:test")

    clear()
    yield stack
    clear()


def test_alerts_reach_table_and_list_once(no_alerts: Settings) -> None:
    table, listed, client = AlertTable(no_alerts), AlertList(no_alerts), redis_client(no_alerts)
    bodies = [alert(n) for n in range(3)]
    assert listed.push(table.write(bodies)) == 3
    again = [body.replace("08:03:0", "09:09:0") for body in bodies]  # the same alerts, found once more later
    assert listed.push(table.write(again)) == 0
    newest_first = [json.loads(body)["alert_id"] for body in client.lrange(redis_keys.WARNINGS, 0, -1)]
    assert newest_first == [json.loads(body)["alert_id"] for body in reversed(bodies)]
    assert client.lrange(redis_keys.WARNINGS, 0, -1) == list(reversed(bodies))
    listed.close()


def tracks_in_table(settings: Settings) -> list[tuple[str, str]]:
    connection = connect(settings, "dn1", "kakou_reader")
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT alert_id, body FROM warning_tracks ORDER BY alert_id")
        return list(cursor.fetchall())


def test_tracks_are_written_with_their_alerts_and_once(no_alerts: Settings) -> None:
    """A batch that is done again after a crash, and may judge otherwise, changes neither."""
    table = AlertTable(no_alerts)
    bodies = [alert(n) for n in range(3)]
    held = table.write(bodies, ["{}", None, '{"own":[]}'])
    ids = [json.loads(body)["alert_id"] for body in bodies]
    first = sorted([(ids[0], "{}"), (ids[2], '{"own":[]}')])
    assert tracks_in_table(no_alerts) == first
    assert table.write(bodies, ['{"other":[]}'] * 2 + [None]) == held
    assert tracks_in_table(no_alerts) == sorted([*first, (ids[1], '{"other":[]}')])
    with pytest.raises(ValueError, match="zip"):
        table.write(bodies, ["{}"])


def test_no_warning_without_its_tracks(no_alerts: Settings) -> None:
    """What fails halfway leaves neither, and the batch comes again."""
    table = AlertTable(no_alerts)
    root = connect(no_alerts, "dn1", "root", autocommit=True)
    with root, root.cursor() as cursor:
        cursor.execute("RENAME TABLE warning_tracks TO put_away")
        try:
            with pytest.raises(pymysql.MySQLError):
                table.write([alert(0)], ["{}"])
        finally:
            cursor.execute("RENAME TABLE put_away TO warning_tracks")
        cursor.execute("SELECT COUNT(*) FROM warnings")
        assert cursor.fetchone() == (0,)
    assert len(table.write([alert(0)], ["{}"])) == 1 and len(tracks_in_table(no_alerts)) == 1


def everything_lost(client: redis.Redis) -> None:
    stale = client.scan_iter(redis_keys.ALERT_PREFIX + "*")
    client.delete(redis_keys.WARNINGS, redis_keys.WARNINGS_FILLED, *stale)


def ids_in(client: redis.Redis) -> list[str]:
    return [json.loads(body)["alert_id"] for body in client.lrange(redis_keys.WARNINGS, 0, -1)]


def test_a_lost_redis_is_filled_from_the_table(no_alerts: Settings) -> None:
    table, listed, client = AlertTable(no_alerts), AlertList(no_alerts), redis_client(no_alerts)
    assert not listed.is_filled()
    listed.push(table.write([alert(n) for n in range(5)]))
    assert listed.refill(table) == 0 and listed.is_filled()
    before = client.lrange(redis_keys.WARNINGS, 0, -1)
    everything_lost(client)
    assert not listed.is_filled()
    assert listed.refill(table) == 5
    assert listed.refill(table) == 0
    assert client.lrange(redis_keys.WARNINGS, 0, -1) == before
    # A reader who takes alerts away has them, and gets them no second time unless somebody asks for it.
    client.delete(redis_keys.WARNINGS)
    assert listed.refill(table) == 0
    assert listed.rebuild(table) == 5
    assert client.lrange(redis_keys.WARNINGS, 0, -1) == before
    listed.close()


def test_warnings_wait_for_redis_and_batches_do_not(
    no_alerts: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redis refuses for want of memory: nothing is lost, and all is relayed when it takes again."""
    monkeypatch.setattr(Later, "PAUSE_S", 0.0)
    monkeypatch.setattr(alert_relay, "LOOK_S", 0.0)
    client = redis_client(no_alerts)
    table = AlertTable(no_alerts)
    relay, counter = AlertRelay(no_alerts, table), Counter(no_alerts, "kakou:test")
    relay.push(table.write([alert(0)]))
    assert counter.count("q", 0, {"n": 1}, {"at": "w"})
    most = client.config_get("maxmemory")["maxmemory"]
    client.config_set("maxmemory", "1")
    try:
        relay.push(table.write([alert(1)]))
        relay.tend()
        assert not counter.count("q", 1, {"n": 2}, {"at": "x"})
    finally:
        client.config_set("maxmemory", most)
    assert len(ids_in(client)) == 1
    relay.push(table.write([alert(2)]))
    assert len(ids_in(client)) == 1, "what is owed comes first"
    relay.tend()
    assert ids_in(client) == [json.loads(alert(n))["alert_id"] for n in (2, 1, 0)]
    assert counter.count("q", 2, {"n": 3}, {"at": "y"})
    assert client.hgetall("kakou:test") == {"query": "q", "batch": "2", "n": "6", "at": "y"}
    everything_lost(client)
    relay.tend()
    assert len(ids_in(client)) == 3
    relay.close()
    counter.close()


def test_a_batch_is_counted_once(no_alerts: Settings) -> None:
    counter, client = Counter(no_alerts, "kakou:test"), redis_client(no_alerts)
    assert counter.add("q", 0, {"n": 2, "m": 0}, {"at": "x"})
    assert not counter.add("q", 0, {"n": 2, "m": 0}, {"at": "y"})
    assert counter.add("q", 1, {"n": 3, "m": 1}, {"at": "z"})
    assert client.hgetall("kakou:test") == {"query": "q", "batch": "1", "n": "5", "m": "1", "at": "z"}
    assert counter.add("another", 0, {"n": 1}, {})
    assert client.hgetall("kakou:test") == {"query": "another", "batch": "0", "n": "1"}
    counter.close()
