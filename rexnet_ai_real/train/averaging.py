"""The mean of the weights over many steps, by Lightning's callback: validated, kept in checkpoints, tested.

A checkpoint holds the mean as `state_dict`, so that whoever reads a checkpoint gets what was validated, and the weights
of the last step as `current_model_state`, with which a resumed run goes on.
"""

from typing import Any

import lightning as L
from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor

from rexnet_ai_real.config import AveragingConfig


class Averaging(WeightAveraging):
    """`averaging.name`: ema or swa, over the statistics of batch norm as well."""

    def __init__(self, config: AveragingConfig) -> None:
        """Averages after every step of the optimizer."""
        super().__init__(avg_fn=exponential(config.decay) if config.name == "ema" else None)
        self.start = config.start if config.name == "swa" else 0.0

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Keep the mean on the device of training, which the network reaches later."""
        self._device = trainer.strategy.root_device
        super().setup(trainer, pl_module, stage)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Add the weights to the mean; until `start` they replace it."""
        if self._average_model is not None and trainer.current_epoch < self.start * (trainer.max_epochs or 1):
            self._average_model.n_averaged.zero_()
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)


def exponential(decay: float) -> Any:
    """The moving average for PyTorch's AveragedModel, warmed up as TensorFlow's: mean, now, steps -> new mean."""

    def mean(averaged: Tensor, now: Tensor, steps: Tensor) -> Tensor:
        kept = min(decay, (1 + int(steps)) / (10 + int(steps)))
        return averaged + (now - averaged) * (1 - kept)

    return mean
