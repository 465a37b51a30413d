"""Each fault of the generated folder is where the returned truth says, and changes nothing else."""

import csv
import datetime as dt
import hashlib
import io

import numpy as np
import pytest

from etl.generate.faults import DEFAULT_FAULTS, FAULTS, SPECIAL_PLATES, parse_faults
from etl.generate.profile import traffic_profile
from etl.generate.raw_folder import generate_raw
from etl.generate.vehicles import repeated
from etl.registry import known_gates
from kakou.errors import BadInputError
from kakou.plates import kind_of

SIZE = {"days": 10, "scale": 0.2, "seed": 6, "spreadsheets": 0}


def made(folder, faults, **changed):
    return generate_raw(folder, faults=frozenset(faults), **{**SIZE, **changed})


def text_of(path):
    return path.read_bytes().decode("gb18030" if path.stem.startswith("to_yqy") else "utf-8-sig")


def rows_of(path):
    return list(csv.DictReader(io.StringIO(text_of(path))))


def digests(folder):
    files = sorted(folder.rglob("*.*"))
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files
    }


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    folder = tmp_path_factory.mktemp("plain")
    return folder, made(folder, ())


@pytest.fixture(scope="module")
def faulty(tmp_path_factory):
    folder = tmp_path_factory.mktemp("faulty")
    return folder, made(folder, FAULTS)


def test_the_truth_names_every_fault_that_can_be_seen_in_a_file(faulty, plain):
    shown = set(FAULTS) - {"short_plates", "quoted_codes"}
    assert set(faulty[1]["planted"]) == shown
    assert plain[1]["planted"] == {}


def test_without_faults_no_two_files_are_equal_and_no_plate_is_short(plain):
    found = digests(plain[0])
    assert len(set(found.values())) == len(found) == plain[1]["files"]
    kinds = {kind_of(row["HP"]) for path in plain[0].rglob("*.csv") for row in rows_of(path)}
    assert kinds == {"whole"}


def test_copies_are_the_files_that_are_equal(faulty):
    folder, written = faulty
    copies, found = written["planted"]["copied_file"], digests(folder)
    assert set(copies.values()) == {"202312/to_yqy_12017.csv", "202401/02.csv"}
    assert all(found[copy] == found[original] for copy, original in copies.items())
    assert len(set(found.values())) == len(found) - len(copies)
    assert sum(len(rows_of(path)) for path in folder.rglob("*.csv")) == written["rows"]


def test_a_partial_day_holds_its_hours_only(faulty):
    folder, written = faulty
    assert (
        len(written["planted"]["partial_day"]) == 1
    )  # of January; ten days do not reach the one of December
    for part in written["planted"]["partial_day"]:
        clock = [
            dt.datetime.strptime(row["GCSJ"], "%Y/%m/%d %H:%M:%S") for row in rows_of(folder / part["file"])
        ]
        seconds = [at.hour * 3600 + at.minute * 60 + at.second for at in clock]
        assert part["from_second"] <= min(seconds) and max(seconds) < part["to_second"]


def test_a_restamped_day_is_its_source_with_new_ids_and_another_date(tmp_path):
    (stamp,) = made(tmp_path, {"restamped_day"})["planted"]["restamped_day"]
    assert (stamp["day"], stamp["of"]) == ("2023-12-22", "2023-12-17")
    new, old = rows_of(tmp_path / stamp["file"]), rows_of(tmp_path / "202312/to_yqy_12017.csv")
    assert stamp["rows"] == len(new) == len(old) > 1000
    ids = {row["GCXH"] for path in tmp_path.rglob("*.csv") for row in rows_of(path)}
    assert len(ids) == sum(len(rows_of(path)) for path in tmp_path.rglob("*.csv"))
    for rows, day in ((new, "2023/12/22"), (old, "2023/12/17")):
        assert {row["GCSJ"].split(" ")[0] for row in rows} == {day}
        for row in rows:
            row |= {"GCXH": "", "GCSJ": row["GCSJ"].split(" ")[1]}
    assert new == old


def test_a_silent_gate_lost_exactly_the_passes_of_its_hours(tmp_path, plain):
    silences = made(tmp_path, {"silent_gate"})["planted"]["silent_gate"]
    assert silences and all(one["passes_lost"] > 0 for one in silences)

    def ids(folder):
        rows = [row for path in folder.rglob("*.csv") for row in rows_of(path)]
        return {row["GCXH"]: (row["KKMC"], row["GCSJ"]) for row in rows}

    before, after = ids(plain[0]), ids(tmp_path)
    lost = {key: before[key] for key in before.keys() - after.keys()}
    assert after.keys() <= before.keys() and len(lost) == sum(one["passes_lost"] for one in silences)
    for name, at in lost.values():
        moment = dt.datetime.strptime(at, "%Y/%m/%d %H:%M:%S")
        assert any(
            name in one["gate"] and moment.date().isoformat() == one["day"]
            and one["from_hour"] <= moment.hour < one["to_hour"]
            for one in silences
        )  # fmt: skip


def test_special_plates_are_whole_have_their_type_and_are_counted(tmp_path):
    planted = made(tmp_path, {"special_plates"}, scale=1)["planted"]["special_plates"]
    found, types = dict.fromkeys(SPECIAL_PLATES, 0), {}
    for path in tmp_path.rglob("*.csv"):
        for row in rows_of(path):
            mark = row["HP"][0] if row["HP"][0] == "使" else row["HP"][-1]
            if mark in found:
                found[mark] += 1
                assert kind_of(row["HP"]) == "whole", row["HP"]
                types.setdefault(mark, set()).add(row["HPZL"])
    assert found == planted
    assert sum(found.values()) > 200 and all(found.values())
    assert all(types[mark] <= {code, "-"} for mark, (_, code) in SPECIAL_PLATES.items())


def test_blank_lines_stand_where_the_truth_says_and_hide_no_row(tmp_path, plain):
    blank = made(tmp_path, {"blank_lines"})["planted"]["blank_lines"]
    before, after = digests(plain[0]), digests(tmp_path)
    assert set(blank) == {name for name in before if before[name] != after[name]} and len(blank) == 2
    for path in (plain[0] / name for name in blank):
        spoiled = text_of(tmp_path / path.relative_to(plain[0])).split("\n")
        numbers = [number for number, line in enumerate(spoiled[:-1], start=1) if not line]
        assert numbers == blank[path.relative_to(plain[0]).as_posix()] and len(numbers) >= 5
        assert [line for line in spoiled if line] == text_of(path).splitlines()


def test_one_fault_more_leaves_all_other_bytes_as_they_were(tmp_path, plain):
    made(tmp_path, {"copied_file", "restamped_day"})
    before, after = digests(plain[0]), digests(tmp_path)
    assert before.items() < after.items()


def test_no_vehicle_is_faster_than_the_road_whatever_the_faults(faulty):
    profile = traffic_profile()
    gate_of = {alias: number for number, gate in enumerate(known_gates()) for alias in gate.aliases}
    copies = faulty[1]["planted"]["copied_file"]
    last, moved = {}, 0
    rows = [
        (row["HP"], dt.datetime.strptime(row["GCSJ"], "%Y/%m/%d %H:%M:%S"), gate_of[row["KKMC"]])
        for path in faulty[0].rglob("*.csv") if path.relative_to(faulty[0]).as_posix() not in copies
        for row in rows_of(path) if kind_of(row["HP"]) == "whole"
    ]  # fmt: skip
    for plate, at, gate in sorted(rows):
        if plate in last and last[plate][1] != gate:
            gap = (at - last[plate][0]).total_seconds()
            assert gap >= profile.least_seconds[last[plate][1], gate], plate
            moved += 1
        last[plate] = (at, gate)
    assert moved > 2_000


@pytest.mark.parametrize("spreadsheets", [0, 1, 3])
def test_so_many_spreadsheets_as_asked_for(tmp_path, spreadsheets):
    generate_raw(tmp_path, days=10, scale=0.02, spreadsheets=spreadsheets, faults=())
    assert len(list(tmp_path.rglob("*.xlsx"))) == spreadsheets
    assert len(list(tmp_path.rglob("*.csv"))) == 9 - spreadsheets  # two days lie in one file


def test_quoted_codes_stand_in_spreadsheets_only_where_asked_for(tmp_path):
    import fastexcel

    shares = {}
    for faults in ((), ("quoted_codes",)):
        folder = tmp_path / str(len(faults))
        generate_raw(folder, days=2, scale=0.3, faults=faults)
        sheet = fastexcel.read_excel(next(folder.rglob("*.xlsx"))).load_sheet(0, dtypes="string").to_polars()
        shares[faults] = np.mean([code.startswith("'") for code in sheet["HPZL"]])
    assert shares[()] == 0 and 0.01 < shares[("quoted_codes",)] < 0.03


def test_plates_are_told_apart_in_any_number():
    # Long texts stand for millions of plates: what counts is their size together.
    plates = np.char.add("x" * 1_000, (np.arange(20_000) % 15_000).astype("U5"))
    assert np.flatnonzero(repeated(plates)).tolist() == list(range(15_000, 20_000))


def test_the_words_of_the_command_line():
    assert parse_faults("default") == DEFAULT_FAULTS
    assert parse_faults("all") == frozenset(FAULTS) and parse_faults("none") == frozenset()
    assert parse_faults("default, silent_gate") == DEFAULT_FAULTS | {"silent_gate"}
    with pytest.raises(BadInputError, match="silent_gates"):
        parse_faults("silent_gates")
