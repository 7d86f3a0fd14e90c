"""What is trained: the network, its loss, its metrics, its optimiser and schedule."""

import math
from typing import Any

import lightning as L
import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import lr_scheduler
from torchmetrics import MetricCollection
from torchmetrics.classification import BinaryAccuracy, BinaryAUROC, BinaryF1Score

from rexnet_ai_real.config import OptimizerConfig, ScheduleConfig
from rexnet_ai_real.data.datamodule import Batch
from rexnet_ai_real.labels import AI
from rexnet_ai_real.models import build, memory_efficient


def classification_metrics() -> MetricCollection:
    """Accuracy, F1 and AUROC with AI-generated as the positive class, over probabilities (N,) and labels (N,)."""
    return MetricCollection({"accuracy": BinaryAccuracy(), "f1": BinaryF1Score(), "auroc": BinaryAUROC()})


class Classifier(L.LightningModule):
    """Cross-entropy training of a two-class network.

    The hyperparameters are plain dictionaries, since a checkpoint must be readable without running code. They hold all
    that a later reader of the checkpoint needs: the architecture and the preprocessing.
    """

    def __init__(
        self,
        *,
        model: dict[str, Any],
        optimizer: dict[str, Any],
        schedule: dict[str, Any],
        preprocessing: dict[str, Any],
    ) -> None:
        """`model`, `optimizer`, `schedule`: the sections of the configuration; weights are loaded by the caller."""
        super().__init__()
        self.save_hyperparameters()
        self.optimizer_config = OptimizerConfig(**optimizer)
        self.schedule_config = ScheduleConfig(**schedule)
        network = build(
            model["name"],
            library=model["library"],
            width=model["width"],
            depth=model["depth"],
            dropout=model["dropout"],
            drop_path=model["drop_path"],
        )
        self.network: nn.Module = memory_efficient(network).to(memory_format=torch.channels_last)
        self.train_metrics = classification_metrics().clone(prefix="train/")
        self.val_metrics = classification_metrics().clone(prefix="val/")

    def forward(self, images: Tensor) -> Tensor:
        """Normalised images (N, 3, H, W) -> logits (N, 2), float32."""
        logits: Tensor = self.network(images.contiguous(memory_format=torch.channels_last))
        return logits.float()

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Cross-entropy of one batch."""
        return self._step(batch, "train", self.train_metrics)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """The same, measured only."""
        self._step(batch, "val", self.val_metrics)

    def _step(self, batch: Batch, stage: str, metrics: MetricCollection) -> Tensor:
        images, labels, _ = batch
        logits = self(images)
        loss = F.cross_entropy(logits, labels)
        metrics.update(logits.detach().softmax(dim=1)[:, AI], labels)
        self.log(
            f"{stage}/loss", loss, on_step=False, on_epoch=True, prog_bar=True, batch_size=len(labels), sync_dist=True
        )
        self.log_dict(metrics, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """SGD and the schedule, stepped after every batch."""
        config = self.optimizer_config
        optimizer = torch.optim.SGD(
            _parameter_groups(self.network, config.weight_decay),
            lr=config.lr,
            momentum=config.momentum,
            nesterov=config.nesterov and config.momentum > 0,
        )
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = lr_scheduler.LambdaLR(
            optimizer, lambda step: learning_rate_factor(step, steps, self.schedule_config)
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step", "name": "lr"}}


def _parameter_groups(network: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Decay for weights of convolutions and linear layers; none for biases and batch norm, which shift and scale."""
    parameters = [p for p in network.parameters() if p.requires_grad]
    return [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]


def learning_rate_factor(step: int, steps: int, config: ScheduleConfig) -> float:
    """What the learning rate is multiplied with at `step` of `steps`, both counted in batches.

    A pure function of the progress, so that a resumed run may be longer than was planned at first.
    """
    progress = min(step / max(steps - 1, 1), 1.0)
    if config.name == "constant":
        return 1.0
    if config.name == "cosine":
        return _cosine(1.0, 0.0, progress)
    if progress < config.warmup:
        return _cosine(1.0, config.rise, progress / config.warmup)
    return _cosine(config.rise, 0.0, (progress - config.warmup) / (1 - config.warmup))


def _cosine(start: float, end: float, progress: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * progress)) / 2
