"""The generated folder looks like the real export, and no vehicle in it is faster than a road allows."""

import csv
import hashlib
import io

import numpy as np
import polars as pl
import pytest

from etl import pipeline
from etl.generate.profile import traffic_profile
from etl.generate.raw_folder import generate_raw, plan
from etl.params import EtlParams
from etl.registry import known_gates
from kakou.detection.travel import BASIS_LEARNED, learn
from kakou.errors import BadInputError
from kakou.plates import kind_of


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    folder = tmp_path_factory.mktemp("raw")
    written = generate_raw(folder)
    return folder, written


@pytest.fixture(scope="module")
def passes(raw, tmp_path_factory):
    out = tmp_path_factory.mktemp("out")
    pipeline.run(raw[0], out, EtlParams())
    return pl.read_parquet(out / "merged_data_standardized.parquet")


def table(path):
    return list(csv.DictReader(io.StringIO(path.read_bytes().decode("gb18030"))))


def test_the_default_size_and_the_quirks_of_the_files(raw):
    folder, written = raw
    assert 60_000 <= written["rows"] <= 150_000
    first = (folder / "202312/to_yqy_12013.csv").read_bytes()
    assert first.startswith(b'"GCXH","XZQHMC","KKMC","FXLX","GCSJ","HPZL","HP","CLPPXH"\n')
    assert any(row["GCSJ"].startswith("2023/12/13 0:") for row in table(folder / "202312/to_yqy_12013.csv"))
    seventeenth = sorted((folder / "202312").glob("to_yqy_12017.csv")) + sorted(
        (folder / "202312").glob("to_yqy_1201[89].csv")
    )
    copies = {path.read_bytes() for path in seventeenth}
    assert len(copies) == 1
    assert (folder / "202401/13.xlsx").read_bytes() == (folder / "202401/02.xlsx").read_bytes()
    assert (folder / "202401/06-07.xlsx").exists()
    partial = {row["GCSJ"][11:] for row in table(folder / "202312/to_yqy_12012.csv")}
    assert min(partial) >= "10:21:00" and max(partial) <= "11:01:00"


def test_shares_are_those_of_the_export(passes):
    profile = traffic_profile()
    assert passes.height > 60_000
    assert passes["KKMC"].n_unique() == 19
    share = passes["CLPPXH"].eq("-").mean()
    assert share == pytest.approx(profile.missing_brand, abs=0.01)
    assert passes["HPZL"].eq("-").mean() == pytest.approx(profile.missing_plate_type, abs=0.004)
    kinds = passes["HPHM"].map_elements(kind_of, return_dtype=pl.String)
    assert kinds.is_in(["malformed", "none"]).mean() == pytest.approx(0.015, abs=0.003)
    types = passes.filter(pl.col("HPZL") != "-")["HPZL"].value_counts(normalize=True)
    by_type = dict(types.iter_rows())
    assert by_type["02"] == pytest.approx(0.734, abs=0.03)
    assert by_type["01"] == pytest.approx(0.197, abs=0.03)
    jiangsu = passes["HPHM"].str.starts_with("苏").mean()
    assert jiangsu == pytest.approx(0.70, abs=0.04)


def test_hours_follow_the_profile_of_each_gate(passes):
    profile, gates = traffic_profile(), [gate.kkmc for gate in known_gates()]
    whole = passes.filter(pl.col("GCSJ").dt.date().is_in([d for d in days_of(passes) if d.weekday() < 5]))
    got = np.zeros((len(gates), 24))
    counts = whole.group_by("KKMC", pl.col("GCSJ").dt.hour().alias("h")).len()
    for gate, hour, n in counts.iter_rows():
        got[gates.index(gate), hour] = n
    busy = [i for i, gate in enumerate(gates) if gate != "G237_Fengxian_K148"]  # hardly any traffic
    likeness = [np.corrcoef(got[i], profile.flow[0, i])[0, 1] for i in busy]
    assert min(likeness) > 0.75 and np.mean(likeness) > 0.9


def days_of(passes):
    return passes["GCSJ"].dt.date().unique().to_list()


def trips(passes):
    """Consecutive passes of a whole plate at two gates: plate, from, to, seconds."""
    return (
        passes.filter(pl.col("HPHM").map_elements(lambda p: kind_of(p) == "whole", return_dtype=pl.Boolean))
        .sort("HPHM", "GCSJ", "GCXH")
        .with_columns(
            pl.col("HPHM").shift().alias("before"),
            pl.col("KKMC").shift().alias("origin"),
            pl.col("GCSJ").diff().dt.total_seconds().alias("gap"),
        )
        .filter((pl.col("before") == pl.col("HPHM")) & (pl.col("origin") != pl.col("KKMC")))
    )


def test_no_vehicle_is_faster_than_110_kmh_over_the_road(passes):
    profile, code = traffic_profile(), {gate.kkmc: i for i, gate in enumerate(known_gates())}
    moved = trips(passes)
    assert moved.height > 5_000
    for origin, target, gap in moved.select("origin", "KKMC", "gap").iter_rows():
        assert gap >= profile.km[code[origin], code[target]] * 1.2 / 110 * 3600


def test_no_honest_trip_falls_below_the_learned_minimum(passes):
    plain = passes.select(
        pl.col("GCXH").alias("gcxh"), pl.col("HPHM").alias("hphm"), pl.col("KKMC").alias("kkmc"),
        pl.col("GCSJ").dt.epoch("s").alias("t"),
    )  # fmt: skip
    learned = learn(plain)
    least = {(a, b): seconds for a, b, _, seconds, _ in learned.iter_rows()}
    gaps = trips(passes)
    margins = [
        gap / least[origin, target]
        for origin, target, gap in gaps.select("origin", "KKMC", "gap").iter_rows()
        if (origin, target) in least
    ]
    assert min(margins) > 1.1
    assert learned.filter(pl.col("basis") == BASIS_LEARNED).height >= 60, "pairs with 30 trips or more"


def test_a_vehicle_keeps_its_brand_and_type_and_its_plate_is_its_own(passes):
    whole = passes.filter(
        pl.col("HPHM").map_elements(lambda p: kind_of(p) == "whole", return_dtype=pl.Boolean)
    )
    for field in ("HPZL", "CLPPXH"):
        known = whole.filter(pl.col(field) != "-").group_by("HPHM").agg(pl.col(field).n_unique())
        assert known[field].max() == 1
    green = whole.filter(pl.col("HPZL") == "52")["HPHM"]
    assert green.str.len_chars().unique().to_list() == [8]
    assert set(green.str.slice(2, 1).unique()) == {"D", "F"}


def test_masked_plates_are_cut_to_four_characters(tmp_path):
    generate_raw(tmp_path, days=1, scale=0.05, masked=True)
    plates = [row["HP"] for path in tmp_path.rglob("*.csv") for row in table(path)]
    assert plates and all(plate.endswith("***") and len(plate) <= 7 for plate in plates)
    assert not any(kind_of(plate) == "whole" for plate in plates)


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(tmp_path):
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        generate_raw(tmp_path / name, days=5, scale=0.02, seed=seed)

    def digest(name):
        files = sorted((tmp_path / name).rglob("*.*"))
        return [(path.name, hashlib.sha256(path.read_bytes()).hexdigest()) for path in files]

    assert digest("a") == digest("b") != digest("c")


@pytest.mark.parametrize("days", [1, 2, 3, 5, 14, 42, 60])
def test_the_plan_holds_each_day_once(days):
    planned = [day for file in plan(days) for day in file.days]
    assert len(planned) == len(set(planned)) == days
    names = [name for file in plan(days) for name in (file.name, *file.copies)]
    assert len(names) == len(set(names))


def test_senseless_sizes_are_refused(tmp_path):
    with pytest.raises(BadInputError):
        generate_raw(tmp_path, days=0)


def test_it_never_mixes_with_another_export(tmp_path):
    stranger = tmp_path / "202312" / "theirs.csv"
    stranger.parent.mkdir()
    stranger.write_text("GCXH\n")
    with pytest.raises(BadInputError, match=r"theirs\.csv"):
        generate_raw(tmp_path, days=1, scale=0.02)
    assert [path.name for path in tmp_path.rglob("*.*")] == ["theirs.csv"]


def test_what_cannot_be_is_one_sentence(tmp_path):
    file = tmp_path / "file"
    file.touch()
    for out, seed in ((tmp_path / "new", -5), (file, 1)):
        with pytest.raises(BadInputError):
            generate_raw(out, days=1, scale=0.02, seed=seed)
