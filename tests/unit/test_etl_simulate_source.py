"""What the simulator replays: passes that a gate saw, and no others."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from etl.simulate.source import History
from kakou.errors import BadInputError

ORIGINS = ["observed", "copied", "observed", "replicated", "observed"]


def expanded(folder: Path, origins: list[str]) -> Path:
    """Passes of one gate, a minute apart; the plate tells the number of the row."""
    words = {"XZQHMC": "丰县", "KKMC": "A", "FXLX": "1", "HPZL": "02", "CLPPXH": "大众牌"}
    derived = {"PROVINCE": "江苏", "VEHICLE_TYPE_NAME": "小型汽车"}
    columns = {name: [word] * len(origins) for name, word in (words | derived).items()}
    columns["HPHM"] = [f"苏C{n:05d}" if n else "苏C1***" for n in range(len(origins))]
    columns["ORIGIN"] = origins
    times = [datetime(2024, 1, 15, 8) + timedelta(minutes=n) for n in range(len(origins))]
    path = folder / "master_data_expanded.parquet"
    pq.write_table(pa.table(columns | {"GCSJ": pa.array(times, pa.timestamp("us"))}), path)
    return path


def test_only_observed_passes_are_replayed_and_counted(tmp_path: Path):
    history = History(expanded(tmp_path, ORIGINS))
    assert (history.rows, history.whole_plates) == (3, 2)
    rows = list(islice(history.endless(), 4))
    assert [row.hphm for _, row in rows] == ["苏C1***", "苏C00002", "苏C00004", "苏C1***"]
    assert [number for number, _ in rows] == [0, 1, 2, 0]


def test_replay_goes_on_at_the_observed_row_where_it_stopped(tmp_path: Path):
    ((number, row),) = islice(History(expanded(tmp_path, ORIGINS)).endless(start=4), 1)
    assert (number, row.hphm) == (1, "苏C00002")


def test_history_that_nobody_saw_is_refused(tmp_path: Path):
    with pytest.raises(BadInputError, match="no observed pass"):
        History(expanded(tmp_path, ["copied", "replicated"]))
