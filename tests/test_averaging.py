"""Averaged weights: what is validated is what is kept, and a resumed run goes on as if it had not been interrupted."""

from collections.abc import Callable

import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from rexnet_ai_real.models.checkpoint import read_plain
from rexnet_ai_real.runs.folder import RunFolder
from rexnet_ai_real.train.averaging import Share, exponential, mean_with, plain
from rexnet_ai_real.train.run import train
from tests.conftest import Compose

STEADY = ("schedule.name=constant", "optimizer.lr=0.01", "trainer.accumulate_grad_batches=2", "trainer.gradient_clip=1")


def weights_of(checkpoint: dict[str, dict[str, Tensor]], state: str) -> Tensor:
    return checkpoint[state]["network.head.fc.weight"]


@pytest.mark.parametrize(
    "averaging", [("averaging.name=ema", "averaging.decay=0.9"), ("averaging.name=swa", "averaging.start=0.3")]
)
def test_what_is_validated_is_kept_and_resuming_changes_nothing(
    averaging: tuple[str, ...],
    compose_tiny: Compose,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole, part = (RunFolder(tmp_path_factory.mktemp(name)) for name in ("whole", "part"))
    train(compose_tiny(*STEADY, *averaging, "trainer.max_epochs=3"), whole)
    # The loss of the history is of the weights in training's validation; that of metrics.json of best.ckpt, reloaded.
    history, metrics = pd.read_csv(whole.history_file), whole.read_metrics()
    assert metrics["val"]["loss"] == pytest.approx(history["val_loss"].min(), abs=1e-5)

    # The shares of a run's epochs are of the whole run: interrupted, not shorter.
    settings = (*STEADY, *averaging, "trainer.max_epochs=3")
    with monkeypatch.context() as patch:
        patch.setattr("rexnet_ai_real.train.callbacks.SeedOfEpoch.on_train_epoch_start", interrupted_at(2))
        with pytest.raises(KeyboardInterrupt):
            train(compose_tiny(*settings), part)
    assert torch.load(part.last_checkpoint, weights_only=True)["epoch"] == 1
    train(compose_tiny(*settings, f"resume={part.path}"), part)
    first, second = (read_plain(run.last_checkpoint) for run in (whole, part))
    for state in ("state_dict", "current_model_state", "averaging_state"):
        assert first[state].keys() == second[state].keys()
        assert all(torch.equal(value, second[state][key]) for key, value in first[state].items()), state
    assert not torch.equal(weights_of(first, "state_dict"), weights_of(first, "current_model_state"))
    pd.testing.assert_frame_equal(*(pd.read_csv(run.history_file).iloc[:, :9] for run in (whole, part)))


def interrupted_at(epoch: int):  # type: ignore[no-untyped-def]
    from rexnet_ai_real.train.callbacks import SeedOfEpoch

    real = SeedOfEpoch.on_train_epoch_start

    def hook(self: SeedOfEpoch, trainer, pl_module) -> None:  # type: ignore[no-untyped-def]
        if trainer.current_epoch == epoch:
            raise KeyboardInterrupt
        real(self, trainer, pl_module)

    return hook


@pytest.mark.parametrize(
    ("share", "kept"), [(exponential(0.3), lambda n: min(0.3, (1 + n) / (10 + n))), (plain, lambda n: n / (n + 1))]
)
def test_means_equal_a_loop_written_out(share: Share, kept: Callable[[int], float]) -> None:
    from torch.optim.swa_utils import AveragedModel

    layer = nn.BatchNorm1d(1)  # counts its batches in whole numbers
    averaged, values = AveragedModel(layer, multi_avg_fn=mean_with(share), use_buffers=True), [1.0, 5.0, -2.0, 4.0]
    for value in values:
        nn.init.constant_(layer.weight, value)
        layer(torch.full((2, 1), value))
        averaged.update_parameters(layer)
    expected = values[0]
    for n, value in enumerate(values[1:], start=1):
        expected = kept(n) * expected + (1 - kept(n)) * value
    mean = averaged.module.state_dict()
    assert mean["weight"].item() == pytest.approx(expected)
    assert mean["num_batches_tracked"] == len(values)


def test_a_plain_mean_begins_late_and_is_the_mean(
    compose_tiny: Compose, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rexnet_ai_real.train.averaging import Averaging

    seen: list[tuple[int, Tensor]] = []
    real = Averaging.on_train_batch_end

    def noted(self: Averaging, trainer, pl_module, *rest) -> None:  # type: ignore[no-untyped-def]
        seen.append((trainer.current_epoch, pl_module.network.head.fc.weight.detach().clone()))
        real(self, trainer, pl_module, *rest)

    monkeypatch.setattr(Averaging, "on_train_batch_end", noted)
    folder = RunFolder(tmp_path_factory.mktemp("swa"))
    train(compose_tiny("averaging.name=swa", "averaging.start=0.5", "optimizer.lr=0.01"), folder)
    last_before = [weight for epoch, weight in seen if epoch == 0][-1]
    after = [weight for epoch, weight in seen if epoch == 1]
    kept = weights_of(torch.load(folder.last_checkpoint, weights_only=True), "state_dict")
    torch.testing.assert_close(kept, torch.stack([last_before, *after]).mean(0), atol=1e-6, rtol=1e-4)
