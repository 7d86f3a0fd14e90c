"""How the detector does on images as they are, from the web and from a messenger, all at one threshold.

The threshold is set on the worst tier, the one on which the wanted false-positive rate needs the highest threshold: a
reader does not know which way an image came, so a rate is kept only where it is kept on every way.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rexnet_ai_real.images.tiers import TIERS, Tier
from rexnet_ai_real.labels import REAL
from rexnet_ai_real.metrics.binary import METRICS, evaluate_scores, resampled_metrics, summarise
from rexnet_ai_real.metrics.bootstrap import Estimate, percentile_interval
from rexnet_ai_real.metrics.scores import FloatArray, Scores
from rexnet_ai_real.metrics.threshold import fpr_threshold


@dataclass(frozen=True, slots=True)
class WorstTier:
    """The threshold that keeps the false-positive rate on every tier of the images that chose it."""

    cut: float
    """On the logit; at or above it an image is called AI."""
    tier: Tier
    """The one that needs it."""
    words: str
    """How it was chosen."""


@dataclass(frozen=True, slots=True)
class TierScore:
    """One tier, at the threshold that all share."""

    tier: Tier
    accuracy: Estimate
    change: Estimate
    """Of the accuracy against the first tier, paired by image."""
    tpr: Estimate
    tnr: Estimate
    auroc: Estimate

    @property
    def fpr(self) -> Estimate:
        """Share of real images called AI."""
        return self.tnr.complement


def worst_tier(logits: FloatArray, groups: npt.ArrayLike, *, fpr: float) -> WorstTier:
    """The highest of the thresholds that the tiers need.

    Args:
        logits: (n, tiers) of real images that the network was not trained on, in the order of `TIERS`.
        groups: (n,) near-duplicate groups.
        fpr: the false-positive rate wanted.

    Raises:
        ValueError: too few images, fewer than 1 / fpr - 1 independent ones.
    """
    real = np.full(len(logits), REAL)
    found = []
    for column, tier in enumerate(TIERS.values()):
        cut, words = fpr_threshold(Scores.of(real, logits[:, column], groups), fpr)
        found.append(WorstTier(cut, tier, words))
    return max(found, key=lambda each: each.cut)


def measure_tiers(
    labels: npt.ArrayLike,
    logits: FloatArray,
    margins: FloatArray,
    groups: npt.ArrayLike,
    *,
    resamples: int = 2000,
    seed: int = 0,
) -> tuple[TierScore, ...]:
    """Every tier with 95 % intervals.

    Args:
        labels: (n,) 0 real, 1 AI-generated.
        logits: (n, tiers) calibrated, for the ranking.
        margins: (n, tiers) logits above the threshold: at 0 or more an image is called AI.
        groups: (n,) near-duplicate groups, drawn together by the bootstrap.
        resamples: of the bootstrap.
        seed: of the bootstrap.
    """
    at = list(METRICS).index("accuracy")
    first: tuple[Estimate, FloatArray] | None = None
    found = []
    for column, tier in enumerate(TIERS.values()):
        ranked, called = (Scores.of(labels, values[:, column], groups) for values in (logits, margins))
        auroc = evaluate_scores(ranked, resamples=resamples, seed=seed).auroc
        samples = resampled_metrics(called, threshold=0.5, resamples=resamples, seed=seed)
        decided = summarise(called, samples, threshold=0.5)
        # The same groups and seed give the same resamples, so the change is paired.
        before, drawn = first = first or (decided.accuracy, samples[:, at])
        change = _change(before, decided.accuracy, samples[:, at] - drawn)
        found.append(TierScore(tier, decided.accuracy, change, decided.recall, decided.specificity, auroc))
    return tuple(found)


def _change(before: Estimate, after: Estimate, samples: FloatArray) -> Estimate:
    if not after.defined:
        return after
    low, high = percentile_interval(samples[:, None])
    return Estimate(after.value - before.value, float(low[0]), float(high[0]))


def lowest_accuracy(scores: Sequence[TierScore]) -> TierScore:
    """The tier with the lowest accuracy."""
    return min(scores, key=lambda score: score.accuracy.value)
