"""Mixed batches: images and labels in the same shares, and the loss and the metrics of them."""

import pytest
import torch
from torch.nn import functional as F

from rexnet_ai_real.config import AugmentConfig
from rexnet_ai_real.runs.folder import RunFolder
from rexnet_ai_real.train.classifier import weighted_loss
from rexnet_ai_real.train.mixing import new_mixing
from rexnet_ai_real.train.run import train
from tests.conftest import Compose


@pytest.mark.parametrize(
    "augment", [AugmentConfig(mixup=0.5), AugmentConfig(cutmix=1.0), AugmentConfig(mixup=0.2, cutmix=1.0)]
)
def test_images_and_labels_are_mixed_in_the_same_shares(augment: AugmentConfig) -> None:
    torch.manual_seed(0)
    mixing = new_mixing(augment)
    assert mixing is not None
    labels = torch.tensor([0, 1, 1, 0, 1, 0])
    images = labels[:, None, None, None].expand(-1, 3, 16, 16).float()  # each image is its label
    for _ in range(4):
        mixed, shares = mixing(images, labels)
        torch.testing.assert_close(mixed.mean((1, 2, 3)), shares[:, 1], atol=1e-5, rtol=0)
        torch.testing.assert_close(shares.sum(1), torch.ones(6))


def test_nothing_is_mixed_unless_asked() -> None:
    assert new_mixing(AugmentConfig()) is None


def test_the_loss_of_shares_is_the_mean_of_the_losses_of_both_labels() -> None:
    torch.manual_seed(0)
    logits, share = torch.randn(5, 2), torch.rand(5)
    target = torch.stack([1 - share, share], dim=1)
    each = [F.cross_entropy(logits, torch.full((5,), label), reduction="none") for label in (0, 1)]
    assert weighted_loss(logits, target, None) == pytest.approx(float(((1 - share) * each[0] + share * each[1]).mean()))
    hard = torch.tensor([0, 1, 1, 0, 1])
    weights = torch.tensor([0.5, 2.0])
    for smoothing in (0.0, 0.2):
        soft = weighted_loss(logits, F.one_hot(hard, 2).float(), weights, smoothing)
        assert weighted_loss(logits, hard, weights, smoothing) == pytest.approx(float(soft))


def test_smoothing_spreads_a_share_of_the_label_over_both_classes() -> None:
    logits, labels, weights = torch.tensor([[2.0, -1.0], [0.3, 0.1]]), torch.tensor([0, 1]), torch.tensor([1.0, 3.0])
    log = logits.log_softmax(dim=1)
    expected = [-(0.9 * log[0, 0] + 0.1 * log[0, 1]), -3 * (0.1 * log[1, 0] + 0.9 * log[1, 1])]
    assert weighted_loss(logits, labels, weights, 0.2) == pytest.approx(float(sum(expected)) / 2)


def test_a_run_mixes_smooths_and_measures_validation_plainly(
    compose_tiny: Compose, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The result is measured without smoothing, so that equal validation losses say that training's was, too."""
    import pandas as pd

    folder = RunFolder(tmp_path_factory.mktemp("mixed"))
    settings = ("augment.mixup=0.4", "augment.cutmix=1", "loss.label_smoothing=0.3", "loss.class_weights=[1,2]")
    train(compose_tiny(*settings, "trainer.accumulate_grad_batches=2", "trainer.gradient_clip=0.5"), folder)
    history = pd.read_csv(folder.history_file)
    assert folder.read_metrics()["val"]["loss"] == pytest.approx(history["val_loss"].min(), abs=1e-5)
    assert history["train_accuracy"].between(0, 1).all()
