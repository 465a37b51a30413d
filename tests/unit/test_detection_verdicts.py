"""What an alert says about a contradiction."""

from __future__ import annotations

from typing import Any

import polars as pl
import pyarrow as pa
import pytest

from kakou.alert import Alert, alert_id
from kakou.detection.contradictions import CONTRADICTION_SCHEMA
from kakou.detection.rules import BASIS_HISTORY, BASIS_MAP, RULE_VERSION, build_rules
from kakou.detection.travel import TRAVEL_SCHEMA
from kakou.detection.verdicts import brand_of, judge

AT = "2024-01-15T08:03:41.120+08:00"


def alert(**changes: Any) -> Alert:
    gates = pl.DataFrame(
        {"kkmc": ["A", "B"], "name": ["甲卡口", ""], "lon": [None, None], "lat": [None, None]}
    )
    row = {
        "hphm": "苏C12345",
        "first_gcxh": "1", "first_kkmc": "A", "first_hpzl": "02", "first_clppxh": "大众牌",
        "first_t": 1705305610,
        "second_gcxh": "2", "second_kkmc": "B", "second_hpzl": "02", "second_clppxh": "大众牌",
        "second_t": 1705305820,
        "gap_seconds": 210, "min_travel_seconds": 1440, "distance_km": 31.2, "basis": BASIS_HISTORY,
    } | changes  # fmt: skip
    frame = pl.DataFrame([row], schema=CONTRADICTION_SCHEMA)
    table: pa.Table = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
    return judge(table, build_rules(gates, pl.DataFrame(schema=TRAVEL_SCHEMA)), AT)[0]


def test_numbers_names_and_ids() -> None:
    one = alert()
    assert one.alert_id == alert_id("苏C12345", "1", "2", RULE_VERSION)
    assert (one.first.gcsj, one.second.gcsj) == ("2024-01-15 08:00:10", "2024-01-15 08:03:40")
    assert (one.first.kkmc_name, one.second.kkmc_name) == ("甲卡口", "B")
    assert (one.gap_seconds, one.min_travel_seconds, one.distance_km, one.implied_kmh) == (
        210,
        1440,
        31.2,
        534.9,
    )
    assert one.detected_at == AT and one.verdict == "cloned_plate"


def test_unknown_numbers_are_none_and_never_infinite() -> None:
    assert alert(distance_km=None).implied_kmh is None
    assert alert(gap_seconds=0).implied_kmh is None


def test_the_shorter_the_gap_the_surer() -> None:
    sure = [alert(gap_seconds=gap).confidence for gap in (0, 100, 700, 1200, 1439)]
    assert sure == sorted(sure, reverse=True) and len(set(sure)) == len(sure)
    assert 0.5 < sure[-1] < sure[0] < 1


def test_another_brand_is_evidence_and_a_missing_one_is_none() -> None:
    same, other = alert(), alert(second_clppxh="丰田牌GTM7200")
    missing = alert(second_clppxh="-")
    assert [one.kind for one in other.evidence] == ["impossible_travel", "brand_differs"]
    assert [one.kind for one in missing.evidence] == ["impossible_travel"]
    assert missing.confidence == same.confidence < other.confidence
    assert "丰田牌" in other.evidence[1].zh and "丰田牌" in other.evidence[1].en


def test_the_words_say_where_the_limit_is_from() -> None:
    assert "历史" in alert().evidence[0].zh and "past" in alert().evidence[0].en
    on_map = alert(basis=BASIS_MAP).evidence[0]
    assert "200 公里" in on_map.zh and "200 km/h" in on_map.en


@pytest.mark.parametrize(("first", "second", "want"), [("02", "-", "02"), ("-", "52", "52"), ("", "-", "-")])
def test_plate_type_is_taken_where_it_is_known(first: str, second: str, want: str) -> None:
    assert alert(first_hpzl=first, second_hpzl=second).hpzl == want


def test_models_of_one_maker_are_one_brand() -> None:
    assert brand_of("大众牌SVW7183") == brand_of(" 大众牌")
    assert brand_of("") is brand_of("-") is None
