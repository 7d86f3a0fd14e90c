"""The threshold on the logit that keeps a false-positive rate."""

import math

import numpy as np
from scipy.special import betaincinv

from rexnet_ai_real.labels import REAL
from rexnet_ai_real.metrics.scores import FloatArray, Scores


def fpr_threshold(scores: Scores, target: float) -> tuple[float, str]:
    """The lowest logit at which to say "AI" such that a new real image is called AI with probability <= target.

    The conformal quantile (Vovk et al. 2005): above the ceil((n + 1)(1 - target))-th smallest of n real logits, one per
    duplicate group. The promise is an average over calibration sets; the rate of the one at hand follows a Beta law,
    whose central 95 % the words give.

    Raises:
        ValueError: too few real images, fewer than 1 / target - 1.
    """
    real = scores.logits[scores.one_per_group(scores.labels == REAL)]
    n = real.size
    k = math.ceil((n + 1) * (1 - target) - 1e-9)  # 1e-9: 20 * 0.95 is 19.000000000000004 in floating point
    if k > n:
        raise ValueError(
            f"a false-positive rate of {target:.1%} needs at least {math.ceil(1 / target - 1 - 1e-9)} independent real "
            f"images to choose the threshold on, got {n}; add real images, or choose a higher rate or the rule "
            "'balanced_accuracy'"
        )
    cut = _just_above(float(np.sort(real)[k - 1]), scores.logits)
    low, high = betaincinv(n + 1 - k, k, [0.025, 0.975])
    return cut, (
        f"false-positive rate of at most {target:.1%} on average (conformal quantile of {n} real images); "
        f"the rate at this very threshold lies between {low:.1%} and {high:.1%} with 95% probability"
    )


def _just_above(value: float, logits: FloatArray) -> float:
    """Half-way to the next higher logit, so that a rounding difference between machines flips no verdict."""
    higher = logits[logits > value]
    return (value + float(higher.min())) / 2 if higher.size else value + 1e-3
