"""What is trained: the network with its loss, metrics, optimizer and schedule."""

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import lightning as L
import torch
import torchmetrics.classification
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import lr_scheduler
from torchmetrics import Metric, MetricCollection

from rexnet_ai_real.config import OptimizerConfig, ScheduleConfig, TrainConfig, preprocessing_of, to_plain
from rexnet_ai_real.data.datamodule import Batch
from rexnet_ai_real.labels import AI, REAL
from rexnet_ai_real.metrics.training import METRICS
from rexnet_ai_real.models import build, load_pretrained, memory_efficient
from rexnet_ai_real.train.distillation import Distillation
from rexnet_ai_real.train.freezing import freeze_first
from rexnet_ai_real.train.mixing import Mixing, new_mixing
from rexnet_ai_real.train.optimizer import new_optimizer
from rexnet_ai_real.train.schedule import MONITOR, Plan


def classification_metrics() -> MetricCollection:
    """The metrics of training with AI-generated as the positive class, over probabilities (N,) and labels (N,).

    NaN where the labels lack a class that the metric needs.
    """
    made: dict[str, Metric | MetricCollection] = {
        name: _nan_where_undefined(getattr(torchmetrics.classification, metric.torchmetrics_class), metric.needs)()
        for name, metric in METRICS.items()
        if metric.torchmetrics_class
    }
    return MetricCollection(made)


def _nan_where_undefined(measured: type[Metric], needs: Sequence[int]) -> type[Metric]:
    """The metric, but NaN instead of the 0 that torchmetrics gives where a class is missing."""
    if not needs:
        return measured

    class Defined(measured):  # type: ignore[valid-type, misc]
        def __init__(self) -> None:
            super().__init__()
            self.add_state("images_per_class", torch.zeros(2, dtype=torch.long), dist_reduce_fx="sum")

        def update(self, preds: Tensor, target: Tensor) -> None:
            super().update(preds, target)
            self.images_per_class += torch.stack([(target == label).sum() for label in (REAL, AI)])

        def compute(self) -> Tensor:
            defined = bool((self.images_per_class[list(needs)] > 0).all())
            value: Tensor = super().compute() if defined else torch.tensor(math.nan)
            return value

    return Defined


def class_weights(chosen: Any, labels: Sequence[int], copied: float = 0.0) -> Tensor | None:
    """What `loss.class_weights` stands for: the weight of a real and of an AI image, (2,); None: all count alike.

    "balanced" gives each class half of all weight, and an image 1 on average.

    Args:
        chosen: null, balanced or two numbers.
        labels: of the training images; both classes occur.
        copied: share of the real ones that bring a copy labelled AI, as `data.pairs.share`.
    """
    if chosen is None:
        return None
    if chosen != "balanced":
        return torch.tensor([float(weight) for weight in chosen])
    counts = torch.bincount(torch.as_tensor(labels), minlength=2).float()
    counts[AI] += copied * counts[REAL]
    return counts.sum() / (2 * counts.clamp(min=1))


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
            image_size=model.get("image_size"),
        )
        self.network: nn.Module = memory_efficient(network).to(memory_format=torch.channels_last)
        # Set by the caller, as are the weights of the classes. Not in checkpoints: settings and images determine them.
        self.label_smoothing = 0.0
        self.mixing: Mixing | None = None
        self.distillation: Distillation | None = None
        self.origin = "random (model.weights=null)"
        """Where the initial weights come from, in words."""
        self.class_weights: Tensor | None
        self.register_buffer("class_weights", None, persistent=False)
        self.plan: Plan | None = None
        self.train_metrics = classification_metrics().clone(prefix="train/")
        self.val_metrics = classification_metrics().clone(prefix="val/")

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Cross-entropy of one batch: normalised images (N, 3, H, W) and labels (N,)."""
        images, labels, rows = batch
        target = labels
        if self.training and self.mixing:
            images, target = self.mixing(images, labels)
            labels = target.argmax(dim=1)
        logits = self.network(images.contiguous(memory_format=torch.channels_last)).float()
        smoothing = self.label_smoothing if self.training else 0.0
        loss = weighted_loss(logits, target, self.class_weights, smoothing)
        self._measure(logits.detach().softmax(dim=1)[:, AI], labels, loss)
        if self.training and self.distillation:
            loss = self.distillation(loss, logits, images, rows)
        if self.training:
            rate = self.trainer.optimizers[0].param_groups[-1]["lr"]
            self.log_dict({"step/loss": loss.detach(), "step/lr": rate}, on_step=True, on_epoch=False)
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
        """The optimizer and the schedule, which moves after every batch; `plateau`, after every validation."""
        optimizer = new_optimizer(self.optimizer_config, self.network)
        epochs = self.trainer.max_epochs or 1
        steps_per_epoch = int(self.trainer.estimated_stepping_batches) // epochs
        plan = self.plan = self.plan or Plan.of_new_run(self.schedule_config, epochs)
        if self.schedule_config.name == "plateau":
            falling = lr_scheduler.ReduceLROnPlateau(
                optimizer, factor=self.schedule_config.reduce, patience=self.schedule_config.patience
            )
            return {"optimizer": optimizer, "lr_scheduler": {"scheduler": falling, "monitor": MONITOR}}
        schedule = lr_scheduler.LambdaLR(
            optimizer, lambda step: plan.factor(step, steps_per_epoch, self.schedule_config)
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def lr_scheduler_step(self, scheduler: Any, metric: Any) -> None:
        """Leave `plateau` to PlateauSteps."""
        if not isinstance(scheduler, lr_scheduler.ReduceLROnPlateau):
            super().lr_scheduler_step(scheduler, metric)

    def on_train_start(self) -> None:
        """A resumed run begins with the rate of its schedule, not with that of the last step before."""
        schedule = self.lr_schedulers()
        if isinstance(schedule, lr_scheduler.LambdaLR):
            for group, rate, factor in zip(
                schedule.optimizer.param_groups, schedule.base_lrs, schedule.lr_lambdas, strict=True
            ):
                group["lr"] = rate * factor(schedule.last_epoch)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the plan of the learning rate, which a resumed run continues."""
        if self.plan:
            checkpoint["schedule_plan"] = asdict(self.plan)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Continue the plan of the learning rate by `schedule.on_resume`, before the optimizer is made."""
        before, epochs = Plan.of_checkpoint(checkpoint), self.trainer.max_epochs or 1
        self.plan = before.continued(self.schedule_config, int(checkpoint["epoch"]) + 1, epochs)


def weighted_loss(logits: Tensor, target: Tensor, weights: Tensor | None, smoothing: float = 0.0) -> Tensor:
    """Mean over the images of cross-entropy times the weight of the true class; of mixed images, of both by share.

    Not divided by the sum of the weights, as PyTorch would: so the mean over batches is that over all images.

    Args:
        logits: (N, 2).
        target: labels (N,), or the share of each class (N, 2).
        weights: (2,), or None for cross-entropy as it is.
        smoothing: share of the target that is spread over both classes.
    """
    if weights is None:
        return F.cross_entropy(logits, target, label_smoothing=smoothing)
    each = F.cross_entropy(logits, target, reduction="none", label_smoothing=smoothing)
    return (each * (weights[target] if target.ndim == 1 else target @ weights)).mean()


def new_classifier(config: TrainConfig) -> Classifier:
    """The network of the configuration, with pretrained weights where it names them."""
    classifier = Classifier(
        model=architecture(config),
        optimizer=to_plain(config.optimizer),
        schedule=to_plain(config.schedule),
        preprocessing=preprocessing_of(config.data).to_plain(),
    )
    classifier.label_smoothing, classifier.mixing = config.loss.label_smoothing, new_mixing(config.augment)
    freeze_first(classifier.network, config.model.freeze)
    if config.resume:
        classifier.origin = "those of the checkpoint"
    elif config.model.weights:
        size = config.data.image_size
        loaded = load_pretrained(classifier.network, config.model.name, config.model.weights, image_size=size)
        classifier.origin = str(loaded)
    if config.model.compile:
        classifier.network.compile()
    return classifier


def architecture(config: TrainConfig) -> dict[str, Any]:
    """The settings of the network; for timm's, many of which are built for one size, with the size of the images."""
    size = {"image_size": config.data.image_size} if config.model.library == "timm" else {}
    return {**to_plain(config.model), **size}
