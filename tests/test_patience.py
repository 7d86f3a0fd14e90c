"""Patience read from a history, against Lightning's own callbacks."""

import math
from pathlib import Path
from unittest.mock import Mock

import lightning as L
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from lightning.pytorch.trainer.states import TrainerFn

from rexnet_ai_real.sweep.patience import stopping_epoch, stops


@pytest.mark.parametrize("min_delta", [0.0, 0.05])
@given(
    losses=st.lists(st.sampled_from([0.5, 0.52, 0.56, 0.6, 0.66, 0.7, math.nan, math.inf]), min_size=1, max_size=12),
    patience=st.integers(1, 5),
)
def test_stopping_epoch_is_lightnings(min_delta: float, losses: list[float], patience: int) -> None:
    trainer = Mock(fast_dev_run=False, sanity_checking=False, should_stop=False, callback_metrics={})
    trainer.state.fn = TrainerFn.FITTING
    trainer.strategy.reduce_boolean_decision = lambda decision, all: decision
    callback = EarlyStopping("val/loss", patience=patience, min_delta=min_delta)
    expected = None
    for epoch, loss in enumerate(losses):
        trainer.callback_metrics["val/loss"] = torch.tensor(loss, dtype=torch.float64)
        callback.on_validation_end(trainer, Mock())
        if trainer.should_stop:
            expected = epoch
            break
    assert stopping_epoch(losses, patience, min_delta)[0] == expected


@pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning")  # Lightning 2.6 under torch 2.15
@pytest.mark.parametrize("losses", [[0.7, 0.5, 0.6, 0.5, 0.4, 0.45], [0.7, 0.6, 0.61, 0.62, 0.1], [0.5, math.nan, 0.1]])
def test_kept_epoch_is_that_of_lightnings_checkpoint(losses: list[float], tmp_path: Path) -> None:
    class Series(L.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(1, 1)

        def training_step(self, batch: int) -> torch.Tensor:
            return self.layer.weight.sum()

        def validation_step(self, batch: int) -> None:
            self.log("val/loss", torch.tensor(losses[self.current_epoch]), batch_size=1)

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.SGD(self.parameters(), lr=0.1)

    stop = EarlyStopping("val/loss", patience=2)
    best = ModelCheckpoint(tmp_path, "best", monitor="val/loss")
    trainer = L.Trainer(
        max_epochs=len(losses),
        accelerator="cpu",
        logger=False,
        callbacks=[stop, best],
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        log_every_n_steps=1,
    )
    trainer.fit(Series(), range(1), range(1))  # one step an epoch, whatever the batch
    kept = torch.load(best.best_model_path, weights_only=True)["epoch"]
    trained = trainer.current_epoch  # counts the epochs that were finished
    stopped_at = None if trained == len(losses) else trained - 1
    ours = stopping_epoch(losses, 2)
    assert ours[1] == kept
    assert stopped_at in (ours[0], None)


def test_stops_tell_every_patience_that_a_history_can_tell() -> None:
    losses = [0.5, 0.6, 0.4, 0.5, 0.6, 0.7]
    cut, whole = stops(losses, 0.0, complete=False), stops(losses, 0.0, complete=True)
    assert [(stop.patience, stop.stopped_at, stop.kept) for stop in cut] == [(1, 1, 0), (2, 4, 2), (3, 5, 2)]
    assert whole[:-1] == cut
    assert (whole[-1].patience, whole[-1].stopped_at, whole[-1].kept, whole[-1].final) == (4, None, 2, True)
    with pytest.raises(ValueError, match="patience of 1 or more"):
        stopping_epoch(losses, 0)
