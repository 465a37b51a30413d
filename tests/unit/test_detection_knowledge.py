"""What was learned survives its way through a file, whole, and a broken file is no knowledge."""

from __future__ import annotations

import io
import json
from dataclasses import fields, replace

import numpy as np
import polars as pl
import pytest
from gates_in_a_row import GATES, REGISTRY, frame, honest

from kakou.detection.files import load_known
from kakou.detection.knowledge import Knowledge, knows_nothing, learn_knowledge, with_gates
from kakou.detection.knowledge_bytes import from_bytes, to_bytes
from kakou.detection.misreads import no_confusion
from kakou.detection.rules import BASIS_MAP
from kakou.detection.weighing import Calibration
from kakou.errors import StateFormatError
from kakou.settings import Settings


def same(one: Knowledge, other: Knowledge) -> bool:
    def equal(name: str) -> bool:
        a, b = getattr(one, name), getattr(other, name)
        return bool(np.array_equal(a, b, equal_nan=True)) if isinstance(a, np.ndarray) else a == b

    return all(equal(field.name) for field in fields(Knowledge))


@pytest.fixture(scope="module")
def learned() -> Knowledge:
    return learn_knowledge(frame(honest(2)), list(GATES))


def test_everything_comes_back(learned: Knowledge) -> None:
    for knowledge in (learned, knows_nothing(["A"]), knows_nothing([])):
        assert same(from_bytes(to_bytes(knowledge)), knowledge)


def test_what_an_older_run_did_not_learn_is_assumed(learned: Knowledge) -> None:
    with np.load(io.BytesIO(to_bytes(learned)), allow_pickle=False) as held:
        arrays = dict(held)
    words = json.loads(arrays["words"].tobytes())
    words["confusion"].pop()
    arrays["words"] = np.frombuffer(json.dumps(words, ensure_ascii=False).encode(), dtype=np.uint8)
    out = io.BytesIO()
    np.savez_compressed(out, **arrays)  # type: ignore[arg-type]
    found = from_bytes(out.getvalue()).confusion
    assert found.again == no_confusion().again and found.rate == learned.confusion.rate


@pytest.mark.parametrize("broken", [b"", b"words", b"PK\x03\x04 and no more"])
def test_a_broken_file_says_what_to_do(broken: bytes) -> None:
    with pytest.raises(StateFormatError, match="Run the DAG travel_times again"):
        from_bytes(broken)


def test_a_file_that_is_cut_short_says_so(learned: Knowledge) -> None:
    blob = to_bytes(learned)
    with pytest.raises(StateFormatError):
        from_bytes(blob[: len(blob) // 2])


def test_other_codes_say_the_same_of_each_gate(learned: Knowledge) -> None:
    turned = with_gates(learned, ["C", "NEW", "A"])
    assert turned.gates == ("C", "NEW", "A", "B", "D")
    at = {gate: code for code, gate in enumerate(turned.gates)}
    old = {gate: code for code, gate in enumerate(learned.gates)}
    for a in GATES:
        for b in GATES:
            if a != b:
                assert turned.least[at[a], at[b]] == learned.least[old[a], old[b]]
        assert turned.constant[at[a]] == learned.constant[old[a]]
    assert np.isnan(turned.least[at["NEW"]]).all() and turned.busy[at["NEW"]] > 0
    assert turned.busy.sum() == pytest.approx(1)
    assert with_gates(learned, list(GATES)) is learned


def test_what_reviews_say_goes_with_it(learned: Knowledge) -> None:
    reviewed = Calibration(prior=0.002, trust=0.7)
    for knowledge in (learned, knows_nothing(["A"]), knows_nothing([])):
        told = from_bytes(to_bytes(replace(knowledge, reviewed=reviewed)))
        assert with_gates(told, ["NEW", *GATES]).reviewed == reviewed


def test_a_history_without_a_whole_plate_leaves_the_map(settings: Settings) -> None:
    """The night then writes that it knows nothing, and the stream goes by geography."""
    assert same(with_gates(knows_nothing([]), ["A", "B"]), knows_nothing(["A", "B"]))
    settings.clean_dir.mkdir(parents=True)
    REGISTRY.with_columns(xzqhmc=pl.lit("")).rename(str.upper).write_csv(
        settings.clean_dir / "kkmc_dimension.csv"
    )
    settings.knowledge_file.parent.mkdir(parents=True)
    settings.knowledge_file.write_bytes(to_bytes(knows_nothing([])))
    rules, knowledge, _ = load_known(settings)
    assert rules.gates == knowledge.gates == GATES and rules.basis[0, 1] == BASIS_MAP
