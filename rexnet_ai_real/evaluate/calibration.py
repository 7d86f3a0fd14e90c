"""Fitting an operating point: temperature, threshold and unsure band, from out-of-fold or validation logits.

Nothing here may see test images. The promises hold for the predictor whose logits are given, on new images drawn as
these were; of another source nothing is promised.

The promise of the unsure band. Let R be the error rate among answered images, errors / answered. It is a ratio and
does not grow steadily as more images are answered, so conformal risk control, which bounds the expectation of a
monotone loss, does not fit. Learn-then-Test does (Angelopoulos et al. 2021): each candidate band is a hypothesis
"R > target", the number of errors among k answered independent images is binomial, so P(Bin(k, target) <= errors) is
a p-value; candidates are tested from the most careful onwards, each at the full level, until one fails (fixed-sequence
testing), and the last that passed is taken. Then P(R <= target) >= confidence over the drawing of the calibration
images. The candidates must not depend on the images they are tested on: half of the duplicate groups choose the
threshold, the candidates and the one to start from, the other half tests, one image per group.

The candidates follow Chow's rule (1970): answer where the calibrated probability of an error is at most c. Bands of
equal width about the threshold are the obvious alternative; at 768 images, AUROC 0.91, threshold at 5 % FPR and
target 10 % they answered 21 % of images, Chow's 57 % (means of 100 simulations).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar
from scipy.special import bdtr, expit

from rexnet_ai_real.detector.calibration import NEVER_AI, Calibration
from rexnet_ai_real.labels import AI, REAL
from rexnet_ai_real.metrics.scores import IntArray, Scores
from rexnet_ai_real.metrics.threshold import fpr_threshold

__all__ = ["Calibration", "Chooser", "ThresholdRule", "fit_calibration", "fit_temperature"]

Chooser = Callable[[IntArray], tuple[float, str]]
"""Rows of the images that may choose -> threshold on the logit, and how it was chosen, in words."""
ThresholdRule = Literal["fpr", "balanced_accuracy"] | Chooser
TEMPERATURES = (0.05, 20.0)
_CANDIDATES = 50  # bands tried: 2 points of coverage apart


def fit_calibration(
    labels: npt.ArrayLike,
    logits: npt.ArrayLike,
    groups: npt.ArrayLike | None = None,
    *,
    rule: ThresholdRule = "fpr",
    fpr_target: float = 0.05,
    error_target: float | None = 0.10,
    confidence: float = 0.90,
    seed: int = 0,
) -> Calibration:
    """Fit the operating point on logits of images that the network was not trained on.

    Args:
        labels: (n,) 0 real, 1 AI-generated.
        logits: (n,) log-odds of "AI-generated", before any temperature.
        groups: (n,) duplicate groups; None: each image stands alone.
        rule: "fpr": a false-positive rate of at most `fpr_target`; "balanced_accuracy": the best on these images; or a
            function that chooses.
        fpr_target: used by the rule "fpr".
        error_target: promised largest error rate among answered images; None: no unsure band, and all images
            choose the threshold instead of half.
        confidence: of that promise.
        seed: of the split into halves.

    If no band can be promised, all images are "unsure": coverage is 0, and `band_rule` and a note say so.

    Raises:
        ValueError: bad columns (see `Scores.of`), one class only, too few real images for `fpr_target`, targets
            outside (0, 1).
    """
    for name, value in (("fpr_target", fpr_target), ("error_target", error_target), ("confidence", confidence)):
        if value is not None and not 0 < value < 1:
            raise ValueError(f"{name} must lie between 0 and 1, got {value}")
    scores = Scores.of(labels, logits, groups)
    _need_both_classes(scores, "calibration")
    temperature, notes = fit_temperature(scores)
    rows, others = (np.arange(len(scores)), None) if error_target is None else _halves(scores, seed)
    choosing, proving = scores.rows(rows), None if others is None else scores.rows(others)
    _need_both_classes(choosing, "the half of the images that chooses the threshold")
    if callable(rule):
        cut, words = rule(rows)
    elif rule == "fpr":
        try:
            cut, words = fpr_threshold(choosing, fpr_target)
        except ValueError as error:
            raise ValueError(f"{error}, or the rule 'balanced_accuracy'") from error
    else:
        cut, words = _balanced_threshold(choosing)
    band = _Band(cut, cut, "no unsure band was asked for: every image is answered")
    if proving is not None and error_target is not None:
        band = _proven_band(choosing, proving, cut, error_target, confidence)
        if band.high == math.inf:
            notes = (*notes, f"{band.words}.")
    answered = (scores.logits >= band.high) | (scores.logits < band.low)
    low, threshold, high = (float(expit(x / temperature)) for x in (band.low, cut, band.high))
    return Calibration(
        temperature=temperature,
        threshold=threshold,
        threshold_rule=words,
        unsure_low=low,
        unsure_high=NEVER_AI if band.high == math.inf else high,
        coverage=float(answered.mean()),
        error_target=error_target,
        confidence=None if error_target is None else confidence,
        band_rule=band.words,
        n_real=scores.n_real,
        n_ai=scores.n_ai,
        notes=notes,
    )


def fit_temperature(scores: Scores) -> tuple[float, tuple[str, ...]]:
    """The temperature of lowest mean log loss (Guo et al. 2017), and notes where the images do not determine it.

    The loss is convex in 1 / temperature, so a bounded search over its logarithm finds the one minimum. If logit 0
    separates the classes without error, the loss falls for ever as the temperature goes to 0: it stays 1.
    """
    signed = np.where(scores.labels == AI, scores.logits, -scores.logits)
    if signed.min() > 0:
        return 1.0, ("The logits separate these images without error, so no temperature is best: left at 1.",)
    found = minimize_scalar(
        lambda u: float(np.mean(np.logaddexp(0.0, -signed * np.exp(-u)))),
        bounds=(math.log(TEMPERATURES[0]), math.log(TEMPERATURES[1])),
        method="bounded",
        options={"xatol": 1e-8},
    )
    temperature = float(np.exp(found.x))
    if temperature > 0.99 * TEMPERATURES[1]:
        text = "no relation between logits and labels here, or a reversed one: check the labels and the detector"
        return temperature, (f"The temperature reached its bound of {TEMPERATURES[1]:g}: {text}.",)
    if temperature < 1.01 * TEMPERATURES[0]:
        text = "the logits are nearly error-free but tiny; the network may have been trained very little"
        return temperature, (f"The temperature reached its bound of {TEMPERATURES[0]:g}: {text}.",)
    return temperature, ()


def _balanced_threshold(scores: Scores) -> tuple[float, str]:
    """Between two neighbouring logits, where balanced accuracy is best; of equals the one nearest to logit 0."""
    values = np.unique(scores.logits)
    ai, real = (np.sort(scores.logits[scores.labels == label]) for label in (AI, REAL))
    cuts = np.concatenate([values[:1], (values[:-1] + values[1:]) / 2])
    found = 1 - np.searchsorted(ai, cuts) / ai.size
    balanced = (found + np.searchsorted(real, cuts) / real.size) / 2
    best = np.flatnonzero(balanced >= balanced.max() - 1e-12)
    k = best[np.argmin(np.abs(cuts[best]))]
    return float(cuts[k]), (
        f"best balanced accuracy on {len(scores)} images, {balanced[k]:.1%} there (optimistic: chosen on the same)"
    )


@dataclass(frozen=True, slots=True)
class _Band:
    """Logits between which the detector is unsure, and what is promised outside."""

    low: float
    high: float
    words: str


def _proven_band(choosing: Scores, proving: Scores, cut: float, target: float, confidence: float) -> _Band:
    # Chow's rule answers "AI" at a logit >= -c and "real" below c: `doubt` is an image's smallest such c.
    # (A temperature would only rescale c.) At c = infinity both edges meet at the threshold and all is answered.
    doubt = np.where(choosing.logits >= cut, -choosing.logits, choosing.logits)
    allowed = np.unique(np.quantile(doubt, np.linspace(1 / _CANDIDATES, 1, _CANDIDATES)))
    edges = [(min(cut, c), max(cut, -c)) for c in (*allowed.tolist(), math.inf)]
    start = int(np.argmin([_p_value(*_answered_and_wrong(choosing, *edge), target) for edge in edges]))
    independent = proving.rows(proving.one_per_group(np.ones(len(proving), dtype=np.bool_)))
    passed: tuple[float, float] | None = None
    for edge in edges[start:]:
        if _p_value(*_answered_and_wrong(independent, *edge), target) > 1 - confidence:
            break
        passed = edge
    if passed is None:
        seen = _answered_and_wrong(independent, *edges[start])
        return _Band(-math.inf, math.inf, _no_promise(len(independent), *seen, target, confidence))
    answered, wrong = _answered_and_wrong(independent, *passed)
    return _Band(
        *passed,
        f"with {confidence:.0%} confidence at most {target:.1%} of answered images are wrong, for images of the "
        f"same kind (Learn-then-Test on {len(independent)} independent images: {answered} answered, {wrong} wrong)",
    )


def _no_promise(n: int, answered: int, wrong: int, target: float, confidence: float) -> str:
    """Why every image is "unsure", in words that need no other."""
    needed = math.ceil(math.log(1 - confidence) / math.log(1 - target))  # right answers in a row that would prove it
    rate, images = f"errors at or below {100 * target:g}%", f"images like these (n = {n})"
    if n < needed:
        why = f"Too few images to promise {rate}: {n} independent ones, and at least {needed} are needed"
    elif wrong > target * answered:
        why = f"No threshold keeps {rate} on {images}, where {wrong} of the {answered} surest answers are wrong"
    else:
        why = (
            f"No threshold is shown to keep {rate} on {images}: with {wrong} wrong among the {answered} surest answers "
            f"it cannot be promised with {confidence:.0%} confidence"
        )
    return f"{why}. The detector answers 'unsure' unless you ask for --answer always"


def _answered_and_wrong(scores: Scores, low: float, high: float) -> tuple[int, int]:
    called_ai, called_real = scores.logits >= high, scores.logits < low
    wrong = (called_ai & (scores.labels == REAL)) | (called_real & (scores.labels == AI))
    return int(np.sum(called_ai | called_real)), int(np.sum(wrong))


def _p_value(answered: int, wrong: int, target: float) -> float:
    """P(Bin(answered, target) <= wrong): small where an error rate above the target would hardly show so few errors."""
    return float(bdtr(wrong, answered, target)) if answered else 1.0


def _halves(scores: Scores, seed: int) -> tuple[IntArray, IntArray]:
    """The rows of two parts with half of the duplicate groups each, drawn without a look at labels or logits."""
    shuffled = np.random.default_rng(seed).permutation(scores.n_groups)
    first = np.isin(scores.groups, shuffled[: (scores.n_groups + 1) // 2])
    return np.flatnonzero(first), np.flatnonzero(~first)


def _need_both_classes(scores: Scores, what: str) -> None:
    if not scores.n_real or not scores.n_ai:
        raise ValueError(
            f"{what} needs real and AI-generated images, got {scores.n_real} real and {scores.n_ai} AI-generated"
        )
