"""The mean of the weights over many steps, by Lightning's callback: validated, kept in checkpoints, tested.

A checkpoint holds the mean as `state_dict`, so that whoever reads a checkpoint gets what was validated, and the weights
of the last step as `current_model_state`, with which a resumed run goes on.
"""

from collections.abc import Callable
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor

from rexnet_ai_real.config import AveragingConfig


class Averaging(WeightAveraging):
    """`averaging.name`: ema or swa, over the statistics of batch norm as well."""

    def __init__(self, config: AveragingConfig) -> None:
        """Averages after every step of the optimizer."""
        super().__init__(multi_avg_fn=mean_with(exponential(config.decay) if config.name == "ema" else plain))
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


Tensors = tuple[Tensor, ...] | list[Tensor]

Share = Callable[[int], float]
"""Steps in the mean so far -> share of the next one's weights in the new mean."""


def exponential(decay: float) -> Share:
    """Of the moving average, warmed up as TensorFlow's."""
    return lambda steps: 1 - min(decay, (1 + steps) / (10 + steps))


def plain(steps: int) -> float:
    """Of the mean of all."""
    return 1 / (steps + 1)


def mean_with(share: Share) -> Callable[[Tensors, Tensors, Tensor | int], None]:
    """For PyTorch's AveragedModel, which gives all tensors of one device and type at once: means, weights now, steps.

    Its own functions take tensor after tensor, or divide the counts of batch norm, which are whole numbers.
    """

    @torch.no_grad()
    def update(means: Tensors, now: Tensors, steps: Tensor | int) -> None:
        if means[0].is_floating_point():
            torch._foreach_lerp_(means, now, share(int(steps)))
        else:
            torch._foreach_copy_(means, now)

    return update
