"""The metrics of a binary detector: one entry each, with its title, its formula and what its interval needs.

A new metric is one more entry in `METRICS`. It then appears with an interval in `evaluate`'s result, in the report's
tables, in metrics.json and in comparisons.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Literal

import numpy as np

from rexnet_ai_real.labels import AI
from rexnet_ai_real.metrics.bootstrap import Estimate
from rexnet_ai_real.metrics.calibration_error import ECE_BINS, bin_gaps, class_balanced, ece_estimate
from rexnet_ai_real.metrics.ranking import Ranking, first_point
from rexnet_ai_real.metrics.scores import FloatArray, IntArray, Scores


@dataclass(frozen=True, eq=False)
class Sums:
    """What every metric is computed from: sums over the images of r resamples, each image counted by its weight."""

    tp: FloatArray
    """(r,) AI images called AI. Likewise fp: real ones called AI; fn: AI images called real; tn: real called real."""
    fp: FloatArray
    fn: FloatArray
    tn: FloatArray
    nll: FloatArray
    """(r,) negative log-likelihood, in nats."""
    squared_error: FloatArray
    """(r,) of P(AI)."""
    ai_gaps: FloatArray
    """(r, bins) label - P(AI) of the AI images in each bin of P(AI)."""
    real_gaps: FloatArray
    """The same of the real images."""
    true_positives: FloatArray
    """(r, points) AI images down to each point of the ranking by logit, from the highest."""
    false_positives: FloatArray
    """(r, points) real images down to each point."""
    has_ties: bool
    """Whether several images share a logit, and so a point."""

    @cached_property
    def n(self) -> FloatArray:
        """(r,) images."""
        return self.tp + self.fp + self.fn + self.tn

    @cached_property
    def n_ai(self) -> FloatArray:
        """(r,) AI-generated images."""
        return self.tp + self.fn

    @cached_property
    def n_real(self) -> FloatArray:
        """(r,) real images."""
        return self.fp + self.tn

    @cached_property
    def gained(self) -> FloatArray:
        """(r, points) AI images that each point adds."""
        return np.diff(self.true_positives, axis=1, prepend=0)


@dataclass(frozen=True, slots=True, eq=False)
class Summation:
    """Prepares n images once; weights then turn into `Sums` by one matrix product and two cumulative sums."""

    ranking: Ranking
    columns: FloatArray
    """(n, 6 + 2 * bins) in ranked order: confusion, log loss, squared error, calibration gaps of AI and real."""

    @classmethod
    def of(cls, scores: Scores, threshold: float) -> "Summation":
        """An image is called AI at probability >= threshold."""
        probability, ai = scores.probabilities, scores.labels == AI
        called = probability >= threshold
        nll = np.logaddexp(0.0, np.where(ai, -scores.logits, scores.logits))
        single = (ai & called, ~ai & called, ai & ~called, ~ai & ~called, nll, (ai - probability) ** 2)
        gaps = bin_gaps(scores.labels, probability)
        columns = np.concatenate([np.stack(single, axis=1), gaps * ai[:, None], gaps * ~ai[:, None]], axis=1)
        ranking = Ranking.of(scores.logits, ai)
        return cls(ranking, columns[ranking.order])

    def __call__(self, weights: FloatArray) -> Sums:
        """Weights (r, n) in the order of the images."""
        weights = np.take(weights, self.ranking.order, axis=1)
        sums = (weights @ self.columns.astype(weights.dtype)).astype(np.float64)
        true_positives, positives = self.ranking.cumulative(weights)
        positives -= true_positives
        return Sums(
            tp=sums[:, 0],
            fp=sums[:, 1],
            fn=sums[:, 2],
            tn=sums[:, 3],
            nll=sums[:, 4],
            squared_error=sums[:, 5],
            ai_gaps=sums[:, 6 : 6 + ECE_BINS],
            real_gaps=sums[:, 6 + ECE_BINS :],
            true_positives=true_positives,
            false_positives=positives,
            has_ties=self.ranking.tie_ends is not None,
        )


@dataclass(frozen=True, slots=True)
class Metric:
    """Everything that the project knows about one metric."""

    name: str
    """In results, metrics.json and code."""
    title: str
    """Where people read it."""
    compute: Callable[[Sums], FloatArray]
    """Sums of r resamples -> (r,); NaN where a resample does not define it."""
    lower_is_better: bool = False
    at_threshold: bool = False
    """Whether it depends on the threshold."""
    headline: bool = False
    """Whether it stands in the short tables: on the screen and in the model card."""
    rests_on: Literal["images", "ai", "real", "called AI", "smaller class"] | None = None
    """For a rate: the images whose number of duplicate groups tells how much a perfect value proves."""
    estimate: Callable[[Scores], Estimate] | None = None
    """Value and interval where the plain ones do not hold."""
    at_fpr: float | None = None
    """The false-positive rate that it is measured at, if any."""
    undefined: str = "not defined for these images"
    """Why it has no value although both classes are there."""


def _row_dot(a: FloatArray, b: FloatArray) -> FloatArray:
    return np.asarray(np.einsum("rk,rk->r", a, b), dtype=np.float64)


def _auroc(sums: Sums) -> FloatArray:
    """The share of pairs in which the AI image scores higher; ties count half."""
    misordered = _row_dot(sums.gained, sums.false_positives)  # pairs whose real image scores at least as high
    if sums.has_ties:
        misordered -= _row_dot(sums.gained, np.diff(sums.false_positives, axis=1, prepend=0)) / 2
    return np.asarray(1 - misordered / (sums.n_ai * sums.n_real))


def _average_precision(sums: Sums) -> FloatArray:
    """Step-wise, without interpolation: sum of (R_k - R_(k-1)) P_k over distinct scores."""
    positives = sums.true_positives + sums.false_positives
    return _row_dot(sums.gained, sums.true_positives / np.maximum(positives, 1)) / sums.n_ai


def _balanced_ece(sums: Sums) -> FloatArray:
    gaps = sums.ai_gaps / (2 * sums.n_ai)[:, None] + sums.real_gaps / (2 * sums.n_real)[:, None]
    return np.asarray(np.abs(gaps).sum(axis=1))


def _ece_estimate(weights: Callable[[IntArray], FloatArray]) -> Callable[[Scores], Estimate]:
    """`weights`: labels (n,) -> what each image counts, (n,)."""

    def estimate(scores: Scores) -> Estimate:
        shares = bin_gaps(scores.labels, scores.probabilities) * weights(scores.labels)[:, None]
        return ece_estimate(shares, scores.groups)

    return estimate


def _equal_error_rate(sums: Sums) -> FloatArray:
    """Where TPR + FPR, which grows along the curve from 0 to 2, passes 1: between two points, linearly."""
    rows = np.arange(len(sums.n))

    def point(k: IntArray) -> tuple[FloatArray, FloatArray]:
        fpr = sums.false_positives[rows, k] / sums.n_real
        return fpr, sums.true_positives[rows, k] / sums.n_ai + fpr

    k = first_point(sums.true_positives.shape[1], len(rows), lambda k: ~(point(k)[1] < 1))
    fpr, position = point(k)
    fpr_before, before = (np.where(k > 0, value, 0.0) for value in point(np.maximum(k - 1, 0)))
    return np.asarray(fpr_before + (1 - before) / (position - before) * (fpr - fpr_before))


def _tpr_at_fpr(target: float, *, headline: bool = False) -> Metric:
    """The largest true-positive rate at a threshold whose false-positive rate is at most `target`; not interpolated.

    The threshold is set on the same images. Below the rule of three's number of real images the interval is too
    narrow: the one at 1 % FPR held the truth in 65 % of simulations at 100 images, 72 % at 200, 96 % at 1,000.
    """

    def compute(sums: Sums) -> FloatArray:
        allowed = np.floor(
            target * sums.n_real + 1e-9
        )  # 1e-9: 0.07 * 100 is 7.000000000000001, its like may fall below
        rows = np.arange(len(sums.n))
        points = first_point(sums.true_positives.shape[1], len(rows), lambda k: sums.false_positives[rows, k] > allowed)
        reached = np.where(points > 0, sums.true_positives[rows, np.maximum(points - 1, 0)], 0.0) / sums.n_ai
        return np.asarray(np.where(sums.n_real > 0, reached, np.nan))

    title = f"AI images found at {target:.0%} false alarms"
    name = f"tpr_at_fpr{100 * target:.0f}"
    return Metric(name, title, compute, rests_on="ai", at_fpr=target, headline=headline)


_ENTRIES: Final = (
    Metric(
        "accuracy",
        "Accuracy",
        lambda s: (s.tp + s.tn) / s.n,
        at_threshold=True,
        headline=True,
        rests_on="images",
    ),
    Metric(
        "balanced_accuracy",
        "Balanced accuracy",
        lambda s: (s.tp / s.n_ai + s.tn / s.n_real) / 2,
        at_threshold=True,
        headline=True,
        rests_on="smaller class",
    ),
    Metric(
        "precision",
        "Precision of the AI class",
        lambda s: s.tp / (s.tp + s.fp),
        at_threshold=True,
        rests_on="called AI",
        undefined="no image was called AI-generated",
    ),
    Metric(
        "recall",
        "Recall: AI images found (TPR)",
        lambda s: s.tp / s.n_ai,
        at_threshold=True,
        rests_on="ai",
    ),
    Metric(
        "specificity",
        "Specificity: real images called real (TNR)",
        lambda s: s.tn / s.n_real,
        at_threshold=True,
        rests_on="real",
    ),
    Metric(
        "f1",
        "F1 of the AI class",
        lambda s: 2 * s.tp / (2 * s.tp + s.fp + s.fn),
        at_threshold=True,
        headline=True,
        rests_on="smaller class",  # a cautious stand-in, as for the other metrics of both classes
    ),
    # m real and m AI images, paired off, are m independent trials of "the AI image scores higher".
    Metric("auroc", "AUROC", _auroc, headline=True, rests_on="smaller class"),
    Metric("average_precision", "Average precision", _average_precision, headline=True, rests_on="smaller class"),
    Metric("nll", "Log loss (nats)", lambda s: s.nll / s.n, lower_is_better=True, headline=True),
    Metric("brier", "Brier score", lambda s: s.squared_error / s.n, lower_is_better=True),
    # Naeini et al. 2015, which is biased upwards in small samples; the estimate is without that bias.
    Metric(
        "ece",
        f"Calibration error (ECE, {ECE_BINS} bins, chance removed)",
        lambda s: np.abs(s.ai_gaps + s.real_gaps).sum(axis=1) / s.n,
        lower_is_better=True,
        headline=True,
        estimate=_ece_estimate(lambda labels: np.full(len(labels), 1 / len(labels))),
    ),
    Metric(
        "ece_balanced",
        "Calibration error, classes balanced (chance removed)",
        _balanced_ece,
        lower_is_better=True,
        estimate=_ece_estimate(class_balanced),
    ),
    Metric(
        "equal_error_rate",
        "Equal error rate",
        _equal_error_rate,
        lower_is_better=True,
        rests_on="smaller class",
    ),
    _tpr_at_fpr(0.05, headline=True),
    _tpr_at_fpr(0.01),
)

METRICS: Final[dict[str, Metric]] = {metric.name: metric for metric in _ENTRIES}
"""By name, in the order in which tables show them."""
