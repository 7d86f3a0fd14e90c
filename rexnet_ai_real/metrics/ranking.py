"""Images ranked by a score: sorted once, then a resample's curve is two cumulative sums of its weights."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from rexnet_ai_real.metrics.scores import BoolArray, FloatArray, IntArray


@dataclass(frozen=True, slots=True, eq=False)
class Ranking:
    """Images from the highest to the lowest score; equal scores share one point of the curve."""

    order: IntArray
    hits: FloatArray
    """(n,) in ranked order: 1 where the image is counted as a hit (an AI image for a ROC curve), else 0."""
    tie_ends: IntArray | None
    """(points,) position of the last image of each run of equal scores; None when all differ."""

    @classmethod
    def of(cls, score: FloatArray, hits: BoolArray) -> "Ranking":
        """Rank n images by `score` (n,); `hits` (n,) marks those to be counted apart."""
        order = np.argsort(-score, kind="stable")
        ends = np.flatnonzero(np.append(np.diff(score[order]) != 0, True))
        return cls(order, hits[order].astype(np.float64), None if ends.size == order.size else ends)

    def cumulative(self, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Weights (r, n) in ranked order -> weight of hits and of all up to each point, both (r, points)."""
        hits, total = np.cumsum(weights * self.hits.astype(weights.dtype), axis=1), np.cumsum(weights, axis=1)
        return (hits, total) if self.tie_ends is None else (hits[:, self.tie_ends], total[:, self.tie_ends])


def first_point(points: int, rows: int, reached: Callable[[IntArray], BoolArray]) -> IntArray:
    """For each row the first point where a condition holds that stays true once it is; `points` if it never is.

    Bisection: 14 steps per row of 10,000 points instead of a pass over all.
    """
    low, high = np.zeros(rows, dtype=np.int64), np.full(rows, points)
    while np.any(low < high):
        middle = (low + high) // 2
        there = reached(np.minimum(middle, points - 1))
        low, high = np.where((low < high) & ~there, middle + 1, low), np.where((low < high) & there, middle, high)
    return low
