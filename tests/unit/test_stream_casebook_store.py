"""What the detector remembers comes back from the disk as it was, whatever ended its writer and when."""

from __future__ import annotations

import os
import pickle
import resource
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from kakou.detection.clocks import Clocks
from kakou.detection.crowds import Pair
from kakou.detection.memory import CASEBOOK_FORMAT, Memory, Record
from kakou.detection.state import STATE_SCHEMA, State, plate_keys
from kakou.errors import DiskFullError, StateFormatError
from spark_jobs import casebook_store
from spark_jobs.casebook_store import CasebookStore, Tracked, casebook_of

LARGE: Final = 60
KEPT_S: Final = 400
Shown = dict[str, Any]


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """All that happens once in hundreds of batches happens often."""
    monkeypatch.setattr(casebook_store, "_CHANGES", 5)
    monkeypatch.setattr(casebook_store, "_LARGE", LARGE)


def passes(dice: np.random.Generator, at: int) -> pa.Table:
    plates = [f"苏C{number:05d}" for number in dice.integers(0, 40, int(dice.integers(1, 12)))]
    columns = {
        "gcxh": [f"{at}-{number}" for number in range(len(plates))],
        "kkmc": [f"gate{number}" for number in dice.integers(0, 3, len(plates))],
        "hpzl": ["02"] * len(plates),
        "hphm": plates,
        "clppxh": ["大众牌"] * len(plates),
        "t": (at + dice.integers(0, 10, len(plates))).tolist(),
        "key": plate_keys(pl.Series(plates)),
    }
    return pa.table(columns).cast(STATE_SCHEMA)


def step(memory: Memory, batch: int) -> None:
    """What a batch changes, the same each time."""
    dice = np.random.default_rng(batch)
    at = 10 * batch
    fresh = passes(dice, at)
    memory.newest = at + 9
    memory.passes = memory.passes.grown(fresh, memory.newest, at - KEPT_S)
    memory.sample = memory.sample.grown(fresh.slice(0, 2), memory.newest, at - KEPT_S)
    for number in dice.integers(0, 30, 5).tolist():
        plate = f"苏C{number:05d}"
        if plate in memory.records and dice.random() < 0.5:
            del memory.records[plate]
        else:
            memory.records[plate] = Record(plate, frozenset({Pair(plate, "A", at, "B", at + 5)}), step=batch)
    if batch % 4 == 0:
        memory.blocks[batch] = Clocks(at, dice.random((3, 2, 4)), dice.random((2, 4)))
        memory.blocks.pop(batch - 40, None)
    if batch % 25 == 0:
        memory.gates = ("A", "B", str(batch))


def shown(memory: Memory) -> Shown:
    """All of it, comparable."""
    blocks = {
        number: (one.begin, one.ahead.tolist(), one.doubt.tolist()) for number, one in memory.blocks.items()
    }
    return {
        "newest": memory.newest,
        "gates": memory.gates,
        "records": dict(memory.records),
        "blocks": blocks,
        **{name: _pieces(state) for name, state in (("passes", memory.passes), ("sample", memory.sample))},
    }


def _pieces(state: State) -> list[tuple[int, list[Shown]]]:
    return [(one.level, one.passes.to_pylist()) for one in state.pieces]


def never_ended(batches: list[int]) -> dict[int, Shown]:
    """What is remembered after each batch by one that never wrote anything; -1: before all."""
    memory = Memory(State(large=LARGE), State(large=LARGE))
    after = {-1: shown(memory)}
    for batch in batches:
        step(memory, batch)
        after[batch] = shown(memory)
    return after


def taken(folder: Path, batches: list[int]) -> None:
    """Does some batches, as one process after another start."""
    store = CasebookStore(folder)
    memory = store.load(batches[0])
    for batch in batches:
        step(memory, batch)
        store.save(batch, memory)


def versions(folder: Path) -> dict[int, Path]:
    return {int(one.stem): one for one in folder.iterdir() if one.suffix in (".whole", ".change")}


def pieces(folder: Path) -> set[str]:
    return {one.stem for one in (folder / "pieces").iterdir() if one.suffix == ".arrow"}


def named(file: Path) -> set[str]:
    return set(casebook_store._read(file).pieces)


@pytest.mark.parametrize("seed", range(8))
def test_a_store_that_is_opened_again_and_again_remembers_the_same(tmp_path: Path, seed: int) -> None:
    dice = np.random.default_rng(seed)
    # A batch without passes keeps nothing, so numbers are left out.
    batches = np.cumsum(dice.integers(1, 4, 120)).tolist()
    expected = never_ended(batches)
    store = CasebookStore(tmp_path)
    memory, at = store.load(batches[0]), 0
    while at < len(batches):
        assert shown(memory) == expected[batches[at - 1] if at else -1]
        step(memory, batches[at])
        store.save(batches[at], memory)
        at += 1
        if dice.random() < 0.2 and at < len(batches):
            # Ended before Spark knew of the last batch, or after.
            at -= int(dice.random() < 0.5)
            store = CasebookStore(tmp_path) if dice.random() < 0.5 else store
            memory = store.load(batches[at])
            assert max(versions(tmp_path), default=-1) < batches[at]
    assert shown(memory) == shown(CasebookStore(tmp_path).load(10**6)) == expected[batches[-1]]


def test_a_batch_whose_passes_change_nothing_else_is_kept_too(tmp_path: Path) -> None:
    store = CasebookStore(tmp_path)
    memory = store.load(0)
    for batch in range(3):
        memory.newest = batch
        store.save(batch, memory)
    assert CasebookStore(tmp_path).load(3).newest == 2


def test_whatever_changes_a_dictionary_is_known(tmp_path: Path) -> None:
    store = CasebookStore(tmp_path)
    memory = store.load(0)
    memory.records.update({name: Record(name) for name in "abcd"})
    store.save(0, memory)
    memory.records.pop("a")
    memory.records.setdefault("e", Record("e"))
    memory.records.update(b=Record("b", step=2))
    store.save(1, memory)
    assert set(versions(tmp_path)) == {0, 1}
    assert dict(CasebookStore(tmp_path).load(2).records) == dict(memory.records)
    assert isinstance(memory.records, Tracked) and sorted(memory.records) == list("bcde")


def test_no_version_lacks_a_piece_and_the_folder_does_not_grow(tmp_path: Path) -> None:
    store = CasebookStore(tmp_path)
    memory = store.load(0)
    open_files, files, sizes = [], [], []
    for batch in range(400):
        step(memory, batch)
        store.save(batch, memory)
        there = versions(tmp_path)
        if batch % 7 == 0:
            assert set().union(*(named(one) for one in there.values())) <= pieces(tmp_path)
        files.append(len(there) + len(pieces(tmp_path)))
        sizes.append(sum(one.stat().st_size for one in tmp_path.rglob("*") if one.is_file()))
        open_files.append(len(os.listdir("/proc/self/fd")))  # noqa: PTH208 - of no folder of ours
    for told in (files, sizes, open_files):
        assert max(told[200:]) <= 1.25 * max(told[60:200])
    assert len([one for one in versions(tmp_path).values() if one.suffix == ".whole"]) <= 2


def test_many_small_changes_of_much_end_in_a_version_that_tells_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(casebook_store, "_MOST_CHANGES", 20)
    store = CasebookStore(tmp_path)
    memory = store.load(0)
    memory.records.update({f"{number}": Record(f"{number}") for number in range(5_000)})
    for batch in range(100):
        memory.newest = batch
        store.save(batch, memory)
    assert len(versions(tmp_path)) <= 2 * 21


def test_pieces_that_no_version_names_go(tmp_path: Path) -> None:
    taken(tmp_path, list(range(4)))
    (tmp_path / "pieces" / "left.arrow").write_bytes(b"of a batch that was broken off")
    taken(tmp_path, list(range(4, 30)))
    assert pieces(tmp_path) == set().union(*(named(one) for one in versions(tmp_path).values()))


class Killed(BaseException):
    """Nothing catches it, as nothing catches a kill."""


class Kill:
    """Ends the process at the n-th change of a file: a write is left half, and nothing happens behind it."""

    def __init__(self, patch: pytest.MonkeyPatch, at: int) -> None:
        self.left = at
        for name in ("write_bytes", "replace", "unlink"):
            patch.setattr(Path, name, self._deadly(getattr(Path, name), half=name == "write_bytes"))

    @property
    def happened(self) -> bool:
        return self.left < 0

    def _deadly(self, usual: Callable[..., Any], *, half: bool) -> Callable[..., Any]:
        def change(path: Path, *args: Any, **options: Any) -> Any:
            if self.left == 0 and half:
                usual(path, args[0][: len(args[0]) // 2])
            if self.left <= 0:
                self.left = -1
                raise Killed
            self.left -= 1
            return usual(path, *args, **options)

        return change


def kills(base: Path, scratch: Path, doomed: Callable[[Path], None]) -> Iterator[Path]:
    """A copy of the folder for each change of a file that ``doomed`` makes, ended there."""
    for at in range(1_000):
        folder = scratch / str(at)
        shutil.copytree(base, folder)
        with pytest.MonkeyPatch.context() as patch:
            kill = Kill(patch, at)
            with suppress(Killed):
                doomed(folder)
        if not kill.happened:
            assert at > 2
            return
        yield folder
        shutil.rmtree(folder)


# Batch 6 tells all, as 0 did; with 18, what is before 12 goes.
@pytest.mark.parametrize("batch", [0, 4, 6, 18])
def test_a_kill_at_any_write_leaves_the_version_before_or_the_new_one(tmp_path: Path, batch: int) -> None:
    batches = list(range(batch + 15))
    expected = never_ended(batches)
    base, scratch = tmp_path / "base", tmp_path / "scratch"
    base.mkdir()
    if batch:
        taken(base, batches[:batch])
    for folder in kills(base, scratch, lambda folder: taken(folder, [batch])):
        shutil.copytree(folder, scratch / "look")
        after = shown(CasebookStore(scratch / "look").load(batch + 1))
        assert after in (expected[batch - 1], expected[batch])
        shutil.rmtree(scratch / "look")
        assert shown(CasebookStore(folder).load(batch)) == expected[batch - 1]
        # Spark does the batch again.
        taken(folder, batches[batch:])
        assert shown(CasebookStore(folder).load(10**6)) == expected[batches[-1]]


def test_a_kill_while_versions_are_forgotten_is_made_good_by_the_next_start(tmp_path: Path) -> None:
    base = tmp_path / "base"
    taken(base, list(range(16)))
    expected = never_ended(list(range(16)))
    # More than Spark ever asks for: over a version that tells all.
    for folder in kills(base, tmp_path / "scratch", lambda folder: taken(folder, [10])):
        assert shown(CasebookStore(folder).load(10)) == expected[9]


@dataclass(frozen=True)
class Alien:
    """Something that an older version kept."""


def _cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-20])


def _empty(file: Path) -> None:
    file.write_bytes(b"")


def _noise(file: Path) -> None:
    file.write_bytes(b"\x80\x05}\x94noise of a broken disk")


def _other_thing(file: Path) -> None:
    file.write_bytes(pickle.dumps(CASEBOOK_FORMAT) + pickle.dumps({"a": 1}))


def _other_format(file: Path) -> None:
    # Of a class that is not there any more: the format is told all the same.
    gone = pickle.dumps(Alien()).replace(b"Alien", b"Gone!")
    file.write_bytes(pickle.dumps(CASEBOOK_FORMAT + 1) + gone)


def _lose(file: Path) -> None:
    file.unlink()


@pytest.mark.parametrize(
    ("name", "spoil", "why"),
    [
        ("0.whole", _cut, "0.whole cannot be read"),
        ("2.change", _empty, r"2.change cannot be read \(EOFError\)"),
        ("2.change", _noise, "2.change cannot be read"),
        ("2.change", _other_thing, "2.change holds no version"),
        ("2.change", _other_format, rf"format {CASEBOOK_FORMAT + 1}, this version reads {CASEBOOK_FORMAT}\."),
        ("0.whole", _lose, "holds changes and nothing that they change"),
        ("2.change", _lose, "3.change changes version 2, which is not there"),
    ],
)
def test_what_cannot_be_read_is_said_with_what_to_do(
    tmp_path: Path, name: str, spoil: Callable[[Path], None], why: str
) -> None:
    taken(tmp_path, list(range(4)))
    spoil(tmp_path / name)
    store = CasebookStore(tmp_path)
    for _ in range(2):
        with pytest.raises(StateFormatError, match=f"{why}.*remove the checkpoint of the detection query"):
            store.load(4)


@pytest.mark.parametrize("spoil", [_cut, _empty, _lose])
def test_a_broken_piece_is_said_with_what_to_do(tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    taken(tmp_path, list(range(4)))
    for name in named(tmp_path / "3.change"):
        spoil(tmp_path / "pieces" / f"{name}.arrow")
    with pytest.raises(StateFormatError, match=r"arrow cannot be read .* remove the checkpoint"):
        CasebookStore(tmp_path).load(4)


@pytest.mark.parametrize(("limit", "written"), [(100, 0), (4_000, 2)])
def test_on_a_full_disk_the_version_before_stays(tmp_path: Path, limit: int, written: int) -> None:
    """No room for a piece; for both, and not for the version."""
    taken(tmp_path, list(range(4)))
    before = pieces(tmp_path)
    expected = never_ended(list(range(6)))
    store = CasebookStore(tmp_path)
    memory = store.load(4)
    step(memory, 4)
    names = [f"{number:05d}" for number in range(100)]
    memory.records.update({name: Record(name) for name in names})
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, usual[1]))
    try:
        with pytest.raises(DiskFullError, match="Free some"):
            store.save(4, memory)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)
    assert max(versions(tmp_path)) == 3
    assert len(pieces(tmp_path) - before) == written
    assert not [one for one in tmp_path.rglob("*.tmp")]
    memory = store.load(4)
    assert shown(memory) == expected[3]
    for batch in (4, 5):
        step(memory, batch)
        store.save(batch, memory)
    assert shown(CasebookStore(tmp_path).load(6)) == expected[5]


def test_a_casebook_that_has_vanished_is_not_taken_for_an_empty_one(tmp_path: Path) -> None:
    folder = casebook_of(tmp_path)
    assert folder.is_dir() and casebook_of(tmp_path) == folder
    (tmp_path / "commits").mkdir()
    folder.rmdir()
    with pytest.raises(StateFormatError, match="Restore it, or remove the checkpoint"):
        casebook_of(tmp_path)
