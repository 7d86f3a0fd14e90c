"""Curves with pointwise 95 % intervals: ROC, precision-recall, reliability and risk-coverage, as plain data.

The bands come from the same bootstrap by duplicate group as the metrics. They hold point by point, not for the whole
curve at once.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import logit

from rexnet_ai_real.labels import AI
from rexnet_ai_real.metrics.bootstrap import Estimate, percentile_interval, perfect_bound, resampling_weights
from rexnet_ai_real.metrics.calibration_error import ECE_BINS, bin_numbers
from rexnet_ai_real.metrics.ranking import Ranking
from rexnet_ai_real.metrics.scores import FloatArray, IntArray, Scores

GRID: FloatArray = np.linspace(0.0, 1.0, 101)


@dataclass(frozen=True, slots=True, eq=False)
class Band:
    """A curve over `x` with its interval; three arrays as long as `x`, NaN where the images do not define a point."""

    x: FloatArray
    value: FloatArray
    low: FloatArray
    high: FloatArray

    def __post_init__(self) -> None:
        """Refuse columns of different lengths."""
        if len({self.x.shape, self.value.shape, self.low.shape, self.high.shape}) > 1:
            raise ValueError("the columns of a band must be equally long")


@dataclass(frozen=True, slots=True, eq=False)
class Reliability:
    """The reliability diagram: in each of 15 equal bins of P(AI), what was predicted and what share was AI."""

    edges: FloatArray
    """(bins + 1,) from 0 to 1."""
    counts: IntArray
    """(bins,) images."""
    observed: Band
    """x: mean predicted P(AI) of the bin; value: share of AI-generated images in it. NaN in empty bins."""


@dataclass(frozen=True, slots=True, eq=False)
class RiskCoverage:
    """The error rate when only the most confident images are answered (Geifman and El-Yaniv 2017)."""

    risk: Band
    """x: coverage, the share of images answered; value: error rate among them."""
    aurc: Estimate
    """Area under the curve: the mean over all images of the risk when answering down to that image."""


def roc_band(
    labels: npt.ArrayLike,
    logits: npt.ArrayLike,
    groups: npt.ArrayLike | None = None,
    *,
    resamples: int = 2000,
    seed: int = 0,
) -> Band:
    """True-positive rate over the false-positive rate 0, 0.01 ... 1, linear between points (Fawcett 2006, vertical).

    Raises:
        ValueError: as `metrics.evaluate`.
    """

    def tpr(hits: FloatArray, total: FloatArray) -> FloatArray:
        false_positives = total - hits
        if not hits[-1] or not false_positives[-1]:
            return np.full(GRID.size, np.nan)
        # At equal rates np.interp takes the last point, the top of a vertical step.
        fpr = np.append(0.0, false_positives / false_positives[-1])
        return np.asarray(np.interp(GRID, fpr, np.append(0.0, hits / hits[-1])))

    return _band(Scores.of(labels, logits, groups), tpr, resamples, seed)


def pr_band(
    labels: npt.ArrayLike,
    logits: npt.ArrayLike,
    groups: npt.ArrayLike | None = None,
    *,
    resamples: int = 2000,
    seed: int = 0,
) -> Band:
    """Precision over the recall 0, 0.01 ... 1: at the highest threshold that reaches the recall, not interpolated.

    At recall 0 the precision is that of the first AI image found.

    Raises:
        ValueError: as `metrics.evaluate`.
    """

    def precision(hits: FloatArray, total: FloatArray) -> FloatArray:
        if not hits[-1]:
            return np.full(GRID.size, np.nan)
        # A little below the count itself, so that rounding cannot pass it.
        points = np.searchsorted(hits, np.maximum(GRID * hits[-1], 1e-9) * (1 - 1e-9))
        return np.asarray(hits[points] / total[points])

    return _band(Scores.of(labels, logits, groups), precision, resamples, seed)


def reliability(
    labels: npt.ArrayLike,
    logits: npt.ArrayLike,
    groups: npt.ArrayLike | None = None,
    *,
    resamples: int = 2000,
    seed: int = 0,
) -> Reliability:
    """Predicted and observed shares in 15 bins; pass logits / temperature to see the calibrated detector.

    Where all images of a bin are of one class the open end is Clopper and Pearson's, since every resample agrees.

    Raises:
        ValueError: as `metrics.evaluate`.
    """
    scores = Scores.of(labels, logits, groups)
    edges = np.linspace(0.0, 1.0, ECE_BINS + 1)
    bins = bin_numbers(scores.probabilities)
    member = (bins[:, None] == np.arange(ECE_BINS)).astype(np.float64)
    ai = scores.labels == AI
    counts = member.sum(axis=0)
    columns = np.concatenate([member, member * ai[:, None]], axis=1).astype(np.float32)
    with np.errstate(invalid="ignore"):  # 0 / 0: an empty bin has no share
        predicted, value = scores.probabilities @ member / counts, ai @ member / counts
        draws = resampling_weights(scores.groups, resamples, seed) if len(scores) else ()
        drawn = np.concatenate([np.full((1, 2 * ECE_BINS), np.nan), *(weights @ columns for weights in draws)])
        low, high = percentile_interval(drawn[:, ECE_BINS:] / drawn[:, :ECE_BINS])
    for b in np.flatnonzero((counts > 0) & (low == high)):
        room = perfect_bound(scores.groups_among(bins == b))
        # Neither 0 nor 1 and yet without width: a single duplicate group with both classes says nothing about others.
        low[b], high[b] = (1 - room, 1.0) if value[b] == 1 else (0.0, room) if value[b] == 0 else (np.nan, np.nan)
    return Reliability(edges, counts.astype(np.int64), Band(predicted, value, low, high))


def risk_coverage(
    labels: npt.ArrayLike,
    logits: npt.ArrayLike,
    groups: npt.ArrayLike | None = None,
    *,
    threshold: float = 0.5,
    resamples: int = 2000,
    seed: int = 0,
) -> RiskCoverage:
    """Error rate over the coverage 0.01 ... 1, the images furthest from the threshold (in log-odds) first.

    Raises:
        ValueError: as `metrics.evaluate`, or a threshold outside (0, 1).
    """
    if not 0 < threshold < 1:
        raise ValueError(f"the threshold must lie between 0 and 1, got {threshold}")
    scores = Scores.of(labels, logits, groups)
    coverage = GRID[1:]
    wrong = (scores.probabilities >= threshold) != (scores.labels == AI)

    def risks(hits: FloatArray, total: FloatArray) -> FloatArray:
        points = np.searchsorted(total, coverage * total[-1] * (1 - 1e-9))
        risk = hits / np.maximum(total, 1)
        return np.append(risk[points], np.diff(total, prepend=0.0) @ risk / total[-1])

    ranking = Ranking.of(np.abs(scores.logits - logit(threshold)), wrong)
    value, low, high = _curve(scores, ranking, risks, coverage.size + 1, resamples, seed)
    aurc = Estimate(float(value[-1]), float(low[-1]), float(high[-1]), "" if len(scores) else "no images")
    return RiskCoverage(Band(coverage, value[:-1], low[:-1], high[:-1]), aurc)


_Row = Callable[[FloatArray, FloatArray], FloatArray]


def _band(scores: Scores, row: _Row, resamples: int, seed: int) -> Band:
    ranking = Ranking.of(scores.logits, scores.labels == AI)
    return Band(GRID, *_curve(scores, ranking, row, GRID.size, resamples, seed))


def _curve(
    scores: Scores, ranking: Ranking, row: _Row, size: int, resamples: int, seed: int
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Value, low and high of what `row` makes of the cumulative weights of hits and of all images; each (size,)."""
    if not len(scores):
        return (np.full(size, np.nan),) * 3
    ones = np.ones((1, len(scores)))
    value = row(*(counts[0] for counts in ranking.cumulative(ones)))
    samples = np.empty((resamples, size))
    filled = 0
    for weights in resampling_weights(scores.groups, resamples, seed):
        for hits, total in zip(*ranking.cumulative(np.take(weights, ranking.order, axis=1)), strict=True):
            samples[filled] = row(hits, total)
            filled += 1
    return value, *percentile_interval(samples)
