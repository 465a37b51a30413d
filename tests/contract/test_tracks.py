"""The tracks that are kept with an alert are those of docs/downstream.md."""

from __future__ import annotations

import json

from downstream_page import tables, word, words

from kakou.detection.evidence.tracks import TRACKS_VERSION, Seen, Tracks, Way

SEEN = Seen("1", "A", "甲卡口", 1_705_305_610, 1_705_305_603, "大众牌", "02")
TYPES = {"integer": int, "number": float, "text": str, "object": dict, "list": list, "null": type(None)}


def test_keys_types_and_order_are_those_of_the_page() -> None:
    written = json.loads(Tracks((SEEN,), (SEEN,), Way(840, "map", kmh=200.0)).to_json())
    rows = tables()["Tracks JSON"]
    assert list(written) == [word(row[0]) for row in rows] and written["version"] == TRACKS_VERSION == 1
    for name, kinds, _ in rows:
        assert isinstance(written[word(name)], tuple(TYPES[kind] for kind in kinds.split(" or "))), name


def test_so_are_those_of_a_pass_and_of_the_way() -> None:
    written = json.loads(Tracks((SEEN,), (), Way(840, "map", kmh=200.0)).to_json())
    said = {word(row[0]): words(row[2]) for row in tables()["Tracks JSON"]}
    assert set(written["own"][0]) <= set(said["own"])
    assert set(written["way"]) <= set(said["way"])
    assert (written["own"][0]["gcsj"], written["own"][0]["right"]) == (
        "2024-01-15 08:00:10", "2024-01-15 08:00:03",
    )  # fmt: skip
