"""Delivery tiers at one threshold: against scikit-learn, and the promise that the threshold makes on every tier."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, roc_auc_score

from rexnet_ai_real.evaluate.audits.delivery import lowest_accuracy, measure_tiers, worst_tier
from rexnet_ai_real.evaluate.corruptions import DELIVERIES
from rexnet_ai_real.images.tiers import TIERS
from rexnet_ai_real.metrics.scores import FloatArray


def delivered(n: int, seed: int) -> tuple[np.ndarray, FloatArray, list[str]]:
    """Labels, logits of the three tiers and groups; the second tier makes real images look generated."""
    random = np.random.default_rng(seed)
    labels = np.arange(n) % 2
    logits = (3.0 * labels - 1.5)[:, None] + random.normal(size=(n, 3)) + np.array([0.0, 1.5, -1.0])
    return labels, logits, [f"g{row}" for row in range(n)]


def test_there_is_a_column_for_every_tier() -> None:
    assert [delivery.name for delivery in DELIVERIES] == list(TIERS)


def test_the_worst_tier_chooses_and_its_rate_holds_on_all() -> None:
    labels, logits, groups = delivered(4000, 0)
    real = labels == 0
    chosen = worst_tier(logits[real], [g for g, r in zip(groups, real, strict=True) if r], fpr=0.05)
    assert chosen.tier.name == "web"
    assert chosen.cut == pytest.approx(np.quantile(logits[real, 1], 0.95), abs=0.02)
    fresh_labels, fresh, _ = delivered(20000, 1)
    rates = (fresh[fresh_labels == 0] >= chosen.cut).mean(axis=0)
    assert rates.argmax() == 1
    assert rates.max() == pytest.approx(0.05, abs=0.01)


def test_too_few_real_images_choose_nothing() -> None:
    _, logits, groups = delivered(18, 0)
    with pytest.raises(ValueError, match="at least 19 independent real images"):
        worst_tier(logits, groups, fpr=0.05)


def test_every_tier_is_measured_at_the_same_threshold() -> None:
    labels, logits, groups = delivered(300, 2)
    found = measure_tiers(labels, logits, logits - 0.7, groups, resamples=200, seed=0)
    assert [score.tier.name for score in found] == list(TIERS)
    accuracies = [accuracy_score(labels, column >= 0.7) for column in logits.T]
    for score, column, accuracy in zip(found, logits.T, accuracies, strict=True):
        assert score.accuracy.value == pytest.approx(accuracy)
        assert score.change.value == pytest.approx(accuracy - accuracies[0])
        assert score.change.low <= score.change.value <= score.change.high
        assert score.auroc.value == pytest.approx(roc_auc_score(labels, column))
        assert score.tpr.value == pytest.approx((column[labels == 1] >= 0.7).mean())
        assert score.fpr.value == pytest.approx((column[labels == 0] >= 0.7).mean())
        assert score.fpr.low <= score.fpr.value <= score.fpr.high
    assert found[0].change.low == found[0].change.high == 0
    assert lowest_accuracy(found).accuracy.value == min(accuracies)


def test_changes_are_paired() -> None:
    """The same mistakes on every tier: no change, whatever is drawn."""
    labels, logits, groups = delivered(100, 3)
    same = np.repeat(logits[:, :1], 3, axis=1)
    found = measure_tiers(labels, same, same, groups, resamples=100, seed=0)
    assert found[2].accuracy.low < found[2].accuracy.value
    assert found[2].change.low == found[2].change.high == 0


def test_one_class_has_no_auroc_and_no_rate_of_the_other() -> None:
    _, logits, groups = delivered(40, 4)
    found = measure_tiers(np.ones(40, dtype=int), logits, logits, groups, resamples=50, seed=0)
    assert not found[1].auroc.defined
    assert not found[1].fpr.defined
    assert found[1].tpr.defined
