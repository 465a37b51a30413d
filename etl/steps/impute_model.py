"""How sure a guess is: weights for what the contexts say; held-back values say how right the guesses are.

For each row up to three candidate values are drawn from the contexts. A logistic regression scores each by
how often, out of how many, every context saw it. A score is no probability: the confidence of a row is the
share of held-back rows with such a score that were right, and those rows did not set the weights that judged
them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from etl.steps.impute_evidence import Array, Counts

FloatArray = NDArray[np.float64]
CANDIDATES: Final = 3
FEATURES: Final = 5
RIDGE: Final = 1.0
NEWTON_STEPS: Final = 8
LEAST_IN_BIN: Final = 25
MOST_BINS: Final = 200


def candidates(evidence: Sequence[Counts], rows: int) -> Array:
    """The values with most support over all contexts: shape (rows, CANDIDATES), -1 where there is none."""
    best = np.full((rows, CANDIDATES), -1, dtype=np.int32)
    telling = [one for one in evidence if one.tells]
    named = [np.where(one.c > 0, one.value, -1) for one in telling]
    named += [np.where(one.c2 > 0, one.value2, -1) for one in evidence[:2] if one.tells]
    if not named:
        return best
    values = np.stack(named, axis=1)
    score = np.zeros(values.shape, dtype=np.float32)
    for one in telling:
        # A context with one row says less than one with ten that agree.
        weight = (1 / (one.n + 1)).astype(np.float32)
        for column in range(values.shape[1]):
            score[:, column] += one.of(values[:, column]) * weight
    score[values < 0] = -1
    every = np.arange(rows)
    for place in range(CANDIDATES):
        at = score.argmax(axis=1)
        best[:, place] = np.where(score[every, at] > 0, values[every, at], -1)
        score[values == best[:, place, None]] = -1
    return best


def features(evidence: Sequence[Counts], value: Array) -> NDArray[np.float32]:
    """What is weighed of the candidate ``value`` of each row: shape (FEATURES per context and one, rows)."""
    table = np.zeros((FEATURES * len(evidence) + 1, len(value)), dtype=np.float32)
    table[-1] = 1
    for number, one in enumerate(evidence):
        if not one.tells:
            continue
        seen, n = one.of(value).astype(np.float32), one.n.astype(np.float32)
        odds = np.log((seen + 0.5) / (n - seen + 0.5))  # 0 where the context has no row
        share = seen / np.maximum(n, 1)
        first = (seen >= one.c) & (seen > 0)
        begin = FEATURES * number
        table[begin : begin + FEATURES] = (odds, odds * np.abs(odds), share, first, n > 0)
    return table


@dataclass(frozen=True, slots=True)
class Guesses:
    """The best candidate of each row, its code -1 where there is none, and its score, 0–1."""

    value: Array
    score: FloatArray


class Judge:
    """One set of weights per fold, each learned from the rows of all other folds."""

    def __init__(self, evidence: Sequence[Counts], truth: Array, fold: Array, folds: int) -> None:
        """Learns. Args: fold: of each row, below ``folds``; truth: code of its value."""
        drawn = candidates(evidence, len(truth))
        row, place = np.nonzero(drawn >= 0)
        wide = np.stack([features(evidence, drawn[:, at]) for at in range(CANDIDATES)])
        table = wide[place, :, row].astype(np.float64)
        right = (drawn[row, place] == truth[row]).astype(np.float64)
        others = [fold[row] != out for out in range(folds)]
        self._weights = np.stack([logistic(table[some], right[some]) for some in others])

    def guess(self, evidence: Sequence[Counts], fold: Array) -> Guesses:
        """Best candidates. A row, held back or to fill, is judged by the weights of its fold."""
        drawn = candidates(evidence, len(fold))
        score, every = np.zeros(drawn.shape), np.arange(len(drawn))
        telling = [one for one in evidence if one.tells]
        used = np.repeat([one.tells for one in evidence] + [True], [FEATURES] * len(evidence) + [1])
        weights = self._weights[:, used].astype(np.float32)
        for place in range(CANDIDATES):
            by_fold = weights @ features(telling, drawn[:, place])
            # Equal rows have equal scores, wherever in the table they stand.
            score[:, place] = _sigmoid(np.round(by_fold[fold, every], 5))
        score[drawn < 0] = 0
        at = score.argmax(axis=1)
        return Guesses(drawn[every, at], score[every, at])


def logistic(table: FloatArray, right: FloatArray) -> FloatArray:
    """Weights of a ridge logistic regression, by Newton's method.

    A context that has no row is taken for an average one: what always spoke may be silent about a new row.

    Args:
        table: rows as ``features`` has columns.
    """
    if not len(table):
        return np.zeros(table.shape[1])
    wide = table[:, :-1].reshape(len(table), -1, FEATURES)
    speaks = wide[:, :, -1:]
    middle = wide.sum(axis=0) / np.maximum(speaks.sum(axis=0), 1)
    middle[:, -1] = speaks[:, :, 0].mean(axis=0)
    centred = np.concatenate([wide[:, :, :-1] - speaks * middle[:, :-1], speaks - middle[:, -1:]], axis=2)
    centred = np.concatenate([centred.reshape(len(table), -1), table[:, -1:]], axis=1)
    spread = np.sqrt((centred**2).mean(axis=0))
    spread[spread < 1e-6] = 1
    # Sums differ in their last digits with the number of threads; the guesses must not.
    weights: FloatArray = np.round(_newton(centred / spread, right), 4) / spread
    each = weights[:-1].reshape(-1, FEATURES)
    weights[-1] -= each[:, -1] @ middle[:, -1]
    each[:, -1] -= (each[:, :-1] * middle[:, :-1]).sum(axis=1)
    return weights


def _newton(table: FloatArray, right: FloatArray) -> FloatArray:
    weights: FloatArray = np.zeros(table.shape[1])
    for _ in range(NEWTON_STEPS):
        chance = _sigmoid(table @ weights)
        slope = table.T @ (chance - right) + RIDGE * weights
        bend = (table * np.maximum(chance * (1 - chance), 1e-4)[:, None]).T @ table
        step = np.linalg.solve(bend + RIDGE * np.eye(len(weights)), slope)
        weights -= step
        if np.abs(step).max() < 1e-2:
            break
    return weights


def _sigmoid(score: FloatArray) -> FloatArray:
    answer: FloatArray = 1 / (1 + np.exp(-np.clip(score, -30, 30)))
    return answer


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
    # A step begins midway between two scores: the folds' scores of like rows differ a little.
    edges = (score[starts] + score[np.maximum(starts - 1, 0)]) / 2
    for begin, size, good in zip(edges, n, np.add.reduceat(hit, starts), strict=True):
        blocks.append((begin, size, good))
        while len(blocks) > 1 and blocks[-2][2] * blocks[-1][1] >= blocks[-1][2] * blocks[-2][1]:
            _, last_size, last_good = blocks.pop()
            first, earlier_size, earlier_good = blocks.pop()
            blocks.append((first, earlier_size + last_size, earlier_good + last_good))
    sure = np.array([(good + 1) / (size + 2) for _, size, good in blocks])
    # The lowest step also serves scores below any that was graded.
    edge = np.array([-np.inf, *(begin for begin, _, _ in blocks[1:])])
    return Calibration(edge, np.maximum.accumulate(sure))
