"""Curves agree with scikit-learn and with sums written out; bands hold their curve and the truth."""

import math

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import norm
from sklearn.calibration import calibration_curve
from sklearn.metrics import precision_recall_curve, roc_curve

from rexnet_ai_real.metrics.curves import Band, pr_band, reliability, risk_coverage, roc_band
from rexnet_ai_real.metrics.scores import FloatArray, IntArray


def draw(random: np.random.Generator, n: int, decimals: int = 12) -> tuple[IntArray, FloatArray]:
    labels = random.integers(0, 2, n)
    return labels, np.round(random.normal(size=n) + 1.8 * (labels - 0.5), decimals)


@pytest.mark.parametrize("decimals", [12, 0])
def test_roc_agrees_with_scikit_learn(decimals: int) -> None:
    labels, logits = draw(np.random.default_rng(0), 300, decimals)
    band = roc_band(labels, logits, resamples=50)
    fpr, tpr, _ = roc_curve(labels, logits, drop_intermediate=False)
    assert band.value == pytest.approx([np.interp(x, fpr, tpr) for x in band.x])
    assert (band.low <= band.high).all()


@pytest.mark.parametrize("decimals", [12, 0])
def test_precision_recall_agrees_with_scikit_learn(decimals: int) -> None:
    labels, logits = draw(np.random.default_rng(1), 300, decimals)
    band = pr_band(labels, logits, resamples=50)
    precision, recall, thresholds = precision_recall_curve(labels, logits)
    expected = []
    for wanted in band.x:
        reached = np.flatnonzero((recall[:-1] >= wanted - 1e-12) & (recall[:-1] > 0))
        expected.append(precision[reached[np.argmax(thresholds[reached])]])
    assert band.value == pytest.approx(expected)


def test_roc_band_covers_the_true_curve_point_by_point() -> None:
    random = np.random.default_rng(2)
    at = [10, 25, 50]
    truth = norm.sf(norm.isf(np.array([0.10, 0.25, 0.50])) - 1.8)
    covered = np.zeros(3)
    for repeat in range(100):
        band = roc_band(*draw(random, 200), resamples=150, seed=repeat)
        covered += (band.low[at] <= truth) & (truth <= band.high[at])
    assert (covered / 100 >= 0.88).all()
    assert (covered / 100 <= 0.995).all()


def test_reliability_agrees_with_scikit_learn() -> None:
    labels, logits = draw(np.random.default_rng(3), 500)
    found = reliability(labels, 2 * logits, resamples=100)
    observed, predicted = calibration_curve(labels, expit(2 * logits), n_bins=15)
    filled = found.counts > 0
    assert found.counts.sum() == 500
    assert found.observed.value[filled] == pytest.approx(observed)
    assert found.observed.x[filled] == pytest.approx(predicted)
    assert (found.observed.low[filled] <= observed).all()
    assert (observed <= found.observed.high[filled]).all()


def test_reliability_of_a_bin_of_one_class_and_of_an_empty_bin() -> None:
    labels = np.repeat([0, 1], [10, 20])
    found = reliability(labels, np.where(labels == 1, 9.0, -9.0), resamples=200)
    assert found.observed.high[0] == pytest.approx(1 - 0.025 ** (1 / 10))
    assert found.observed.low[-1] == pytest.approx(0.025 ** (1 / 20))
    assert math.isnan(found.observed.value[7])


def test_risk_coverage_agrees_with_a_loop() -> None:
    labels, logits = draw(np.random.default_rng(4), 200)
    found = risk_coverage(labels, logits, threshold=0.4, resamples=200)
    surest = np.argsort(-np.abs(logits - math.log(0.4 / 0.6)))
    wrong = (expit(logits) >= 0.4)[surest] != labels[surest]
    running = [wrong[:k].mean() for k in range(1, 201)]
    assert found.aurc.value == pytest.approx(np.mean(running))
    assert found.risk.value == pytest.approx([running[2 * k - 1] for k in range(1, 101)])
    assert found.aurc.low < found.aurc.value < found.aurc.high


def test_tied_confidences_are_answered_together() -> None:
    found = risk_coverage([1, 0, 1, 0], [2.0, 2.0, 1.0, -1.0], resamples=20)
    assert found.risk.value[[24, 49, 99]] == pytest.approx([0.5, 0.5, 0.25])
    assert found.aurc.value == pytest.approx((0.5 + 0.5 + 0.25 + 0.25) / 4)


def test_one_class_or_none_gives_undefined_curves() -> None:
    assert np.isnan(roc_band([1, 1], [0.0, 1.0], resamples=5).value).all()
    assert np.isnan(pr_band([0, 0], [0.0, 1.0], resamples=5).value).all()
    assert np.isnan(roc_band([], []).value).all()
    assert not risk_coverage([], []).aurc.defined
    assert np.isnan(reliability([], []).observed.value).all()


def test_bad_threshold_and_uneven_bands_are_refused() -> None:
    with pytest.raises(ValueError, match="between 0 and 1, got 1"):
        risk_coverage([0, 1], [0.0, 1.0], threshold=1.0)
    with pytest.raises(ValueError, match="equally long"):
        Band(np.zeros(3), np.zeros(3), np.zeros(2), np.zeros(3))
