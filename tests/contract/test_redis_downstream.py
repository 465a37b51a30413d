"""Redis as docs/downstream.md says: each key as its writer leaves it, and an account that can only read."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest
import redis
from downstream_page import tables, words

from kakou import redis_keys
from kakou.alert import Alert, AlertPass, Evidence, alert_id, case_id
from kakou.connections import connect, node_names, redis_client
from kakou.detection.casebook import Told
from kakou.detection.contradictions import Counts
from kakou.detection.evidence.tracks import Tracks
from kakou.fields import COLUMNS_12
from kakou.secret_files import secret
from kakou.settings import Settings
from spark_jobs import ingest
from spark_jobs.detect import Alerts
from spark_jobs.flow_publish import report_status
from spark_jobs.ingest import Ingest
from spark_jobs.offset_log import Span
from spark_jobs.progress import ProgressListener

pytestmark = pytest.mark.integration
KEYS = {words(row[0])[0]: (row[1], words(row[2])) for row in tables()["Redis"]}
ALERT = Alert(
    alert_id=alert_id("苏C12345", "red-1", "red-2", "gap-1"),
    verdict="cloned_plate", confidence=0.97, severity="high", hphm="苏C12345", hpzl="02",
    first=AlertPass("red-1", "A", "甲", "2024-01-15 08:00:10", "大众牌"),
    second=AlertPass("red-2", "B", "乙", "2024-01-15 08:03:40", "丰田牌"),
    gap_seconds=210, min_travel_seconds=1440, distance_km=31.2, implied_kmh=535.0,
    evidence=(Evidence("impossible_travel", 3.1, "中文", "English"),),
    case_id=case_id("苏C12345", "gap-1"), rule_version="gap-1", detected_at="2024-01-15T08:03:41.120+08:00",
)  # fmt: skip
# What the page calls a type, as JSON has it.
JSON_TYPES: dict[str, tuple[type, ...]] = {
    "text": (str,), "text or null": (str, type(None)), "integer": (int,), "number": (float, int),
    "integer or null": (int, type(None)), "number or null": (float, int, type(None)), "object": (dict,),
    "list": (list,),
}  # fmt: skip


@pytest.fixture
def client(stack: Settings) -> Iterator[redis.Redis]:
    client = redis_client(stack)
    client.flushdb()
    yield client
    client.flushdb()
    for node in node_names(stack):
        with connect(stack, node, "root", autocommit=True) as server, server.cursor() as cursor:
            cursor.execute("DELETE FROM traffic_data WHERE id LIKE 'red-%'")
            cursor.execute("DELETE FROM flow_hourly WHERE kkmc = 'RED_G1'")
            cursor.execute("DELETE FROM batch_ledger WHERE query = 'redis-contract'")
    with connect(stack, "dn1", "root", autocommit=True) as server, server.cursor() as cursor:
        cursor.execute("DELETE FROM warnings WHERE alert_id = %s", (ALERT.alert_id,))


def shape(key: str) -> tuple[str, list[str]]:
    """Type and fields of a key on the page."""
    return KEYS[key]


def of(client: redis.Redis, key: str, name: str = "") -> Any:
    """A key's content, once its type and fields are those of the page."""
    kind, fields = shape(key)
    real = re.sub(r"<.*>", name, key)
    assert client.type(real) == kind
    if kind == "hash":
        assert sorted(client.hgetall(real)) == sorted(fields)
        return client.hgetall(real)
    return client.lrange(real, 0, -1) if kind == "list" else client.get(real)


def test_the_page_names_every_key_that_we_keep_and_no_other() -> None:
    ours = {value for name, value in vars(redis_keys).items() if name.isupper() and isinstance(value, str)}
    assert {re.sub(r"<.*>", "", key) for key in KEYS} == ours
    assert len(KEYS) == len(tables()["Redis"]) >= 7


def test_what_detection_writes(stack: Settings, client: redis.Redis) -> None:
    sink = Alerts(stack, lambda: "redis-contract")
    sink.write(7, [Told(ALERT, Tracks((), ()))], Counts(passes=5, withheld=1))
    sink.tend()
    sink.close()
    (body,) = of(client, redis_keys.WARNINGS)
    assert json.loads(body) == ALERT.to_dict()
    guard = "kakou:alert:<alert_id>"
    assert of(client, guard, ALERT.alert_id) == shape(guard)[1][0] == "1"
    assert 0 < client.ttl(redis_keys.ALERT_PREFIX + ALERT.alert_id) <= 7 * 86_400
    assert of(client, redis_keys.WARNINGS_FILLED) == shape(redis_keys.WARNINGS_FILLED)[1][0]
    totals = of(client, redis_keys.DETECTION_COUNTS)
    assert (totals["query"], totals["batch"], totals["passes"], totals["alerts"]) == (
        "redis-contract", "7", "5", "1",
    )  # fmt: skip
    numbers = {name: value for name, value in totals.items() if name not in ("query", "at")}
    assert all(value.isdecimal() for value in numbers.values())
    assert _is_stamp(totals["at"])


def test_what_ingest_writes(stack: Settings, client: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    good = (
        "red-1",
        "睢宁县",
        "RED_G1",
        "1",
        "2024-01-15 08:00:10",
        "02",
        "苏C1",
        "-",
        "江苏",
        "0",
        "1",
        "小型汽车",
    )
    rows = pl.DataFrame(
        [(0, n, None, None, 100, *good) for n in range(2)],
        schema={
            "partition": pl.Int32, "offset": pl.Int64, "reason": pl.String, "value": pl.Binary,
            "size": pl.Int32, **dict.fromkeys(COLUMNS_12, pl.String),
        },
        orient="row",
    )  # fmt: skip
    # Spark's two answers, what a batch spans and its rows; everything behind them is real.
    monkeypatch.setattr(ingest, "Slices", lambda *_: [rows])
    spans = SimpleNamespace(span=lambda _: Span({0: 0}, {0: 2}))
    sink = Ingest(stack, lambda: "redis-contract", spans)  # type: ignore[arg-type]
    sink(None, 3)  # type: ignore[arg-type]
    sink.close()
    told = of(client, redis_keys.STREAM_PROGRESS)
    assert (told["query"], told["batch"]) == ("redis-contract", "3")
    assert (told["stored"], told["duplicates"], told["rejected"]) == ("1", "1", "0")
    assert json.loads(told["offsets"]) == {"0": 2} and float(told["seconds"]) > 0 and _is_stamp(told["at"])


def test_what_the_listener_writes(stack: Settings, client: redis.Redis) -> None:
    listener = ProgressListener(stack)
    listener.onQueryStarted(SimpleNamespace(id="q1", name="ingest"))
    listener.onQueryIdle(SimpleNamespace(id="q1"))
    assert not client.exists(redis_keys.STREAM_QUERY_PREFIX + "ingest"), "nothing is known before a batch"
    for batch, taken in enumerate((10, 20)):
        ends = [json.dumps({"traffic-raw": {"0": n}}) for n in (taken, 50)]
        listener.onQueryProgress(
            SimpleNamespace(
                progress=SimpleNamespace(
                    name="ingest", batchId=batch, numInputRows=10, durationMs={"triggerExecution": 500},
                    sources=[SimpleNamespace(endOffset=ends[0], latestOffset=ends[1])],
                )
            )
        )  # fmt: skip
    client.hset(redis_keys.STREAM_QUERY_PREFIX + "ingest", "at", "long ago")
    listener.onQueryIdle(SimpleNamespace(id="q1"))
    listener.close()
    told = of(client, "kakou:stream:query:<name>", "ingest")
    assert (told["batch"], told["records"], told["lag"]) == ("1", "10", "30")
    assert json.loads(told["offsets"]) == {"0": 20} and json.loads(told["lag_by_partition"]) == {"0": 30}
    for number in ("seconds", "handled_per_second", "arriving_per_second"):
        assert float(told[number]) >= 0
    assert _is_stamp(told["at"])


@pytest.mark.parametrize("status", ["published", "refused"])
def test_what_the_training_writes(stack: Settings, client: redis.Redis, status: str) -> None:
    report_status(stack, status, reason="too few days", reason_zh="天数不足")
    kind, fields = shape(redis_keys.FLOW_STATUS)
    assert client.type(redis_keys.FLOW_STATUS) == kind
    told = json.loads(str(client.get(redis_keys.FLOW_STATUS)))
    assert list(told) == fields and told["status"] == status


def test_the_alert_is_that_of_the_page() -> None:
    body = ALERT.to_dict()
    rows = tables()["Alert JSON"]
    assert [words(row[0])[0] for row in rows] == list(body)
    for (key, kind, _), value in zip(rows, body.values(), strict=True):
        assert type(value) in JSON_TYPES[kind], key
        if kind == "object":
            assert all(type(one) is str for one in value.values())
            assert list(value) == words(dict((row[0], row[2]) for row in rows)["`first`"])
    for none in ("min_travel_seconds", "distance_km", "implied_kmh", "model_version"):
        (kind,) = [row[1] for row in rows if row[0] == f"`{none}`"]
        assert type(None) in JSON_TYPES[kind]


def open_reader(settings: Settings, password: str) -> redis.Redis:
    return redis.Redis(
        host=settings.host,
        port=settings.port("redis"),
        username="kakou_reader",
        password=password,
        decode_responses=True,
    )


@pytest.fixture
def reader(stack: Settings) -> Iterator[redis.Redis]:
    reader = open_reader(stack, secret(stack, "redis_reader").get_secret_value())
    yield reader
    reader.close()


def test_the_reader_reads_every_key(client: redis.Redis, reader: redis.Redis) -> None:
    client.lpush("traffic:warnings", "{}")
    client.hset("kakou:stream:progress", "batch", "1")
    client.set("kakou:flow:status", "{}")
    assert reader.ping()
    assert reader.lrange("traffic:warnings", 0, 9) == ["{}"]
    assert reader.hgetall("kakou:stream:progress") == {"batch": "1"}
    assert reader.get("kakou:flow:status") == "{}"
    assert reader.ttl("kakou:flow:status") == -1 and reader.exists("traffic:warnings") == 1


@pytest.mark.parametrize(
    "command",
    [
        "SET kakou:x 1", "LPUSH traffic:warnings x", "LTRIM traffic:warnings 0 0", "DEL traffic:warnings",
        "HSET kakou:stream:progress batch 2", "EXPIRE traffic:warnings 1", "RENAME traffic:warnings kakou:x",
        "GETDEL kakou:flow:status", "COPY traffic:warnings kakou:x", "EVAL return 0", "PUBLISH kakou:x 1",
        "SUBSCRIBE kakou:x", "GET other:key", "LRANGE others 0 1", "KEYS *", "FLUSHALL", "CONFIG GET *",
        "ACL WHOAMI", "CLIENT LIST", "CLIENT KILL 127.0.0.1:1", "INFO", "MONITOR", "SHUTDOWN",
        "SAVE",
        "SORT traffic:warnings STORE kakou:x", "BITFIELD kakou:flow:status SET u8 0 1",
    ],
)  # fmt: skip
def test_the_reader_can_do_nothing_else(client: redis.Redis, reader: redis.Redis, command: str) -> None:
    client.lpush("traffic:warnings", "{}")
    client.set("kakou:flow:status", "{}")
    client.set("other:key", "x")
    words_of = command.split(" ")
    if words_of[0] == "EVAL":
        words_of = ["EVAL", "return redis.call('SET', 'kakou:x', '1')", "0"]
    with pytest.raises(redis.exceptions.NoPermissionError):
        reader.execute_command(*words_of)
    assert client.exists("kakou:x") == 0 and client.lrange("traffic:warnings", 0, -1) == ["{}"]


def test_another_password_is_refused(stack: Settings) -> None:
    for password in ("guessed", secret(stack, "redis").get_secret_value()):
        with pytest.raises(redis.exceptions.AuthenticationError):
            open_reader(stack, password).ping()


def _is_stamp(text: str) -> bool:
    return bool(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?\+\d\d:\d\d", text))
