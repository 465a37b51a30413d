"""The nightly job learns what the pure function learns."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import gates_in_a_row
import numpy as np
import pandas as pd
import polars as pl
import pytest
from pyspark.sql import SparkSession

from kakou.detection.knowledge import Knowledge, learn_knowledge
from kakou.detection.knowledge_bytes import from_bytes, to_bytes
from kakou.detection.past import PastOfPasses
from kakou.detection.plate_file import past_in_force
from kakou.detection.travel import MAX_GAP_SECONDS, TRAVEL_COLUMNS, TRAVEL_SCHEMA, learn
from kakou.detection.weighing import Calibration
from kakou.errors import BadInputError
from kakou.plates import is_decidable
from kakou.settings import Settings
from spark_jobs import learn_travel_times as job
from spark_jobs.learn_travel_times import learn_travel_times
from spark_jobs.passes import read_passes

pytestmark = pytest.mark.spark

START = datetime(2024, 1, 1)
PLATES = [f"苏C{n:05d}" for n in range(60)] + ["苏C12***", "-", "6***", "苏CD12345", "鲁QA1234挂"]


def passes(rows: int, seed: int) -> pd.DataFrame:
    """Vehicles at random gates at random times: short and long gaps, ties, ids that come twice, plates that
    name nobody.
    """
    rng = np.random.default_rng(seed)
    seconds = rng.integers(0, 3 * 86_400, rows)
    seconds[: rows // 10] = seconds[rows // 10 : 2 * (rows // 10)]  # ties in time
    ids = [f"G{n:06d}" for n in range(rows)]
    ids[: rows // 50] = ids[rows // 50 : 2 * (rows // 50)]
    return pd.DataFrame(
        {
            "GCXH": ids,
            "KKMC": rng.choice(["A", "B", "C", "丁"], rows),
            "HPHM": rng.choice(PLATES, rows),
            "GCSJ": [START + timedelta(seconds=int(s)) for s in seconds],
            "ORIGIN": rng.choice(["observed", "observed", "observed", "copied", "replicated"], rows),
        }
    ).astype({"GCSJ": "datetime64[us]"})


def honest(days: int) -> pd.DataFrame:
    """Vehicles there and back over four gates in a row."""
    rows = gates_in_a_row.honest(days)
    frame = pd.DataFrame(rows, columns=["GCXH", "KKMC", "HPHM", "t", "CLPPXH"])
    return (
        frame.assign(GCSJ=frame["t"].map(lambda t: START + timedelta(seconds=t)), HPZL="02")
        .drop(columns="t")
        .astype({"GCSJ": "datetime64[us]"})
    )


def by_pure_function(frame: pd.DataFrame) -> pl.DataFrame:
    observed = frame[frame["ORIGIN"] == "observed"]
    return learn(
        pl.DataFrame(
            {
                "gcxh": observed["GCXH"].to_list(),
                "hphm": observed["HPHM"].to_list(),
                "kkmc": observed["KKMC"].to_list(),
                "t": [int((at - START).total_seconds()) for at in observed["GCSJ"]],
            }
        )
    )


def learn_knowledge_of_all(frame: pd.DataFrame) -> Knowledge:
    t = [int((at - datetime(1970, 1, 1)).total_seconds()) for at in frame["GCSJ"]]
    columns = {name.lower(): frame[name].to_list() for name in ("GCXH", "KKMC", "HPHM")}
    bare = {"hpzl": [""] * len(t), "clppxh": [""] * len(t)}
    return learn_knowledge(pl.DataFrame({**columns, **bare, "t": t}), sorted(set(frame["KKMC"])))


def written(settings: Settings) -> pl.DataFrame:
    return pl.read_csv(settings.travel_times_file, schema=TRAVEL_SCHEMA)


@pytest.mark.parametrize("rows", [40, 6_000])
def test_spark_and_pure_function_agree(spark: SparkSession, settings: Settings, tmp_path: Path, rows: int):
    frame = passes(rows, seed=rows)
    frame.sample(frac=1, random_state=1).to_parquet(tmp_path / "passes.parquet", index=False)
    result = learn_travel_times(settings, tmp_path / "passes.parquet")
    expected = by_pure_function(frame)
    assert written(settings).equals(expected)
    assert result.pairs == len(expected) > 0
    assert result.trips == expected["passes"].sum()
    assert result.learned == (expected["basis"] == "learned").sum()


def test_made_up_passes_teach_nothing_unless_they_are_asked_for(
    spark: SparkSession, settings: Settings, tmp_path: Path
):
    frame = passes(400, seed=4)
    frame.to_parquet(tmp_path / "passes.parquet", index=False)
    learn_travel_times(settings, tmp_path / "passes.parquet")
    assert written(settings).equals(by_pure_function(frame))
    learn_travel_times(settings.model_copy(update={"origins": "all"}), tmp_path / "passes.parquet")
    everything = by_pure_function(frame.assign(ORIGIN="observed"))
    assert written(settings).equals(everything)
    assert not everything.equals(by_pure_function(frame))


def test_world_of_the_test_has_pairs_of_both_kinds():
    many, few = by_pure_function(passes(6_000, seed=6_000)), by_pure_function(passes(40, seed=40))
    assert set(many["basis"]) == {"learned"}
    assert set(few["basis"]) == {"few"}


@pytest.mark.parametrize(
    ("gap", "learned"), [(1, True), (MAX_GAP_SECONDS, True), (MAX_GAP_SECONDS + 1, False), (0, False)]
)
def test_trip_is_at_most_four_hours_and_more_than_nothing(
    spark: SparkSession, settings: Settings, tmp_path: Path, gap: int, learned: bool
):
    at = [START, START + timedelta(seconds=gap)]
    frame = pd.DataFrame({"GCXH": ["1", "2"], "KKMC": ["A", "B"], "HPHM": PLATES[0], "GCSJ": at})
    frame.astype({"GCSJ": "datetime64[us]"}).to_parquet(tmp_path / "passes.parquet", index=False)
    learn_travel_times(settings, tmp_path / "passes.parquet")
    rows = [(1, int(0.8 * gap), "few")] if learned else []
    assert written(settings).select("passes", "min_travel_seconds", "basis").rows() == rows


def test_masked_plates_leave_the_header_only(
    spark: SparkSession, settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    frame = passes(500, seed=1).assign(HPHM="苏C12***")
    frame.to_parquet(tmp_path / "passes.parquet", index=False)
    assert learn_travel_times(settings, tmp_path / "passes.parquet").pairs == 0
    assert settings.travel_times_file.read_text(encoding="utf-8") == ",".join(TRAVEL_COLUMNS) + "\n"
    assert "masked plates give none" in capsys.readouterr().out


def test_new_times_replace_old_ones_whole_and_leave_no_draft(
    spark: SparkSession, settings: Settings, tmp_path: Path
):
    settings.travel_times_file.parent.mkdir(parents=True)
    settings.travel_times_file.write_text("old", encoding="utf-8")
    passes(400, seed=2).to_parquet(tmp_path / "passes.parquet", index=False)
    learn_travel_times(settings, tmp_path / "passes.parquet")
    written_files = set(settings.travel_times_file.parent.iterdir())
    assert written_files == {settings.travel_times_file, settings.knowledge_file, settings.past_dir}
    assert written(settings).columns == list(TRAVEL_COLUMNS)


def test_what_verdicts_go_by_is_what_the_pure_function_learns(
    spark: SparkSession, settings: Settings, tmp_path: Path
):
    frame = passes(4_000, seed=4).assign(HPZL="02", CLPPXH="大众牌")
    frame.to_parquet(tmp_path / "passes.parquet", index=False)
    result = learn_travel_times(settings, tmp_path / "passes.parquet")
    found = from_bytes(settings.knowledge_file.read_bytes())
    observed = frame[frame["ORIGIN"] == "observed"]
    t = [int((at - datetime(1970, 1, 1)).total_seconds()) for at in observed["GCSJ"]]
    columns = {name.lower(): observed[name].to_list() for name in ("GCXH", "KKMC", "HPHM", "HPZL", "CLPPXH")}
    expected = learn_knowledge(pl.DataFrame({**columns, "t": t}), sorted(set(observed["KKMC"])))
    assert found.gates == expected.gates and found.version == result.run_id == ""
    for name in ("trips", "usual", "least", "busy", "constant"):
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name))
    assert found.make == expected.make and found.confusion == expected.confusion


def test_single_plates_are_those_of_the_pure_function_whatever_is_sampled(
    spark: SparkSession, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(job, "MOST_PASSES", 100)
    dice = np.random.default_rng(8)
    frame = passes(3_000, seed=8)
    frame["HPZL"] = dice.choice(["02", "01", "-", "", " 02"], len(frame))
    frame["CLPPXH"] = dice.choice(
        ["大众牌", "大众牌SVW7183", "\u3000丰田 牌", "-", "", "无牌照", None], len(frame)
    )
    frame.to_parquet(tmp_path / "passes.parquet", index=False)
    result = learn_travel_times(settings, tmp_path / "passes.parquet")
    observed = frame[frame["ORIGIN"] == "observed"].fillna("")
    t = [int((at - datetime(1970, 1, 1)).total_seconds()) for at in observed["GCSJ"]]
    columns = {name.lower(): observed[name].to_list() for name in ("HPHM", "HPZL", "CLPPXH")}
    expected = PastOfPasses(pl.DataFrame({**columns, "t": t}))
    found, why = past_in_force(settings, from_bytes(settings.knowledge_file.read_bytes()))
    assert why == "" and result.plates == len({one for one in observed["HPHM"] if is_decidable(one)}) > 60
    for plate in [*PLATES, "苏C99999"]:
        assert found.around([plate]) == expected.around([plate])
    # A version before it stays for whoever has just read its knowledge; older ones go.
    names = [one.name for one in settings.past_dir.iterdir()]
    for seed in (9, 10):
        passes(400, seed=seed).to_parquet(tmp_path / "passes.parquet", index=False)
        learn_travel_times(settings, tmp_path / "passes.parquet")
        names.append(from_bytes(settings.knowledge_file.read_bytes()).past)
    assert len(set(names)) == 3 and {one.name for one in settings.past_dir.iterdir()} == {*names[1:]}


def test_where_no_review_can_be_asked_for_reasons_are_weighed_as_the_night_before(
    spark: SparkSession, settings: Settings, tmp_path: Path
):
    passes(400, seed=6).to_parquet(tmp_path / "passes.parquet", index=False)
    assert learn_travel_times(settings, tmp_path / "passes.parquet").reviews is None
    first = from_bytes(settings.knowledge_file.read_bytes())
    assert first.reviewed is None
    before = Calibration(prior=0.002, trust=0.7)
    settings.knowledge_file.write_bytes(to_bytes(replace(first, reviewed=before)))
    learn_travel_times(settings, tmp_path / "passes.parquet")
    assert from_bytes(settings.knowledge_file.read_bytes()).reviewed == before


def test_of_a_history_that_is_too_large_whole_vehicles_teach(
    spark: SparkSession, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(job, "MOST_PASSES", 1_000)
    frame = passes(4_000, seed=5)
    frame.to_parquet(tmp_path / "passes.parquet", index=False)
    some = job.knowledge_of(read_passes(spark, tmp_path / "passes.parquet", "all"))
    assert 0 < some.trips.sum() < learn_knowledge_of_all(frame).trips.sum() / 2


def test_what_cannot_be_read_is_named_and_the_old_times_stay(
    spark: SparkSession, settings: Settings, tmp_path: Path
):
    settings.travel_times_file.parent.mkdir(parents=True)
    settings.travel_times_file.write_text("old", encoding="utf-8")
    with pytest.raises(BadInputError, match="There are no passes at"):
        learn_travel_times(settings, tmp_path / "none.parquet")
    passes(10, seed=3).drop(columns="HPHM").to_parquet(tmp_path / "lacking.parquet", index=False)
    with pytest.raises(BadInputError, match="lacks HPHM"):
        learn_travel_times(settings, tmp_path / "lacking.parquet")
    (tmp_path / "broken.parquet").write_bytes(b"no parquet")
    with pytest.raises(BadInputError, match="cannot be read as Parquet"):
        learn_travel_times(settings, tmp_path / "broken.parquet")
    assert settings.travel_times_file.read_text(encoding="utf-8") == "old"


def test_gates_whose_place_will_not_be_used_are_named(
    spark: SparkSession, settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """By the stakes of their road, and by passes; a registry that cannot be read stops nothing."""
    honest(2).to_parquet(tmp_path / "passes.parquet", index=False)
    assert learn_travel_times(settings, tmp_path / "passes.parquet").places_not_used == []
    registry = settings.clean_dir / "kkmc_dimension.csv"
    registry.parent.mkdir(parents=True)
    registry.write_text(
        "KKMC,NAME,ALIASES,XZQHMC,ROAD,STAKE,BOUNDARY,LON,LAT\n"
        "A,甲,甲,,G104,K10,,117.0,34.3\nB,乙,乙,,,,,125.0,34.3\n"
        "C,丙,丙,,G104,K12,,117.6,34.3\nD,丁,丁,,,,,117.9,34.3\n",
        encoding="utf-8",
    )
    capsys.readouterr()
    result = learn_travel_times(settings, tmp_path / "passes.parquet")
    assert result.places_not_used == ["A – C", "B"]
    said = capsys.readouterr().out
    assert "by the stakes of G104" in said and "the place of B on the map: passes reach it faster" in said
    registry.write_text("broken", encoding="utf-8")
    assert learn_travel_times(settings, tmp_path / "passes.parquet").places_not_used is None
    assert "lacks the column" in capsys.readouterr().out
