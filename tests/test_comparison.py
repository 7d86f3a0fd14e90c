"""The paired comparison: differences and disagreements on the same images, and a refusal of others."""

import math

import numpy as np
import pytest
from sklearn.metrics import log_loss, roc_auc_score

from rexnet_ai_real.metrics.binary import METRICS, evaluate
from rexnet_ai_real.metrics.comparison import Predictions, compare
from rexnet_ai_real.metrics.scores import FloatArray, IntArray

NAMES = tuple(f"{k:03}.jpg" for k in range(300))


def detectors(random: np.random.Generator, n: int = 300, gain: float = 0.0) -> tuple[IntArray, FloatArray, FloatArray]:
    """Two detectors that see much the same; the first is better by `gain`."""
    labels = random.integers(0, 2, n)
    shared = random.normal(size=n) + 1.6 * (labels - 0.5)
    first, second = (shared + 0.4 * random.normal(size=n) for _ in range(2))
    return labels, first + gain * (labels - 0.5), second


def test_differences_agree_with_scikit_learn_whatever_the_order() -> None:
    random = np.random.default_rng(0)
    labels, first, second = detectors(random, gain=0.5)
    order = random.permutation(300)
    a = Predictions.of(NAMES, labels, first)
    b = Predictions.of([NAMES[k] for k in order], labels[order], second[order])
    found = compare(a, b, resamples=300)
    assert list(found.differences) == list(METRICS)
    auroc, nll = found.differences["auroc"].difference, found.differences["nll"].difference
    assert auroc.value == pytest.approx(roc_auc_score(labels, first) - roc_auc_score(labels, second))
    p1, p2 = 1 / (1 + np.exp(-first)), 1 / (1 + np.exp(-second))
    assert nll.value == pytest.approx(log_loss(labels, p1) - log_loss(labels, p2))
    assert nll.value < 0 < auroc.value
    assert min(found.differences["auroc"].a_better, found.differences["nll"].a_better) > 0.9
    assert "A ranks better" in found.finding


def test_exchanging_the_detectors_turns_the_sign() -> None:
    labels, first, second = detectors(np.random.default_rng(1))
    a, b = Predictions.of(NAMES, labels, first), Predictions.of(NAMES, labels, second)
    forth, back = compare(a, b, resamples=200), compare(b, a, resamples=200)
    for name in METRICS:
        one, other = forth.differences[name], back.differences[name]
        assert one.difference.value == pytest.approx(-other.difference.value)
        assert one.difference.low == pytest.approx(-other.difference.high)
        assert one.a_better == pytest.approx(1 - other.a_better)


def test_a_detector_does_not_differ_from_itself() -> None:
    labels, first, _ = detectors(np.random.default_rng(2))
    found = compare(Predictions.of(NAMES, labels, first), Predictions.of(NAMES, labels, first), resamples=50)
    for difference in found.differences.values():
        assert (difference.difference.value, difference.difference.low, difference.difference.high) == (0, 0, 0)
        assert difference.a_better == 0.5
    assert found.disagreements == ()
    assert "neither" in found.finding


def test_pairing_narrows_the_interval() -> None:
    labels, first, second = detectors(np.random.default_rng(3))
    found = compare(Predictions.of(NAMES, labels, first), Predictions.of(NAMES, labels, second), resamples=500)
    paired = found.differences["auroc"].difference
    alone = [evaluate(labels, logits, resamples=500).auroc for logits in (first, second)]
    assert paired.high - paired.low < 0.7 * math.hypot(*(e.high - e.low for e in alone))


def test_interval_covers_no_difference() -> None:
    random = np.random.default_rng(4)
    covered = 0
    for repeat in range(100):
        labels, first, second = detectors(random, 150)
        a, b = Predictions.of(NAMES[:150], labels, first), Predictions.of(NAMES[:150], labels, second)
        d = compare(a, b, resamples=120, seed=repeat).differences["auroc"].difference
        covered += d.low <= 0 <= d.high
    assert 0.89 <= covered / 100 <= 0.99


def test_disagreements_name_the_image_and_who_is_right() -> None:
    a = Predictions.of(["x", "y", "z"], [1, 0, 1], [2.0, 0.3, 1.0])
    b = Predictions.of(["x", "y", "z"], [1, 0, 1], [-2.0, -0.3, 1.0])
    found = compare(a, b, resamples=20)
    assert [(d.image, d.a_is_right) for d in found.disagreements] == [("x", True), ("y", False)]
    assert found.disagreements[0].probability_a == pytest.approx(1 / (1 + math.exp(-2)))
    assert not compare(a, b, threshold_a=0.95, resamples=20).disagreements[0].a_is_right


def test_one_class_compares_what_it_can() -> None:
    a, b = Predictions.of(["x", "y"], [1, 1], [2.0, 0.3]), Predictions.of(["x", "y"], [1, 1], [-2.0, 0.3])
    found = compare(a, b, resamples=20)
    assert found.differences["recall"].difference.value == pytest.approx(0.5)
    assert math.isnan(found.differences["auroc"].a_better)
    assert "cannot be compared" in found.finding


def test_different_images_or_labels_are_refused() -> None:
    a = Predictions.of(["x", "y"], [1, 0], [2.0, 0.3])
    with pytest.raises(ValueError, match=r"1 are only in A and 2 only in B \(only in A: y; only in B: v, w\)"):
        compare(a, Predictions.of(["x", "v", "w"], [1, 0, 0], [2.0, 0.3, 1.0]))
    with pytest.raises(ValueError, match="1 images have different labels in A and B, the first is y"):
        compare(a, Predictions.of(["x", "y"], [1, 1], [2.0, 0.3]))
    with pytest.raises(ValueError, match="1 image names are repeated"):
        Predictions.of(["x", "x"], [1, 0], [2.0, 0.3])
    with pytest.raises(ValueError, match="1 names for 2 images"):
        Predictions.of(["x"], [1, 0], [2.0, 0.3])
