"""Rows for tests of the API, written to the real stores the way the stream's writer leaves them."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import astuple
from datetime import date, datetime
from pathlib import Path

from kakou import redis_keys
from kakou.alert import Alert, AlertPass, Evidence, alert_id, case_id
from kakou.connections import connect, redis_client
from kakou.detection.evidence.tracks import Seen, Tracks, Way
from kakou.detection.times import seconds_of
from kakou.fields import COLUMNS_12, DIMENSION_COLUMNS, PEAK_HOURS, TIME_FORMAT, VEHICLE_TYPE_NAMES
from kakou.passage import Passage
from kakou.plates import province_of
from kakou.settings import Settings
from kakou.topology import load_topology
from sql.gates import ensure_gates, load_gates

# The ring puts these on both nodes.
GATES = (
    ("G104_Suining_K873", "徐州市睢宁县G104北京-福州K873江苏徐州-G104-苏皖界省际卡口",
     "睢宁县", "G104", "K873", 117.895947, 33.912474),
    ("G3_Xuzhou_K731", "G3京台高速K731江苏高速五大队江苏徐州-G3-苏鲁界省际卡口",
     "高速五大队", "G3", "K731", 117.396433, 34.487818),
    ("G235_Xinyi_K10", "徐州市新沂市G235国道235K10江苏徐州-G235-交界市际卡口",
     "新沂市", "G235", "K10", 118.338161, 34.403598),
    ("S325_Suining_K63", "徐州市睢宁县S325淮宿线K63(325省道)63K+100M东侧-向西卡口市际卡口",
     "睢宁县", "S325", "K63", 118.044163, 33.904848),
    ("S505_Xinyi_K10", "徐州市新沂市S505505省道K10新沂高速西出口-505省道宿迁界市际卡口",
     "新沂市", "S505", "K10", None, None),
)  # fmt: skip
ALIAS = "睢宁G104老名"


def write_dimension(path: Path) -> Path:
    """``kkmc_dimension.csv`` of ``GATES``; the first gate has a second alias, the last no position."""
    with path.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(DIMENSION_COLUMNS)
        for index, (kkmc, name, district, road, stake, lon, lat) in enumerate(GATES):
            aliases = f"{name}|{ALIAS}" if index == 0 else name
            writer.writerow([kkmc, name, aliases, district, road, stake, "省际", lon or "", lat or ""])
    return path


def store_gates(settings: Settings, folder: Path) -> None:
    """Makes ``GATES`` known to the nodes and the endpoint."""
    load_gates(settings, write_dimension(folder / "kkmc_dimension.csv"))


def passage(
    gcxh: str, kkmc: str, gcsj: datetime, hphm: str = "苏C12345", *, hpzl: str = "02", fxlx: str = "1"
) -> Passage:
    """A pass whose last four fields follow from the others."""
    return Passage(
        gcxh=gcxh,
        xzqhmc=next((gate[2] for gate in GATES if gate[0] == kkmc), "未知"),
        kkmc=kkmc,
        fxlx=fxlx,
        gcsj=gcsj.replace(microsecond=0, tzinfo=None),
        hpzl=hpzl,
        hphm=hphm,
        clppxh="大众牌",
        province=province_of(hphm),
        is_weekend=int(gcsj.weekday() >= 5),
        is_peak_hour=int(gcsj.hour in PEAK_HOURS),
        vehicle_type_name=VEHICLE_TYPE_NAMES.get(hpzl, "未知"),
    )


def store_passes(settings: Settings, passes: Iterable[Passage]) -> None:
    """Each pass and its share of the roll-up, in one transaction on the node that the ring names."""
    ring = load_topology(settings.topology_dir).ring
    of_node: dict[str, list[Passage]] = {}
    for one in passes:
        of_node.setdefault(ring.locate(one.kkmc), []).append(one)
    ensure_gates(settings, {one.kkmc for mine in of_node.values() for one in mine})
    columns = ", ".join(("id", *COLUMNS_12[1:]))
    insert = f"INSERT INTO traffic_data ({columns}) VALUES ({', '.join(['%s'] * 12)})"
    for node, mine in of_node.items():
        hours = Counter((p.kkmc, p.gcsj.date(), p.gcsj.hour, p.province, p.vehicle_type_name) for p in mine)
        with connect(settings, node, "kakou_writer") as connection, connection.cursor() as cursor:
            cursor.executemany(insert, [astuple(one) for one in mine])
            cursor.executemany(
                "INSERT INTO flow_hourly (kkmc, day, hour, province, vehicle_type_name, n) "
                "VALUES (%s, %s, %s, %s, %s, %s) ON DUPLICATE KEY UPDATE n = n + VALUES(n)",
                [(*key, n) for key, n in hours.items()],
            )
            connection.commit()


def store_forecast(
    settings: Settings,
    rows: Sequence[tuple[str, date, int, float, float, float]],
    version: str = "3",
    published_at: datetime = datetime(2024, 1, 1),
) -> None:
    """Forecast rows (gate, day, hour, predicted, low, high) on dn1, as training publishes them."""
    with connect(settings, "dn1", "kakou_writer") as connection, connection.cursor() as cursor:
        cursor.executemany(
            "REPLACE INTO flow_forecast (kkmc, day, hour, predicted, low, high, model_version, published_at) "
            "VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
            [(*row, version, published_at) for row in rows],
        )
        connection.commit()


def alert(
    hphm: str,
    first: tuple[str, str, datetime],
    second: tuple[str, str, datetime],
    *,
    verdict: str = "cloned_plate",
) -> Alert:
    """An alert on two passes, each given as (gcxh, gate, time)."""
    gap = int((second[2] - first[2]).total_seconds())
    return Alert(
        alert_id=alert_id(hphm, first[0], second[0], "t"),
        verdict=verdict,  # type: ignore[arg-type]
        confidence=0.97,
        severity="high",
        hphm=hphm,
        hpzl="02",
        first=_side(first, "大众牌"),
        second=_side(second, "丰田牌"),
        gap_seconds=gap,
        min_travel_seconds=1440,
        distance_km=31.2,
        implied_kmh=round(31.2 / (gap / 3600), 1),
        evidence=(Evidence("impossible_travel", 3.1, "不可能的行程", "impossible travel"),),
        case_id=case_id(hphm, "t"),
        rule_version="t",
        detected_at=second[2].strftime("%Y-%m-%dT%H:%M:%S.120+08:00"),
    )


def store_alerts(settings: Settings, alerts: Iterable[Alert], *, to_redis: bool = True) -> None:
    """The table first, then the list, as the stream does; oldest first, so that the newest leads the list."""
    for one in alerts:
        with connect(settings, "dn1", "kakou_writer") as connection, connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO warnings (alert_id, case_id, step, verdict, status, severity, confidence, hphm, "
                "first_gcxh, second_gcxh, first_kkmc, second_kkmc, first_gcsj, second_gcsj, gap_seconds, "
                f"rule_version, detected_at, body) VALUES ({', '.join(['%s'] * 18)})",
                _alert_row(one),
            )
            connection.commit()
        if to_redis and one.verdict == "cloned_plate":
            redis_client(settings).lpush(redis_keys.WARNINGS, one.to_json())


def store_tracks(settings: Settings, of: Alert, tracks: Tracks) -> None:
    """The passes of an alert, as they are kept for its page."""
    with connect(settings, "dn1", "kakou_writer") as connection, connection.cursor() as cursor:
        cursor.execute("INSERT INTO warning_tracks VALUES (%s, %s)", (of.alert_id, tracks.to_json()))
        connection.commit()


def tracks(of: Alert) -> Tracks:
    """Its two passes, the second one another vehicle's."""
    own, other = (
        Seen(one.gcxh, one.kkmc, one.kkmc_name, seconds_of(one.gcsj), seconds_of(one.gcsj), one.clppxh, "02")
        for one in (of.first, of.second)
    )
    return Tracks((own,), (other,), Way(of.min_travel_seconds or 0, "history", 1234))


def store_counts(settings: Settings, **counts: int) -> None:
    """What detection counted."""
    redis_client(settings).hset(redis_keys.DETECTION_COUNTS, mapping=counts)


def store_flow_status(settings: Settings, **said: str) -> None:
    """What the last training said."""
    redis_client(settings).set(redis_keys.FLOW_STATUS, json.dumps(said, ensure_ascii=False))


def wipe(settings: Settings) -> None:
    """Empties what the API reads, so that a test counts its own rows only; gates stay."""
    topology = load_topology(settings.topology_dir)
    for node in topology.nodes:
        tables = ["traffic_data", "flow_hourly"]
        tables += [
            name
            for name, at in topology.single.items()
            if at == node.name and name in ("warnings", "warning_tracks", "reviews", "flow_forecast")
        ]
        with connect(settings, node.name, "kakou_writer") as connection, connection.cursor() as cursor:
            for table in tables:
                cursor.execute(f"DELETE FROM {table}")
            connection.commit()
    redis_client(settings).delete(redis_keys.WARNINGS, redis_keys.DETECTION_COUNTS, redis_keys.FLOW_STATUS)


def _alert_row(one: Alert) -> tuple[object, ...]:
    detected = one.detected_at[:23].replace("T", " ")
    return (
        one.alert_id, one.case_id, one.step, one.verdict, one.status, one.severity, one.confidence, one.hphm,
        one.first.gcxh, one.second.gcxh, one.first.kkmc, one.second.kkmc, one.first.gcsj, one.second.gcsj,
        one.gap_seconds, one.rule_version, detected, one.to_json(),
    )  # fmt: skip


def _side(side: tuple[str, str, datetime], brand: str) -> AlertPass:
    name = next((gate[1] for gate in GATES if gate[0] == side[1]), side[1])
    return AlertPass(side[0], side[1], name, side[2].strftime(TIME_FORMAT), brand)
