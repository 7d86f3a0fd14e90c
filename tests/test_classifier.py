"""The training module: schedule, parameter groups, metrics, and what a checkpoint holds."""

from pathlib import Path

import pytest
import torch
from sklearn.metrics import accuracy_score, f1_score, log_loss, roc_auc_score
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingLR, OneCycleLR

from rexnet_ai_real.config import (
    ConfigError,
    DataConfig,
    ModelConfig,
    OptimizerConfig,
    ScheduleConfig,
    preprocessing_of,
    to_plain,
)
from rexnet_ai_real.models import build
from rexnet_ai_real.train.classifier import Classifier, classification_metrics
from rexnet_ai_real.train.optimizer import new_optimizer, parameter_groups
from rexnet_ai_real.train.schedule import SCHEDULES, learning_rate_factor

STEPS = 50


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    torch.manual_seed(0)
    return Classifier(
        model=to_plain(ModelConfig(name="rexnet_100")),
        optimizer=to_plain(OptimizerConfig(name="SGD")),
        schedule=to_plain(ScheduleConfig()),
        preprocessing=preprocessing_of(DataConfig(name="folder")).to_plain(),
    )


def learning_rates_of(scheduler_class: type, **options: object) -> list[float]:
    """What a scheduler of PyTorch makes of a base rate of 1."""
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = scheduler_class(optimizer, **options)
    rates = []
    for _ in range(STEPS):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if len(rates) < STEPS:
            scheduler.step()
    return rates


def test_one_cycle_equals_pytorch() -> None:
    ours = [
        learning_rate_factor(step, STEPS, ScheduleConfig("one_cycle", div_factor=25, pct_start=0.3))
        for step in range(STEPS)
    ]
    theirs = learning_rates_of(
        OneCycleLR, max_lr=25.0, total_steps=STEPS, pct_start=0.3, div_factor=25.0, cycle_momentum=False
    )
    assert ours[0] == 1
    assert ours[-1] == pytest.approx(0, abs=1e-6)
    # PyTorch puts the peak at a whole step; ours may lie between two.
    assert ours == pytest.approx(theirs, abs=1.2)
    assert max(ours) == pytest.approx(25, rel=0.01)


def test_cosine_equals_pytorch() -> None:
    ours = [learning_rate_factor(step, STEPS, ScheduleConfig("cosine")) for step in range(STEPS)]
    assert ours == pytest.approx(learning_rates_of(CosineAnnealingLR, T_max=STEPS - 1), abs=1e-6)


def test_a_longer_run_than_planned_stays_at_the_end_of_the_schedule() -> None:
    assert learning_rate_factor(STEPS * 2, STEPS, ScheduleConfig("one_cycle")) == pytest.approx(0, abs=1e-9)
    assert learning_rate_factor(STEPS * 2, STEPS, ScheduleConfig("constant")) == 1


def test_weight_decay_spares_biases_and_batch_norm(classifier: Classifier) -> None:
    decayed, spared = parameter_groups(classifier.network, OptimizerConfig("SGD", weight_decay=0.1))
    norms = [m for m in classifier.network.modules() if isinstance(m, nn.BatchNorm2d)]
    assert decayed["weight_decay"] == 0.1
    assert spared["weight_decay"] == 0
    assert {id(norm.weight) for norm in norms} <= {id(p) for p in spared["params"]}
    total = sum(p.numel() for p in classifier.network.parameters())
    assert sum(p.numel() for group in (decayed, spared) for p in group["params"]) == total


@pytest.mark.parametrize(("name", "library"), [("rexnet_100", "rexnet"), ("rexnetr_100", "timm"), ("test_vit", "timm")])
def test_each_layer_has_its_share_of_the_rate_of_the_next(name: str, library: str) -> None:
    network = build(name, library=library)
    config = OptimizerConfig("AdamW", lr=0.1, weight_decay=0.05, layer_decay=0.8)
    groups = new_optimizer(config, network).param_groups
    rates = {id(p): group["lr"] for group in groups for p in group["params"]}
    decays = {id(p): group["weight_decay"] for group in groups for p in group["params"]}
    assert len(rates) == len(list(network.parameters()))
    assert all(decays[id(p)] == (0.05 if p.ndim > 1 else 0) for p in network.parameters())
    classifier = network.get_classifier().weight  # type: ignore[operator, union-attr]
    assert rates[id(classifier)] == groups[-1]["lr"] == 0.1
    assert min(rates.values()) == rates[id(next(iter(network.parameters())))]
    if "rexnet" in name:
        last = len(network.features)  # type: ignore[arg-type]
        expected = {f"features.{i}.": 0.1 * 0.8 ** (last - i) for i in range(last)} | {"stem.": 0.1 * 0.8 ** (last + 1)}
        for key, parameter in network.named_parameters():
            layer = next((begin for begin in expected if key.startswith(begin)), None)
            assert rates[id(parameter)] == pytest.approx(expected.get(str(layer), 0.1)), key


def test_what_is_frozen_is_not_in_the_optimizer() -> None:
    network = build("rexnet_100", width=0.25)
    network.stem.requires_grad_(False)  # type: ignore[union-attr]
    for layer_decay in (1.0, 0.9):
        optimizer = new_optimizer(OptimizerConfig("SGD", layer_decay=layer_decay), network)
        held = {id(p) for group in optimizer.param_groups for p in group["params"]}
        assert held == {id(p) for p in network.parameters() if p.requires_grad}


def test_a_schedule_is_one_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SCHEDULES, "halving", lambda progress, config: 1 - progress / 2)
    rates = [learning_rate_factor(step, 5, ScheduleConfig("halving")) for step in range(5)]
    assert rates == pytest.approx([1, 0.875, 0.75, 0.625, 0.5])
    with pytest.raises(ConfigError, match=r"schedule\.name=doubling: expected one of .*, halving"):
        learning_rate_factor(0, 5, ScheduleConfig("doubling"))


def test_any_optimizer_of_pytorch_is_built_from_its_name(classifier: Classifier) -> None:
    config = OptimizerConfig("AdamW", lr=0.01, weight_decay=0.1, options={"betas": [0.8, 0.9]})
    optimizer = new_optimizer(config, classifier.network)
    assert type(optimizer) is torch.optim.AdamW
    assert [group["betas"] for group in optimizer.param_groups] == [(0.8, 0.9)] * 2
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.1, 0]
    assert {group["lr"] for group in optimizer.param_groups} == {0.01}


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (OptimizerConfig("sgd"), r"optimizer\.name=sgd: expected a class of torch\.optim"),
        (OptimizerConfig("SGD", options={"beta": 1}), r"optimizer\.options=.*unexpected keyword argument 'beta'"),
        (OptimizerConfig("SGD", options={"nesterov": True}), r"optimizer\.options=.*Nesterov momentum requires"),
    ],
)
def test_impossible_optimizers_are_named(config: OptimizerConfig, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        new_optimizer(config, nn.Linear(1, 1))


def test_metrics_equal_scikit_learn() -> None:
    generator = torch.Generator().manual_seed(0)
    labels = (torch.rand(97, generator=generator) < 0.3).long()
    probability = (torch.rand(97, generator=generator) + labels * 0.4).clamp(max=1)
    measured = {name: float(value) for name, value in classification_metrics()(probability, labels).items()}
    truth, score = labels.numpy(), probability.numpy()
    predicted = score > 0.5
    assert measured == pytest.approx(
        {
            "accuracy": accuracy_score(truth, predicted),
            "f1": f1_score(truth, predicted),
            "auroc": roc_auc_score(truth, score),
        },
        abs=1e-6,
    )
    assert measured["f1"] != pytest.approx(measured["accuracy"], abs=1e-3)  # the default of torchmetrics would be equal


def test_first_loss_is_near_that_of_guessing(classifier: Classifier) -> None:
    torch.manual_seed(0)
    labels = torch.tensor([0, 1, 0, 1])
    logits = classifier.network.train()(torch.randn(4, 3, 64, 64)).detach()
    assert log_loss(labels, logits.softmax(dim=1)[:, 1]) == pytest.approx(0.693, abs=0.05)


def test_hyperparameters_are_read_without_running_code(classifier: Classifier, tmp_path: Path) -> None:
    stored = tmp_path / "hyperparameters.pt"
    torch.save(dict(classifier.hparams), stored)
    assert torch.load(stored, weights_only=True)["model"]["name"] == "rexnet_100"
