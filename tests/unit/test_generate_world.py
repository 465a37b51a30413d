"""A labelled world is true: vehicles obey its roads, its faults are as named, its truth can be proved."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from etl.generate.world.reads import make_cameras, read_passings
from etl.generate.world.roads import make_roads
from etl.generate.world.traffic import DAY_S, Fleet, drive, make_fleet
from etl.generate.world.write import World, make_world, truth_of_plates, write_world
from kakou.errors import BadInputError
from kakou.fields import FIELDS_8
from kakou.plates import kind_of

DAYS = 3
FASTEST = 0.72  # of the free-flow time; what the truth takes for impossible
WINDOW_S = 7200
HEADERS = {
    "history.csv": ",".join(FIELDS_8),
    "passes.csv": ",".join(FIELDS_8),
    "gates.csv": "KKMC,NAME,XZQHMC,LON,LAT",
    "truth_plates.csv": "plate,cloned,decidable,same_brand",
    "truth_passes.csv": "GCXH,vehicle,true_plate,kind,true_time",
}


@pytest.fixture(scope="module")
def worlds() -> list[World]:
    """Some worlds, as a small one has few clones."""
    return [make_world(seed, passes=4_000, days=DAYS) for seed in range(1, 9)]


@pytest.fixture(scope="module")
def written(worlds: list[World], tmp_path_factory: pytest.TempPathFactory) -> tuple[World, Path]:
    """One of the worlds, and its files."""
    folder = tmp_path_factory.mktemp("world")
    write_world(folder, worlds[0])
    return worlds[0], folder


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def table(path: Path) -> pl.DataFrame:
    return pl.read_csv(path, infer_schema=False)


def kakou(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "kakou.cli", "raw", "generate", "--world", *arguments],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


def seconds_between(world: World, start: pl.Series, end: pl.Series) -> np.ndarray:
    """Free-flow seconds between the gates of two columns of names."""
    code = {gate.kkmc: number for number, gate in enumerate(world.roads.gates)}
    return world.roads.gate_hours[[code[one] for one in start], [code[one] for one in end]] * 3600


def proofs(world: World) -> Iterator[tuple[str, bool]]:
    """Each plate under which two vehicles were read rightly, and whether two such reads are too far apart."""
    plate = pl.Series("plate", world.fleet.plate).gather(world.passes["vehicle"])
    plain = world.passes.with_columns(plate).filter("first", pl.col("kind") == "ok")
    for (name,), reads in plain.group_by("plate"):
        one, *others = reads.partition_by("vehicle")
        if not others:
            continue
        (other,) = others
        pairs = list(product(one.select("KKMC", "true_t").rows(), other.select("KKMC", "true_t").rows()))
        gap = np.array([abs(a[1] - b[1]) for a, b in pairs])
        gates = (pl.Series([a[0] for a, _ in pairs]), pl.Series([b[0] for _, b in pairs]))
        too_fast = (gap < FASTEST * seconds_between(world, *gates)) & (gap <= WINDOW_S)
        yield str(name), bool(too_fast.any())


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(tmp_path: Path) -> None:
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        write_world(tmp_path / name, make_world(seed, passes=1_000, days=2))
    first, again, other = (bytes_of(tmp_path / name) for name in "abc")
    assert first == again
    assert set(first) == set(other) == set(HEADERS)
    assert all(first[name] != other[name] for name in HEADERS)


def test_no_vehicle_is_at_two_gates_sooner_than_it_can_drive(worlds: list[World]) -> None:
    moves = 0
    for world in worlds:
        reads = pl.concat([world.history, world.passes]).filter("first").sort("vehicle", "true_t")
        # A gate reads some passings a second time within 4 s; the first read is the passing.
        since = pl.col("true_t").diff().over("vehicle", "KKMC")
        reads = reads.filter(since.is_null() | (since >= 4))
        pairs = reads.with_columns(
            pl.col("vehicle", "KKMC").shift().name.suffix("_before"), pl.col("true_t").diff().alias("gap")
        ).filter(pl.col("vehicle") == pl.col("vehicle_before"), pl.col("KKMC") != pl.col("KKMC_before"))
        free = seconds_between(world, pairs["KKMC_before"], pairs["KKMC"])
        assert (pairs["gap"].to_numpy() >= 0.6 * free).all()
        moves += len(pairs)
    assert moves > 20_000


def test_a_clone_is_another_vehicle_under_the_plate_of_its_owner(worlds: list[World]) -> None:
    for world in worlds:
        fleet, number = world.fleet, np.arange(world.fleet.size)
        clones = number[fleet.owner != number]
        owners = fleet.owner[clones]
        assert len(clones) >= 3
        assert (fleet.plate[clones] == fleet.plate[owners]).all()
        assert not set(owners) & set(clones), "no clone of a clone"
        honest = fleet.plate[fleet.owner == number]
        assert len(set(honest)) == len(honest) == len(world.plates)


def test_the_truth_is_what_the_reads_prove(worlds: list[World]) -> None:
    decidable = undecidable = 0
    for world in worlds:
        proved = dict(proofs(world))
        assert set(world.plates.filter("cloned")["plate"]) == set(proved)
        decided = set(world.plates.filter("decidable")["plate"])
        assert decided == {name for name, sure in proved.items() if sure}
        decidable += len(decided)
        undecidable += len(proved) - len(decided)
    assert decidable >= 5 and undecidable >= 1, "both kinds were there to be told apart"


@pytest.mark.parametrize(
    ("free_hours", "gap_hours", "kind", "first", "truth"),
    [
        (1.0, 0.71, "ok", True, (True, True)),
        (1.0, 0.73, "ok", True, (True, False)),  # a fast driver could
        (3.0, 1.99, "ok", True, (True, True)),
        (3.0, 2.01, "ok", True, (True, False)),  # nobody looks back further than two hours
        (1.0, 0.10, "misread", True, (False, False)),
        (1.0, 0.10, "ok", False, (False, False)),  # only delivered a second time
    ],
)
def test_where_the_truth_draws_its_lines(
    free_hours: float, gap_hours: float, kind: str, first: bool, truth: tuple[bool, bool]
) -> None:
    roads = make_roads(np.random.default_rng(1))
    apart = np.full_like(roads.gate_hours, free_hours)
    none = np.zeros(2)
    fleet = Fleet(
        plate=np.array(["苏C12345"] * 2), hpzl=np.array(["02"] * 2), brand=np.array(["大众牌", "丰田牌"]),
        owner=np.array([0, 0]), first_day=none, last_day=none, trips=none, pace=none,
    )  # fmt: skip
    judged = pl.DataFrame({
        "vehicle": [0, 1], "true_t": [0.0, gap_hours * 3600], "KKMC": ["W001", "W002"],
        "kind": ["ok", kind], "first": [True, first],
    })  # fmt: skip
    found = truth_of_plates(replace(roads, gate_hours=apart), fleet, judged)
    assert found.rows() == [("苏C12345", *truth, False)]


def test_what_is_decidable_is_cloned(worlds: list[World]) -> None:
    plates = pl.concat([world.plates for world in worlds])
    decidable = plates.filter("decidable")
    assert len(decidable) and decidable["cloned"].all()
    assert plates.filter("cloned")["same_brand"].n_unique() == 2
    assert plates.filter(~pl.col("same_brand"))["cloned"].any()


def test_a_masked_world_shows_no_whole_plate() -> None:
    masked, plain = (make_world(5, passes=1_000, days=2, masked=cut) for cut in (True, False))
    for frame in (masked.history, masked.passes):
        assert len(frame) and all(kind_of(plate) != "whole" for plate in frame["HPHM"])
    assert any(kind_of(plate) == "whole" for plate in plain.passes["HPHM"])


@pytest.mark.parametrize("share", [0.1, 0.4])
def test_a_misread_differs_in_one_character(share: float) -> None:
    rng = np.random.default_rng(8)
    roads = make_roads(rng)
    fleet = make_fleet(rng, 400, 2, 0.01)
    cameras = replace(make_cameras(rng, roads, 2, False), misread=share, masked=0.0, no_plate=0.0)
    reads = read_passings(rng, roads, fleet, cameras, drive(rng, roads, fleet, 2)).filter("first")
    both = zip(fleet.plate[reads["vehicle"]].tolist(), reads["HPHM"], strict=True)
    differ = np.array([sum(a != b for a, b in zip(true, read, strict=True)) for true, read in both])
    assert set(differ) == {0, 1}
    assert len(differ) > 2_000 and (differ == 1).mean() == pytest.approx(share, rel=0.15)
    assert ((differ == 1) == (reads["kind"] == "misread").to_numpy()).all()


def test_deliveries_come_twice_and_out_of_order(written: tuple[World, Path]) -> None:
    world, folder = written
    passes, judged = table(folder / "passes.csv"), world.passes
    assert passes["GCXH"].to_list() == judged["GCXH"].to_list(), "the file has the order of arrival"
    assert judged["arrival"].is_sorted() and not judged["true_t"].is_sorted()
    seconds = np.diff(judged["true_t"].to_numpy())
    assert 0.05 < (seconds < 0).mean() < 0.5
    twice = judged.filter(~pl.col("first"))
    assert 0 < len(twice) < 0.03 * len(judged)
    assert len(passes) - passes["GCXH"].n_unique() == len(passes) - len(passes.unique()) == len(twice)
    both = twice.join(judged.filter("first"), on="GCXH", suffix="_before")
    assert len(both) == len(twice) and (both["arrival"] > both["arrival_before"]).all()


def test_files_have_their_headers_and_history_lies_before_the_judged_day(written: tuple[World, Path]) -> None:
    world, folder = written
    assert {path.name for path in folder.iterdir()} == set(HEADERS)
    for name, header in HEADERS.items():
        assert (folder / name).read_text("utf-8").splitlines()[0] == header
    midnight = (DAYS - 1) * DAY_S
    assert world.history["true_t"].max() < midnight <= world.passes["true_t"].min()
    history, passes, truth = (table(folder / f"{name}.csv") for name in ("history", "passes", "truth_passes"))
    assert not set(history["GCXH"]) & set(passes["GCXH"])
    assert history["GCSJ"].str.slice(0, 10).unique().len() >= DAYS - 1
    # By the clocks of the gates, some of which are wrong.
    assert (history["GCSJ"] < "2024-03-06 00:00:00").mean() > 0.99
    assert (passes["GCSJ"] >= "2024-03-06 00:00:00").mean() > 0.99
    assert sorted(truth["GCXH"]) == sorted(set(passes["GCXH"]))
    assert truth["true_time"].min() >= "2024-03-06 00:00:00"


def test_few_blocks_never_run_out_of_plates() -> None:
    for seed in range(25):
        fleet = make_fleet(np.random.default_rng(seed), 1_500, 2, 0.01)
        honest = fleet.plate[fleet.owner == np.arange(fleet.size)]
        assert len(set(honest)) == len(honest) == 1_500


@pytest.mark.parametrize("wrong", [{"passes": 999}, {"days": 1}, {"seed": -1}])
def test_senseless_sizes_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(BadInputError, match=f" {next(iter(wrong.values()))} |seed -1 "):
        make_world(**{"seed": 1, "passes": 1_000, "days": 2, **wrong})


def test_the_command_writes_the_world_that_was_asked_for(tmp_path: Path) -> None:
    asked = ("--passes", "1000", "--days", "2", "--seed", "6", "--masked", "--json")
    done = kakou("--out", str(tmp_path / "a"), *asked)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == write_world(
        tmp_path / "b", make_world(6, passes=1_000, days=2, masked=True)
    )
    assert bytes_of(tmp_path / "a") == bytes_of(tmp_path / "b")


def test_a_bad_argument_is_one_sentence(tmp_path: Path) -> None:
    ended = kakou("--out", str(tmp_path / "never"), "--passes", "10")
    assert ended.returncode == 1
    (line,) = ended.stderr.strip().splitlines()
    assert line.startswith("kakou: ") and line.endswith(".") and line.count(".") == 1
    assert " 10 passes" in line and "at least 1000 passes" in line
    assert not (tmp_path / "never").exists()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BadInputError, match="file cannot be written"):
        write_world(tmp_path / "file", make_world(1, passes=1_000, days=2))
