"""How sure a guess is: boosted trees weigh what the contexts say; held-back values say how right they are.

For each row up to three candidate values are drawn from the contexts. The trees give each a score from how
often, out of how many, every context saw it. A score is no probability: the confidence of a row is the share
of held-back rows with such a score that were right, and those rows did not train the trees that judged them.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from etl.steps.impute_evidence import Array, Counts

FloatArray = NDArray[np.float64]
CANDIDATES: Final = 3
TREES: Final = 80
CHUNK: Final = 50_000
# One thread each: the sum of gradients, and so the model, is the same on a machine of any size.
_TREES: Final[dict[str, Any]] = {
    "objective": "binary", "num_leaves": 15, "learning_rate": 0.08, "min_data_in_leaf": 20, "seed": 1,
    "deterministic": True, "force_row_wise": True, "num_threads": 1, "verbose": -1,
}  # fmt: skip
LEAST_IN_BIN: Final = 25
MOST_BINS: Final = 200


def candidates(evidence: Sequence[Counts], some: slice) -> Array:
    """The values with most support over all contexts: shape (rows, CANDIDATES), -1 where there is none."""
    named = [np.where(one.c[some] > 0, one.value[some], -1) for one in evidence]
    named += [np.where(one.c2[some] > 0, one.value2[some], -1) for one in evidence[:2]]
    values = np.stack(named, axis=1)
    score = np.zeros(values.shape, dtype=np.float32)
    for one in evidence:
        # A context with one row says less than one with ten that agree.
        weight = (1 / (one.n[some] + 1)).astype(np.float32)
        for column in range(values.shape[1]):
            score[:, column] += one.of(values[:, column], some) * weight
    score[values < 0] = -1
    rows = np.arange(len(values))
    best = np.full((len(values), CANDIDATES), -1, dtype=np.int32)
    for place in range(CANDIDATES):
        at = score.argmax(axis=1)
        best[:, place] = np.where(score[rows, at] > 0, values[rows, at], -1)
        score[values == best[:, place, None]] = -1
    return best


def features(evidence: Sequence[Counts], form: Array, value: Array, some: slice) -> NDArray[np.float32]:
    """What the trees see of the candidate ``value`` of each row."""
    table = np.empty((len(value), 3 * len(evidence) + 2), dtype=np.float32)
    for number, one in enumerate(evidence):
        seen, n = one.of(value, some), one.n[some]
        table[:, 3 * number] = np.log2(n + 1, dtype=np.float32)
        table[:, 3 * number + 1] = seen / np.maximum(n, 1)
        table[:, 3 * number + 2] = (seen >= one.c[some]) & (seen > 0)
    table[:, -2] = form[some]
    table[:, -1] = value
    return table


@dataclass(frozen=True, slots=True)
class Guesses:
    """The best candidate of each row, its code -1 where there is none, and the trees' score of it, 0–1."""

    value: Array
    score: FloatArray


class Trees:
    """One model per fold, each trained on the rows of all other folds."""

    def __init__(
        self, evidence: Sequence[Counts], form: Array, truth: Array, fold: Array, folds: int
    ) -> None:
        """Trains. Args: fold: of each row, below ``folds``; truth: code of its value."""
        chunks = _chunks(len(truth))
        drawn = np.concatenate([candidates(evidence, some) for some in chunks])
        row, place = np.nonzero(drawn >= 0)
        everything = slice(0, len(truth))
        wide = [features(evidence, form, drawn[:, at], everything) for at in range(CANDIDATES)]
        table = np.stack(wide, axis=1)[row, place]
        right = drawn[row, place] == truth[row]
        with ThreadPoolExecutor(_cores()) as pool:
            self._models = list(
                pool.map(lambda out: _train(table[fold[row] != out], right[fold[row] != out]), range(folds))
            )

    def guess(self, evidence: Sequence[Counts], form: Array, fold: Array) -> Guesses:
        """Best candidates. A row, held back or to fill, is judged by the model of its fold."""

        def one(some: slice) -> tuple[Array, FloatArray]:
            drawn = candidates(evidence, some)
            score = np.zeros(drawn.shape)
            for place in range(CANDIDATES):
                table = features(evidence, form, drawn[:, place], some)
                for number, model in enumerate(self._models):
                    rows = np.flatnonzero((fold[some] == number) & (drawn[:, place] >= 0))
                    if len(rows):
                        score[rows, place] = model.predict(table[rows], num_threads=1)
            at = score.argmax(axis=1)
            rows = np.arange(len(drawn))
            return drawn[rows, at], score[rows, at]

        with ThreadPoolExecutor(_cores()) as pool:
            parts = list(pool.map(one, _chunks(len(form))))
        if not parts:
            return Guesses(np.zeros(0, dtype=np.int32), np.zeros(0))
        return Guesses(np.concatenate([v for v, _ in parts]), np.concatenate([s for _, s in parts]))


def _train(table: NDArray[np.float32], right: NDArray[np.bool_]) -> Any:
    import lightgbm  # takes a second, which only this step should pay

    return lightgbm.train(_TREES, lightgbm.Dataset(table, right.astype(np.float32)), TREES)


def _chunks(rows: int) -> list[slice]:
    return [slice(start, min(start + CHUNK, rows)) for start in range(0, rows, CHUNK)]


def _cores() -> int:
    return min(4, os.cpu_count() or 1)


@dataclass(frozen=True, slots=True)
class Calibration:
    """Score → confidence: a rising step function, by pooling adjacent violators (Ayer et al. 1955)."""

    edge: FloatArray
    sure: FloatArray

    def __call__(self, guesses: Guesses) -> FloatArray:
        """Confidence of each guess, 0 where there is none."""
        sure = self.sure[np.searchsorted(self.edge, guesses.score, side="right") - 1]
        answer: FloatArray = np.where(guesses.value >= 0, sure, 0.0)
        return answer


def calibrate(score: FloatArray, right: NDArray[np.bool_]) -> Calibration:
    """Learns it from graded guesses; needs one at least.

    A step rests on ``LEAST_IN_BIN`` rows or more, where there are as many, and counts one right and one wrong
    guess more than it saw, so that few rows are never certain.
    """
    order = np.argsort(score, kind="stable")
    score, hit = score[order], right[order].astype(np.float64)
    bins = int(np.clip(len(score) // LEAST_IN_BIN, 1, MOST_BINS))
    starts = np.searchsorted(score, score[np.arange(bins) * len(score) // bins], side="left")
    starts = np.unique(starts)
    n = np.diff(starts, append=len(score)).astype(np.float64)
    blocks: list[tuple[float, float, float]] = []
    for begin, size, good in zip(score[starts], n, np.add.reduceat(hit, starts), strict=True):
        blocks.append((begin, size, good))
        while len(blocks) > 1 and blocks[-2][2] * blocks[-1][1] >= blocks[-1][2] * blocks[-2][1]:
            _, last_size, last_good = blocks.pop()
            first, earlier_size, earlier_good = blocks.pop()
            blocks.append((first, earlier_size + last_size, earlier_good + last_good))
    sure = np.array([(good + 1) / (size + 2) for _, size, good in blocks])
    # The lowest step also serves scores below any that was graded.
    edge = np.array([-np.inf, *(begin for begin, _, _ in blocks[1:])])
    return Calibration(edge, np.maximum.accumulate(sure))
