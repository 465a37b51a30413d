"""What a history says of single plates: the same from a frame and from its file."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from gates_in_a_row import DAY_S, GATES, frame, honest
from hypothesis import given
from hypothesis import strategies as st
from stored_plates import in_batches, reads_with_keys

from kakou.detection.horizon import Past
from kakou.detection.knowledge import knows_nothing, learn_knowledge
from kakou.detection.knowledge_bytes import to_bytes
from kakou.detection.misreads import SIGNS, neighbours
from kakou.detection.past import PastOfPasses, PastWithout, days_of
from kakou.detection.plate_file import PlateFile, past_in_force, past_not_used, write_plates
from kakou.detection.plate_keys import keys_around, keys_of, plates_of
from kakou.errors import StateFormatError
from kakou.plates import FORMS, is_decidable
from kakou.settings import Settings

# Few signs, so that plates have neighbours among each other.
PLATES = [f"苏C{a}{b}{c}45" for a in "01" for b in "12A" for c in "23"] + [
    "苏C1234挂",
    "苏CD12345",
    "粤Z1234港",
]


def history(rows: int, seed: int) -> pl.DataFrame:
    """Passes of few plates over three days, of which some name nobody, and whose fields are partly unread."""
    dice = np.random.default_rng(seed)
    every = [*PLATES, "苏C12***", "-", "苏112345", "使01457"]
    made = [
        (str(n), "A", str(dice.choice(every)), int(dice.integers(0, 3 * DAY_S)), str(dice.choice(MAKES)))
        for n in range(rows)
    ]
    types = pl.Series(dice.choice(["02", "01", "-", " 02"], rows))
    return frame(made).with_columns(types.alias("hpzl")) if rows else frame(made)


MAKES = ["大众牌", "大众牌SVW7183", " 丰田 牌", "-", "", "无牌照"]


def file_of(folder: Path, passes: pl.DataFrame, rows: int = 5) -> PlateFile:
    days = days_of(passes).unique()
    written = write_plates(folder, lambda: in_batches(reads_with_keys(passes), rows), days)
    return PlateFile(folder / written.name)


def told_of(past: Past, plates: Iterable[str]) -> object:
    """What verdicts ask a past for, of some plates and their neighbours."""
    texts = sorted({one for plate in plates for one in (plate, *neighbours(plate))})
    return past.told, [(one, past.often.get(one), past.shown.get(one)) for one in texts if one in past.shown]


@pytest.mark.parametrize("rows", [0, 1, 7, 60, 900])
@pytest.mark.parametrize("seed", range(3))
def test_the_file_says_what_the_frame_says(tmp_path: Path, rows: int, seed: int) -> None:
    passes = history(rows, seed)
    file, held = file_of(tmp_path, passes), PastOfPasses(passes)
    for plates in ([], PLATES[:1], PLATES[3:5], [*PLATES, "苏C99999", "苏C12***"]):
        assert told_of(file.around(plates), plates) == told_of(held.around(plates), plates)
    if rows == 900:
        often = held.around(PLATES).often
        assert often == file.around(PLATES).often and set(often) == set(PLATES)


def test_what_is_read_once_is_shown_and_not_often(tmp_path: Path) -> None:
    passes = frame(
        [("1", "A", "苏C12345", 5, "大众牌"), *[(str(n), "A", "苏C12346", n, "丰田牌") for n in (8, DAY_S)]]
    )
    for past in (file_of(tmp_path, passes).around(["苏C12345"]), PastOfPasses(passes).around(["苏C12345"])):
        assert past.told and past.often == {"苏C12346": 1.0}
        assert past.shown["苏C12345"].makes == {"大众": 1} and past.shown["苏C12346"].types == {"02": 2}
    once = PastOfPasses(passes.head(1)).around(["苏C12345"])
    assert not once.told and once.shown["苏C12345"].makes == {"大众": 1}


@pytest.mark.parametrize("seed", range(3))
def test_what_is_judged_does_not_speak_for_itself(tmp_path: Path, seed: int) -> None:
    """Of three days one is judged, and one that was never learned."""
    passes = history(300, seed)
    first = passes.filter(days_of(passes) < 2)
    judged = pl.concat(
        [passes.filter(days_of(passes) == 2), first.with_columns((pl.col("t") + 5 * DAY_S).alias("t"))]
    )
    for learned in (file_of(tmp_path, passes), PastOfPasses(passes)):
        assert PastWithout(learned, judged).around(PLATES) == PastOfPasses(first).around(PLATES)
        assert PastWithout(learned, passes).around(PLATES) == Past()
        assert PastWithout(learned, passes.clear()).around(PLATES) == learned.around(PLATES)
        # The same days of another export: what it has more is nobody's.
        twice = PastWithout(learned, pl.concat([judged, judged])).around(PLATES)
        assert all(min(one.makes.values(), default=1) > 0 for one in twice.shown.values())


@given(st.data())
def test_plates_are_their_numbers(data: st.DataObject) -> None:
    cells = [cells for _, cells in data.draw(st.lists(st.sampled_from(FORMS), min_size=1, max_size=5))]
    plates = ["".join(data.draw(st.from_regex(cell, fullmatch=True)) for cell in form) for form in cells]
    assert all(map(is_decidable, plates))
    keys = keys_of(plates)
    assert plates_of(keys) == plates and (keys > 0).all()
    assert set(plates_of(keys_around(keys))) == {*plates, *(n for one in plates for n in neighbours(one))}


def test_what_is_no_plate_has_no_number() -> None:
    none = ["", "-", "苏C12***", "苏C123456789", "苏C12345x", "😀C12345", " 苏C12345"]
    assert keys_of([*none, "苏C12345"])[:-1].tolist() == [-1] * len(none)
    assert keys_of([]).tolist() == [] and len(keys_around(keys_of([]))) == 0
    assert len(SIGNS) == 34


def test_keys_that_do_not_rise_are_refused(tmp_path: Path) -> None:
    upside_down = reads_with_keys(history(60, 1)).reverse()
    with pytest.raises(ValueError, match="do not rise"):
        write_plates(tmp_path, lambda: in_batches(upside_down, 7), [3])
    assert list(tmp_path.iterdir()) == []


def test_equal_histories_make_one_file(tmp_path: Path) -> None:
    passes = history(60, 1)
    written = set()
    for some in (passes, passes.reverse()):
        reads = reads_with_keys(some)
        written.add(write_plates(tmp_path, partial(in_batches, reads, 7), [3]).name)
    assert {one.name for one in tmp_path.iterdir()} == written and len(written) == 1


@pytest.mark.parametrize("spoil", [None, b"", b"torn", "cut", "other"])
def test_a_file_that_cannot_be_used_is_said(settings: Settings, spoil: bytes | str | None) -> None:
    written = write_plates(settings.past_dir, lambda: in_batches(reads_with_keys(history(60, 1)), 7), [3])
    knowledge = replace(knows_nothing(["A"]), past=written.name)
    settings.knowledge_file.write_bytes(to_bytes(knowledge))
    assert past_not_used(settings) == ""
    assert past_in_force(settings, knowledge)[0].around(PLATES).told
    path = settings.past_dir / written.name
    whole = path.read_bytes()
    path.unlink()
    if spoil is not None:
        half = pa.BufferOutputStream()
        with pa.ipc.new_file(half, pa.schema([("key", pa.int64())])):
            pass
        others = {"cut": whole[: len(whole) // 2], "other": half.getvalue().to_pybytes()}
        path.write_bytes(others.get(spoil, spoil) if isinstance(spoil, str) else spoil)
    past, why = past_in_force(settings, knowledge)
    assert past == Past() and written.name in why and "travel_times" in why
    assert past_not_used(settings) == why
    with pytest.raises(StateFormatError):
        PlateFile(path)


def test_knowledge_from_before_such_files_is_said(settings: Settings) -> None:
    assert past_not_used(settings) == ""
    settings.knowledge_file.parent.mkdir(parents=True)
    settings.knowledge_file.write_bytes(to_bytes(knows_nothing([])))
    assert past_not_used(settings) == ""
    settings.knowledge_file.write_bytes(to_bytes(learn_knowledge(frame(honest(1)), list(GATES))))
    assert "names no file of single plates" in past_not_used(settings)
