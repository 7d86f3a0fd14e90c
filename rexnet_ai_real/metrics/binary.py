"""Metrics of a binary detector with 95 % intervals, from labels, logits and duplicate groups.

Every metric is computed from weights, one per image: all ones give the value, the rows of the bootstrap give the
interval. The images are sorted once; a resample then costs two cumulative sums and one row of a matrix product.

For calibrated metrics pass calibrated logits (logits / temperature). Ranking metrics do not change with the
temperature.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from rexnet_ai_real.labels import AI, REAL
from rexnet_ai_real.metrics.bootstrap import FEW, Estimate, percentile_interval, perfect_bound, resampling_weights
from rexnet_ai_real.metrics.definitions import METRICS, Metric, Summation
from rexnet_ai_real.metrics.scores import FloatArray, Scores

__all__ = ["METRICS", "Metrics", "evaluate", "evaluate_scores", "plain_values", "resampled_metrics", "summarise"]


@dataclass(frozen=True, slots=True)
class Metrics:
    """What `evaluate` found. AI-generated is the positive class; an image is called AI at probability >= threshold.

    Each metric of `METRICS` is an attribute: `metrics.auroc` is `metrics.estimates["auroc"]`.
    """

    n: int
    n_real: int
    n_ai: int
    n_groups: int
    threshold: float
    resamples: int
    estimates: Mapping[str, Estimate]
    """Under their names, in the order of `METRICS`."""
    warnings: tuple[str, ...] = ()

    def __getattr__(self, name: str) -> Estimate:
        """Look a metric up."""
        if name in METRICS:
            return self.estimates[name]
        raise AttributeError(f"no metric or count {name!r}: expected one of {', '.join(METRICS)}")

    def with_decisions_of(self, other: "Metrics") -> "Metrics":
        """These metrics, with those that depend on the threshold taken from `other`."""
        decisions = {name: other.estimates[name] for name, metric in METRICS.items() if metric.at_threshold}
        return replace(self, estimates={**self.estimates, **decisions})

    def plain(self) -> dict[str, object]:
        """For JSON: counts, each metric as {"value", "low", "high"}, the warnings."""
        counts = {name: getattr(self, name) for name in ("n", "n_real", "n_ai", "n_groups", "threshold", "resamples")}
        estimates = {name: estimate.plain() for name, estimate in self.estimates.items()}
        return counts | estimates | {"warnings": list(self.warnings)}


def evaluate(
    labels: npt.ArrayLike,
    logits: npt.ArrayLike,
    groups: npt.ArrayLike | None = None,
    *,
    threshold: float = 0.5,
    resamples: int = 2000,
    seed: int = 0,
) -> Metrics:
    """All metrics with 95 % percentile intervals from a bootstrap over duplicate groups.

    Args:
        labels: (n,) 0 real, 1 AI-generated.
        logits: (n,) log-odds of "AI-generated".
        groups: (n,) numbers or names of near-duplicate groups; None: each image stands alone.
        threshold: on the probability; at or above it an image is called AI.
        resamples: how many times the groups are drawn anew.
        seed: of the drawing.

    A metric that the images do not define (one class only, none at all) is an undefined `Estimate` with a reason.

    Raises:
        ValueError: columns that do not fit together, labels other than 0 and 1, logits that are NaN or infinite.
    """
    return evaluate_scores(Scores.of(labels, logits, groups), threshold=threshold, resamples=resamples, seed=seed)


def evaluate_scores(scores: Scores, *, threshold: float = 0.5, resamples: int = 2000, seed: int = 0) -> Metrics:
    """`evaluate` for scores that are checked already."""
    samples = resampled_metrics(scores, threshold=threshold, resamples=resamples, seed=seed)
    return summarise(scores, samples, threshold=threshold)


def summarise(scores: Scores, samples: FloatArray, *, threshold: float) -> Metrics:
    """Values with intervals, from `samples` that `resampled_metrics` gave at this threshold."""
    estimates = dict.fromkeys(METRICS, Estimate.undefined("no images"))
    if len(scores):
        values = plain_values(scores, threshold)
        lows, highs = percentile_interval(samples)
        independent = _independent_observations(scores, threshold)
        for metric, value, low, high in zip(METRICS.values(), values, lows, highs, strict=True):
            found = Estimate(float(value), float(low), float(high))
            estimates[metric.name] = _finished(metric, found, scores, independent)
    return Metrics(
        n=len(scores),
        n_real=scores.n_real,
        n_ai=scores.n_ai,
        n_groups=scores.n_groups,
        threshold=threshold,
        resamples=len(samples),
        estimates=estimates,
        warnings=_warnings(scores),
    )


def plain_values(scores: Scores, threshold: float) -> FloatArray:
    """The metrics as their formulas give them, (len(METRICS),), before what chance adds to some of them is removed."""
    return np.asarray(_computed(Summation.of(scores, threshold), np.ones((1, len(scores))))[0])


def resampled_metrics(scores: Scores, *, threshold: float, resamples: int, seed: int) -> FloatArray:
    """The metrics of each bootstrap resample, (resamples, len(METRICS)); NaN where a resample does not define one.

    The same groups and seed give the same resamples for any logits: two detectors can be compared row by row.
    """
    if not len(scores):
        return np.full((resamples, len(METRICS)), np.nan)
    summation = Summation.of(scores, threshold)
    return np.concatenate(
        [_computed(summation, weights) for weights in resampling_weights(scores.groups, resamples, seed)]
    )


def _computed(summation: Summation, weights: FloatArray) -> FloatArray:
    """Weights (r, n) in the order of the images -> (r, len(METRICS))."""
    sums = summation(weights)
    with np.errstate(invalid="ignore", divide="ignore"):  # 0 / 0 is the NaN that marks an undefined metric
        return np.stack([metric.compute(sums) for metric in METRICS.values()], axis=1)


def _independent_observations(scores: Scores, threshold: float) -> dict[str, int]:
    """How many duplicate groups there are among the images that a rate may rest on: see `Metric.rests_on`."""
    ai, real = scores.groups_among(scores.labels == AI), scores.groups_among(scores.labels == REAL)
    called = scores.groups_among(scores.probabilities >= threshold)
    return {"images": scores.n_groups, "ai": ai, "real": real, "called AI": called, "smaller class": min(ai, real)}


def _finished(metric: Metric, found: Estimate, scores: Scores, independent: Mapping[str, int]) -> Estimate:
    """The value with its percentile interval -> the estimate that is shown."""
    if not found.defined:
        return Estimate.undefined(_why_undefined(metric, scores))
    if scores.n_groups == 1:
        return Estimate(found.value, np.nan, np.nan, "one duplicate group only: no interval")
    if metric.estimate:
        return metric.estimate(scores)
    if metric.rests_on and found.low == found.high == found.value and found.value in (0.0, 1.0):
        # Every resample of a perfect sample is perfect; 20 of 20 still leaves room for an error rate of 17 %.
        room = perfect_bound(independent[metric.rests_on])
        return Estimate(found.value, found.value - room if found.value else 0.0, found.value or room)
    return found


def _why_undefined(metric: Metric, scores: Scores) -> str:
    if not scores.n_ai or not scores.n_real:
        return f"needs both classes; there are {scores.n_real} real and {scores.n_ai} AI-generated images"
    return metric.undefined


def _warnings(scores: Scores) -> tuple[str, ...]:
    texts = [] if len(scores) else ["There are no images."]
    real = scores.groups_among(scores.labels == REAL)
    for rate in (metric.at_fpr for metric in METRICS.values() if metric.at_fpr):
        needed = round(3 / rate)
        if 0 < real < needed:
            texts.append(
                f"TPR at {rate:.0%} FPR rests on {real} independent real images, fewer than {needed}: even with no "
                f"false alarm among them the true FPR could be {min(1.0, 3 / real):.1%} (rule of three)."
            )
    if 1 < scores.n_groups < FEW:
        texts.append(f"Only {scores.n_groups} independent images: the intervals are rough below {FEW}.")
    return tuple(texts)
