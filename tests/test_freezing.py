"""Frozen layers: neither weights nor statistics move, no gradient is computed, and the rest is trained."""

import pytest
import torch
from torch import Tensor, nn

from rexnet_ai_real.config import ConfigError, ModelConfig
from rexnet_ai_real.models import build, memory_efficient
from rexnet_ai_real.runs.folder import RunFolder
from rexnet_ai_real.train.classifier import new_classifier
from rexnet_ai_real.train.freezing import freeze_first, run_frozen_as_at_inference
from rexnet_ai_real.train.run import train
from tests.conftest import Compose


def network(name: str = "rexnet_100", library: str = "rexnet") -> nn.Module:
    torch.manual_seed(0)
    return memory_efficient(build(name, library=library, width=0.25 if library == "rexnet" else None))


def moved(before: dict[str, Tensor], after: dict[str, Tensor]) -> set[str]:
    return {key for key, value in before.items() if not torch.equal(value, after[key])}


def step(model: nn.Module) -> None:
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model(torch.randn(4, 3, 32, 32)).square().sum().backward()
    optimizer.step()


def test_frozen_blocks_stay_as_they_were_and_all_others_move() -> None:
    model = network()
    freeze_first(model, 3)
    run_frozen_as_at_inference(model, norm=False)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    step(model)
    frozen = ("stem.", "features.0.", "features.1.", "features.2.")
    changed = moved(before, model.state_dict())
    assert not {key for key in changed if key.startswith(frozen)}
    assert {f"features.{i}" for i in range(3, 17)} == {".".join(key.split(".")[:2]) for key in changed} - {"head.fc"}
    assert all((p.grad is None) == name.startswith(frozen) for name, p in model.named_parameters())


@pytest.mark.parametrize("name", ["rexnetr_100", "mobilenetv3_small_050", "test_vit"])
def test_timm_networks_freeze_from_the_input_on(name: str) -> None:
    model = network(name, "timm")
    freeze_first(model, 1)
    trained = [p.requires_grad for p in model.parameters()]
    assert not trained[0]
    assert all(p.requires_grad for p in model.get_classifier().parameters())  # type: ignore[operator]
    assert 0 < sum(trained) < len(trained)


@pytest.mark.parametrize(("blocks", "message"), [(18, r"model\.freeze=18: this network has 17 blocks"), (17, None)])
def test_more_blocks_than_there_are_is_refused(blocks: int, message: str | None) -> None:
    model = network()
    if message:
        with pytest.raises(ConfigError, match=message):
            freeze_first(model, blocks)
    else:
        freeze_first(model, blocks)
        assert {name for name, p in model.named_parameters() if p.requires_grad} == {"head.fc.weight", "head.fc.bias"}


def test_a_network_without_an_order_of_layers_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"model\.freeze=1: Linear has no order of layers"):
        freeze_first(nn.Linear(1, 1), 1)


def test_frozen_statistics_leave_scale_and_shift_to_training() -> None:
    model = network()
    run_frozen_as_at_inference(model, norm=True)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    step(model)
    changed = moved(before, model.state_dict())
    assert not {key for key in changed if "running" in key or "batches" in key}
    assert "stem.bn.weight" in changed
    assert model.head.drop.training  # type: ignore[union-attr]


def test_the_backbone_is_frozen_for_the_first_epochs_and_then_trained(
    compose_tiny: Compose, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Resumed after the epoch in which it was frozen; a run without interruption gives the same weights."""
    whole, part = (RunFolder(tmp_path_factory.mktemp(name)) for name in ("whole", "part"))
    settings = ("model.freeze=1", "model.freeze_epochs=1", "optimizer.layer_decay=0.8", "schedule.name=constant")
    settings = (*settings, "optimizer=adamw", "optimizer.lr=1e-3", "model.weights=null")
    initial = new_classifier_state(compose_tiny, *settings)
    train(compose_tiny(*settings, "trainer.max_epochs=1"), part)
    after_one = torch.load(part.last_checkpoint, weights_only=True)["state_dict"]
    assert moved(initial, after_one) == {"network.head.fc.weight", "network.head.fc.bias"}

    train(compose_tiny(*settings, f"resume={part.path}"), part)
    train(compose_tiny(*settings), whole)
    after_two, uninterrupted = (
        torch.load(run.last_checkpoint, weights_only=True)["state_dict"] for run in (part, whole)
    )
    assert not moved(after_two, uninterrupted)
    frozen = ("network.stem.", "network.features.0.")
    untouched = {key for key in after_one if key not in moved(after_one, after_two)}
    assert untouched == {key for key in after_one if key.startswith(frozen)}


def new_classifier_state(compose_tiny: Compose, *settings: str) -> dict[str, Tensor]:
    """The weights with which a run of these settings begins."""
    import lightning as L

    config = compose_tiny(*settings)
    L.seed_everything(config.seed, workers=True, verbose=False)
    return new_classifier(config).state_dict()


def test_unfreezing_on_several_devices_is_refused(
    compose_tiny: Compose, tmp_path_factory: pytest.TempPathFactory
) -> None:
    settings = compose_tiny("model.freeze_epochs=1", "trainer.devices=2", "trainer.strategy=ddp")
    with pytest.raises(ConfigError, match=r"model\.freeze_epochs=1: several devices"):
        train(settings, RunFolder(tmp_path_factory.mktemp("ddp")))


def test_nothing_is_frozen_unless_asked() -> None:
    assert (ModelConfig.freeze, ModelConfig.freeze_epochs, ModelConfig.freeze_norm) == (0, 0, False)
