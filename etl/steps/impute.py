"""Fills missing plate types and brands where other passes make them nearly certain, and measures itself.

Known values are held back and the model guesses them from the rest. From how often it is right two things are
learned: a confidence for each guess, and the accuracy, coverage and curve that are reported. No held-back
value counts for its own guess, trains the trees that judge it, or sets the confidence it is measured with.

What this can prove: how right the model is about rows like those whose value is known. If values are missing
where plates are hard to read, such rows are of another sort, and no held-back value tells about them. So a
row whose plate has a form (length, cut or not) that hardly any known row has is never filled.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import numpy as np
from duckdb import DuckDBPyConnection
from numpy.typing import NDArray

from etl.steps.impute_evidence import Array, Columns, Counts, count, mixed, read_columns
from etl.steps.impute_model import Calibration, FloatArray, Guesses, Trees, calibrate

# Up to so many known values each is held back in turn, in five folds; of more only a sample is, once.
FOLDED_UP_TO: Final = 60_000
HELD_BACK_ROWS: Final = 40_000
FOLDS: Final = 5
COMMON_ROWS: Final = 400_000
LEAST_KNOWN: Final = 100
LEAST_OF_A_FORM: Final = 20
CURVE: Final = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 0.98)

# What rows share that tells about a field. Of the first two the second most frequent value is drawn too.
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
    known = ~columns.blank[field][value] if columns.rows else np.zeros(0, dtype=bool)
    missing, had = np.flatnonzero(~known), np.flatnonzero(known)
    code = np.full(columns.rows, -1, dtype=np.int32)
    sure = np.zeros(columns.rows, dtype=np.float32)
    if len(had) < LEAST_KNOWN:
        # Too few to learn from and to measure on: everything stays as it is.
        none = Imputation(0.0, None, 0.0 if len(had) else None, _baseline(value[had], value[had]))
        return Filled(code, sure, none)
    held, fold, evidence, to_fill = _hold_back(columns, field, had, missing)
    folds = int(fold.max()) + 1
    form, truth = columns.data["form"], value[held].astype(np.int32)
    trees = Trees(evidence, form[held], truth, fold, folds)
    guesses = trees.guess(evidence, form[held], fold)
    seen = np.bincount(form[held], minlength=256) >= LEAST_OF_A_FORM
    graded = _graded(guesses, truth, fold, folds) * seen[form[held]]
    right = guesses.value == truth
    least = max(confidence, _least_for(least_right, graded, right))
    if len(missing):
        theirs = (mixed(missing, 3) % np.uint64(folds)).astype(np.int8)
        filling = trees.guess(to_fill, form[missing], theirs)
        certain = calibrate(guesses.score, right)(filling) * seen[form[missing]]
        taken = (certain >= least) & (filling.value >= 0)
        code[missing[taken]], sure[missing[taken]] = filling.value[taken], certain[taken]
    rest = np.delete(value, held) if folds != FOLDS else value[had]
    covered, accuracy = _at(least, graded, right)
    measured = Imputation(
        round(float((code >= 0).mean()), 6),
        accuracy,
        covered,
        _baseline(rest[~columns.blank[field][rest]], truth),
        tuple(_point(one, graded, right) for one in CURVE),
    )
    return Filled(code, sure, measured)


def _hold_back(
    columns: Columns, field: str, had: Array, missing: Array
) -> tuple[Array, Array, list[Counts], list[Counts]]:
    """Held-back rows, their folds, what the contexts say about them, and about the rows to fill."""
    value = columns.data[field]
    bits = max(16, len(columns.words[field]).bit_length())
    if len(had) > FOLDED_UP_TO:
        one_in = np.uint64(-(-len(had) // HELD_BACK_ROWS))
        kept = mixed(had, 1) % one_in != 0
        held, told = had[~kept], had[kept]
        fold = (mixed(held, 2) % np.uint64(2)).astype(np.int8)
        asked = np.concatenate([held, missing])
        with ThreadPoolExecutor(2) as pool:  # sorting and searching leave the interpreter free
            both = list(
                pool.map(lambda parts: _ask(columns, parts, value, told, asked, bits), CONTEXTS[field])
            )
        first, rest = slice(0, len(held)), slice(len(held), len(asked))
        return held, fold, [_cut(one, first) for one in both], [_cut(one, rest) for one in both]
    fold = (mixed(had, 2) % np.uint64(FOLDS)).astype(np.int8)
    evidence = []
    for parts in CONTEXTS[field]:
        turns = [
            _ask(columns, parts, value, had[fold != out], had[fold == out], bits) for out in range(FOLDS)
        ]
        evidence.append(_woven(turns, fold))
    return had, fold, evidence, [_ask(columns, p, value, had, missing, bits) for p in CONTEXTS[field]]


def _ask(
    columns: Columns, parts: tuple[str, ...], value: Array, told: Array, asked: Array, bits: int
) -> Counts:
    if not {"plate", "four"} & set(parts):
        # Many rows share such a context, so a sample counts as well; what a plate did is never sampled.
        told = told[:: max(1, len(told) // COMMON_ROWS)]
    rows = np.concatenate([told, asked])
    key = columns.key(parts, rows)
    return count(key[: len(told)], value[told], key[len(told) :], bits)


def _cut(one: Counts, some: slice) -> Counts:
    return Counts(one.n[some], one.value[some], one.c[some], one.value2[some], one.c2[some])


def _woven(turns: list[Counts], fold: Array) -> Counts:
    """Answers per fold back in the order of the rows."""
    names = ("n", "value", "c", "value2", "c2")
    woven = {name: np.zeros(len(fold), dtype=np.int32) for name in names}
    for number, turn in enumerate(turns):
        for name in names:
            woven[name][fold == number] = getattr(turn, name)
    return Counts(**woven)


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
