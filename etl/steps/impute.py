"""Fills missing plate types and brands where other passes make them nearly certain, and measures itself.

Known values are held back and the model guesses them from the rest. From how often it is right two things are
learned: a confidence for each guess, and the accuracy, coverage and curve that are reported. No held-back
value counts for its own guess, sets the weights that judge it, or sets the confidence it is measured with.

What this can prove: how right the model is about rows like those whose value is known. If values are missing
where plates are hard to read, such rows are of another sort, and no held-back value tells about them. So a
row whose plate has a form (length, cut or not) that hardly any known row has is never filled.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import numpy as np
from duckdb import DuckDBPyConnection
from numpy.typing import NDArray

from etl.steps.impute_evidence import Array, Columns, Counts, count, read_columns
from etl.steps.impute_model import Calibration, FloatArray, Guesses, Judge, calibrate

# Up to so many known values each is held back in turn, in five folds; of more only a sample is, once.
FOLDED_UP_TO: Final = 60_000
HELD_BACK_ROWS: Final = 40_000
FOLDS: Final = 5
FILLED_AT_ONCE: Final = 250_000
MOST_TURNS: Final = 16
LEAST_KNOWN: Final = 100
LEAST_OF_A_FORM: Final = 20
CURVE: Final = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 0.98)

# What rows share that tells about a field. Of the first two the second most frequent value is drawn too. What
# a plate did at a gate or on a day is asked of cut plates only: a whole one is one vehicle at all of them.
CONTEXTS: Final[dict[str, tuple[tuple[str, ...], ...]]] = {
    "HPZL": (
        ("shape",), ("plate",), ("plate", "KKMC"), ("plate", "CLPPXH"), ("shape", "CLPPXH"), ("CLPPXH",),
        ("maker", "KKMC"), ("shape", "KKMC"), ("CLPPXH", "KKMC"), ("maker", "shape", "KKMC"),
        ("city", "KKMC"), ("city", "maker"), ("four",),
    ),
    "CLPPXH": (
        ("plate",), ("plate", "HPZL"), ("plate", "HPZL", "KKMC"), ("plate", "HPZL", "day"),
        ("plate", "HPZL", "KKMC", "half_day"), ("HPZL", "KKMC"), ("HPZL", "city"), ("HPZL", "shape"),
        ("HPZL",), ("four", "HPZL"),
    ),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Imputation:
    """How well a field was filled; None where nothing was held back to measure on.

    Attributes:
        share: filled rows of all rows. coverage: share of held-back rows that got a guess.
        accuracy: share of those that were right. baseline: share that the most frequent value would have got
            right.
        curve: at each least confidence, the accuracy and coverage that it would give.
    """

    share: float
    accuracy: float | None
    coverage: float | None
    baseline: float | None
    curve: tuple[dict[str, float | None], ...] = ()


@dataclass(frozen=True, slots=True)
class Filled:
    """Values to fill in.

    Attributes:
        code: per row of the passes the number of its new value, -1 where it keeps its own.
        confidence: of each row with a new value; 0 elsewhere.
    """

    code: Array
    confidence: NDArray[np.float32]
    measured: Imputation


def impute(columns: Columns, field: str, confidence: float, least_right: float = 0.0) -> Filled:
    """Guesses the missing values of a field.

    Args:
        field: HPZL or CLPPXH. confidence: least confidence of a single guess, 0–1.
        least_right: the guesses as a whole must be right this often on held-back values; where they would
            not, the least confidence is raised until they are (one standard error on the safe side).
    """
    value = columns.data[field]
    blank = columns.blank[field][value] if columns.rows else np.zeros(0, dtype=bool)
    # A copy of a row tells nothing new: it would only confirm the row that it was copied from.
    missing, had = np.flatnonzero(blank), np.flatnonzero(~blank & columns.data["observed"].astype(bool))
    code = np.full(columns.rows, -1, dtype=np.int32)
    sure = np.zeros(columns.rows, dtype=np.float32)
    if len(had) < LEAST_KNOWN:
        # Too few to learn from and to measure on: everything stays as it is.
        none = Imputation(0.0, None, 0.0 if len(had) else None, _baseline(value[had], value[had]))
        return Filled(code, sure, none)
    held, fold, told, evidence = _hold_back(columns, field, had)
    folds = int(fold.max()) + 1
    form, truth = columns.of("form", held), value[held].astype(np.int32)
    judge = Judge(evidence, truth, fold, folds)
    guesses = judge.guess(evidence, fold)
    seen = np.bincount(form, minlength=256) >= LEAST_OF_A_FORM
    graded = _graded(guesses, truth, fold, folds) * seen[form]
    right = guesses.value == truth
    least = max(confidence, _least_for(least_right, graded, right))
    rule = calibrate(guesses.score, right)

    def fill(some: Array) -> None:
        filling = judge.guess(
            _ask(columns, field, told, some), (_mixed(some, 3) % np.uint64(folds)).astype(np.int8)
        )
        certain = rule(filling) * seen[columns.of("form", some)]
        taken = (certain >= least) & (filling.value >= 0)
        code[some[taken]], sure[some[taken]] = filling.value[taken], certain[taken]

    with ThreadPoolExecutor(2) as pool:  # each turn has rows of its own
        list(pool.map(fill, _turns(columns, missing)))
    covered, accuracy = _at(least, graded, right)
    measured = Imputation(
        round(float((code >= 0).mean()), 6),
        accuracy,
        covered,
        _baseline(value[columns.near[told[columns.near]]], truth),
        tuple(_point(one, graded, right) for one in CURVE),
    )
    return Filled(code, sure, measured)


def _hold_back(
    columns: Columns, field: str, had: Array
) -> tuple[Array, Array, NDArray[np.bool_], list[Counts]]:
    """Held-back rows, their folds, a mask of the rows that tell about rows to fill, and what the contexts
    say about the held-back ones."""
    told = np.zeros(columns.rows, dtype=bool)
    told[had] = True
    if len(had) > FOLDED_UP_TO:
        sample = columns.near[columns.sampled & told[columns.near]]
        held = sample[_mixed(sample, 1) % np.uint64(-(-len(sample) // HELD_BACK_ROWS)) == 0]
        told[held] = False
        fold = (_mixed(held, 2) % np.uint64(2)).astype(np.int8)
        return held, fold, told, _ask(columns, field, told, held)
    fold = (_mixed(had, 2) % np.uint64(FOLDS)).astype(np.int8)
    evidence = [Counts.nothing(len(had)) for _ in CONTEXTS[field]]
    for out in range(FOLDS):
        told[had[fold == out]] = False
        for one, answers in zip(evidence, _ask(columns, field, told, had[fold == out]), strict=True):
            one.put(fold == out, answers)
        told[had] = True
    return had, fold, told, evidence


def _turns(columns: Columns, missing: Array) -> Iterator[Array]:
    """The rows to fill in so many turns that memory holds; rows of a plate share a turn, as they share their
    evidence."""
    turns = min(MOST_TURNS, -(-len(missing) // FILLED_AT_ONCE))
    dealt = (columns.data["plate"][missing] >> np.uint64(40)) % np.uint64(max(1, turns))
    for turn in range(turns):
        yield missing[dealt == turn]


def _mixed(rows: Array, salt: int) -> NDArray[np.uint64]:
    """A fixed scatter of row numbers, by which rows are held back and dealt to folds."""
    number = rows.astype(np.uint64) + np.uint64(salt * 0x9E3779B97F4A7C15 % (1 << 64))
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        number = (number ^ (number >> np.uint64(shift))) * np.uint64(factor)
    return number ^ (number >> np.uint64(31))


def _ask(columns: Columns, field: str, told: NDArray[np.bool_], asked: Array) -> list[Counts]:
    """What each context says about the rows ``asked``, from the rows of the mask ``told``."""
    value = columns.data[field]
    bits = max(16, len(columns.words[field]).bit_length())
    # Many rows share the other contexts, so a sample counts as well; what a plate did is never sampled.
    sample = columns.near[columns.sampled & told[columns.near]]
    same_plate = columns.sharing_a_plate(told, asked)
    cut = np.flatnonzero(columns.data["cut"][asked])
    same_cut_plate = same_plate[columns.data["cut"][same_plate]]

    def one(parts: tuple[str, ...]) -> Counts:
        if "plate" not in parts:
            return count(columns.key(parts, sample), value[sample], columns.key(parts, asked), bits)
        if len(parts) == 1:
            return count(columns.key(parts, same_plate), value[same_plate], columns.key(parts, asked), bits)
        answers = Counts.nothing(len(asked))
        if len(cut):
            key = columns.key(parts, same_cut_plate)
            theirs = columns.key(parts, asked[cut])
            answers.put(cut, count(key, value[same_cut_plate], theirs, bits))
        return answers

    with ThreadPoolExecutor(2) as pool:  # sorting and searching leave the interpreter free
        return list(pool.map(one, CONTEXTS[field]))


def _graded(guesses: Guesses, truth: Array, fold: Array, folds: int) -> FloatArray:
    """Confidence of each held-back guess, learned from the other folds only."""
    right = guesses.value == truth
    graded = np.zeros(len(truth))
    for out in range(folds):
        others = fold != out
        rule: Calibration = calibrate(guesses.score[others], right[others])
        graded[~others] = rule(Guesses(guesses.value[~others], guesses.score[~others]))
    return graded


def _least_for(wanted: float, graded: FloatArray, right: NDArray[np.bool_]) -> float:
    """Lowest confidence at which all guesses of that or more are right as often as wanted, but for chance."""
    if wanted <= 0:
        return 0.0
    levels = np.unique(graded[graded > 0])
    for level in levels:
        taken = graded >= level
        share, n = float(right[taken].mean()), int(taken.sum())
        if share - float(np.sqrt(share * (1 - share) / n)) >= wanted:
            return float(level)
    return np.inf


def _at(least: float, graded: FloatArray, right: NDArray[np.bool_]) -> tuple[float, float | None]:
    """Coverage and accuracy of the guesses with at least this confidence."""
    taken = (graded >= least) & (graded > 0)
    return round(float(taken.mean()), 6), round(float(right[taken].mean()), 6) if taken.any() else None


def _point(least: float, graded: FloatArray, right: NDArray[np.bool_]) -> dict[str, float | None]:
    coverage, accuracy = _at(least, graded, right)
    return {"confidence": least, "accuracy": accuracy, "coverage": coverage}


def _baseline(known: Array, truth: Array) -> float | None:
    if not len(truth):
        return None
    counts = np.bincount(known) if len(known) else np.zeros(1)
    return round(float((truth == counts.argmax()).mean()), 6)


def impute_all(
    con: DuckDBPyConnection, passes: str, confidence: float, least_right: dict[str, float]
) -> tuple[Columns, dict[str, Filled]]:
    """Both fields of the passes in a view; see ``impute``."""
    columns = read_columns(con, passes)
    return columns, {
        field: impute(columns, field, confidence, least_right.get(field, 0.0)) for field in CONTEXTS
    }
