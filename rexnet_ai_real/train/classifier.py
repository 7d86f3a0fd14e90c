"""What is trained: the network with its loss, metrics, optimizer and schedule."""

from typing import Any

import lightning as L
import torch
import torchmetrics.classification
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import lr_scheduler
from torchmetrics import MetricCollection

from rexnet_ai_real.config import OptimizerConfig, ScheduleConfig
from rexnet_ai_real.data.datamodule import Batch
from rexnet_ai_real.labels import AI
from rexnet_ai_real.metrics.training import METRICS
from rexnet_ai_real.models import build, memory_efficient
from rexnet_ai_real.train.optimizer import new_optimizer
from rexnet_ai_real.train.schedule import learning_rate_factor


def classification_metrics() -> MetricCollection:
    """The metrics of training with AI-generated as the positive class, over probabilities (N,) and labels (N,)."""
    classes = {name: metric.torchmetrics_class for name, metric in METRICS.items() if metric.torchmetrics_class}
    return MetricCollection({name: getattr(torchmetrics.classification, made)() for name, made in classes.items()})


class Classifier(L.LightningModule):
    """Cross-entropy training of a two-class network.

    The hyperparameters are plain dictionaries, since a checkpoint must be readable without running code. They hold
    all that a later reader of the checkpoint needs: the architecture and the preprocessing.
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

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Cross-entropy of one batch: normalised images (N, 3, H, W) and labels (N,)."""
        images, labels, _ = batch
        logits = self.network(images.contiguous(memory_format=torch.channels_last)).float()
        loss = F.cross_entropy(logits, labels)
        self._measure(logits.detach().softmax(dim=1)[:, AI], labels, loss)
        return loss

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """The same, measured only."""
        self.training_step(batch, batch_idx)

    def _measure(self, probability: Tensor, labels: Tensor, loss: Tensor) -> None:
        part, metrics = ("train", self.train_metrics) if self.training else ("val", self.val_metrics)
        metrics.update(probability, labels)
        means: dict[str, Any] = {"on_step": False, "on_epoch": True, "batch_size": len(labels), "sync_dist": True}
        self.log(f"{part}/loss", loss, prog_bar=True, **means)
        self.log_dict(metrics, on_step=False, on_epoch=True)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """The optimizer and the schedule, which moves after every batch."""
        optimizer = new_optimizer(self.optimizer_config, self.network)
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = lr_scheduler.LambdaLR(
            optimizer, lambda step: learning_rate_factor(step, steps, self.schedule_config)
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step", "name": "lr"}}
