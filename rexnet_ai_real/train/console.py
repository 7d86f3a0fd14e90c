"""What a run says on the terminal and in its log: what runs, a bar or a line for each epoch, why it ended."""

import logging
import math
from pathlib import Path
from typing import Final

import lightning as L
import pandas as pd
import torch
from lightning.pytorch.callbacks import RichProgressBar
from rich.console import Console

from rexnet_ai_real.config import TrainConfig
from rexnet_ai_real.data.datamodule import ImageDataModule
from rexnet_ai_real.labels import AI, REAL
from rexnet_ai_real.metrics.training import METRICS, readable
from rexnet_ai_real.train.callbacks import History
from rexnet_ai_real.train.classifier import Classifier
from rexnet_ai_real.train.recipe import recipe
from rexnet_ai_real.train.schedule import Plan

log = logging.getLogger(__name__)

IMBALANCE: Final = 10
"""From this ratio of the two classes on, a warning names `loss.class_weights`."""


def on_terminal() -> bool:
    """Whether somebody sees a bar move: it is drawn on standard error."""
    return Console(stderr=True).is_terminal


def header(
    config: TrainConfig, folder: Path, trainer: L.Trainer, classifier: Classifier, data: ImageDataModule, plan: Plan
) -> str:
    """What is about to run, in a few lines."""
    parameters = sum(parameter.numel() for parameter in classifier.network.parameters())
    device, count = trainer.strategy.root_device, trainer.num_devices * trainer.num_nodes
    devices = f"{device.type if count > 1 else device}" + (f" x {count}" if count > 1 else "")
    policy = f" (schedule.on_resume={config.schedule.on_resume})" if config.resume else ""
    title = "Resuming" if config.resume else "Training"
    lines = {
        "network": f"{config.model.name}, {parameters / 1e6:.2f} M parameters",
        "weights": classifier.origin,
        "images": f"{config.data.name} at {data.root}, {config.data.image_size} px",
        **{part: counted(data.rows(part)) for part in ("train", "val", "test")},
        "device": f"{devices}, precision {trainer.precision}, {torch.get_num_threads()} CPU threads",
        "epochs": f"up to {config.trainer.max_epochs}, patience {config.early_stopping.patience}, "
        f"batches of {config.data.batch_size}",
        "rate": f"{config.optimizer.name}, lr {config.optimizer.lr:g}, {config.schedule.name} over epochs "
        f"{plan.first} to {plan.last}{policy}",
        **({"recipe": words} if (words := recipe(config)) else {}),
        "run folder": str(folder),
    }
    return "\n".join([title, *(f"  {key:<11}{text}" for key, text in lines.items())])


def counted(rows: pd.DataFrame) -> str:
    """How many images of each class there are: 585 (323 AI, 262 real)."""
    ai = int((rows["label"] == AI).sum())
    return f"{len(rows)} ({ai} AI, {len(rows) - ai} real)"


def warn_of_imbalance(labels: pd.Series, config: TrainConfig) -> None:
    """Log that one class is rare, unless the settings weigh or balance the classes already."""
    counts = {"AI": int((labels == AI).sum()), "real": int((labels == REAL).sum())}
    (rare, few), (common, many) = sorted(counts.items(), key=lambda item: item[1])
    if config.loss.class_weights is None and not config.data.balance and few and many >= IMBALANCE * few:
        log.warning(
            "%d %s images to train on, but %d %s ones (%.0f : 1): a network that always answers %s is right on %.1f %% "
            "of them. loss.class_weights=balanced makes both classes count alike",
            *(few, rare, many, common, many / few, common, 100 * many / (few + many)),
        )


class EpochBar(RichProgressBar):
    """Lightning's progress bar, with epochs counted from 1 like everywhere else."""

    def __init__(self) -> None:
        """On standard error: standard output holds results."""
        super().__init__(console_kwargs={"stderr": True})

    def _get_train_description(self, current_epoch: int) -> str:
        described = f"Epoch {current_epoch + 1}/{self.trainer.max_epochs}"
        return f"{described:{len(self.validation_description)}}"  # one width, or the bar flickers


class EpochLines(L.Callback):
    """One line for each epoch in the log, and also on the terminal where no bar can be shown there."""

    def __init__(self, history: History, *, bar: bool) -> None:
        """`history`: a callback of the same trainer, before this one; `bar`: the terminal shows a bar."""
        self.history = history
        self.bar = bar

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Log the row that the history has gained."""
        if not self.history.rows or not trainer.is_global_zero:
            return
        line = epoch_line(self.history.rows[-1], trainer.max_epochs or 0, best=self.history.best_epoch)
        if not self.bar:
            log.info(line)
            return
        # Beside a moving bar the line would tear it: it goes to the files of the log alone.
        record = log.makeRecord(log.name, logging.INFO, __file__, 0, line, (), None)
        for handler in logging.getLogger().handlers:
            if isinstance(handler, logging.FileHandler):
                handler.handle(record)


def epoch_line(row: dict[str, float], max_epochs: int, *, best: int | None) -> str:
    """A row of the history in one line."""
    val = ", ".join(f"{name} {readable(name, row[f'val_{name}'])}" for name in METRICS)
    return (
        f"epoch {row['epoch']:.0f}/{max_epochs}: training loss {readable('loss', row['train_loss'])} (running mean), "
        f"validation {val}, lr {row['lr']:.2g}, {row['seconds']:.1f} s, {row['images_per_second']:.0f} images/s"
        + (", best so far" if row["epoch"] == best else "")
    )


def dry_run_result(trainer: L.Trainer) -> str:
    """What fast_dev_run found out."""
    losses = {part: float(trainer.callback_metrics[f"{part}/loss"]) for part in ("train", "val")}
    found = f"one batch of training (loss {losses['train']:.4f}) and one of validation (loss {losses['val']:.4f})"
    if not all(map(math.isfinite, losses.values())):
        return f"fast_dev_run: {found} ran, but a loss is no number: lower optimizer.lr. Nothing was saved"
    return f"fast_dev_run: {found} ran without an error. Nothing was saved; leave trainer.fast_dev_run out to train"


def log_why_ended(history: History, trainer: L.Trainer, config: TrainConfig) -> None:
    """Log why training ended before its last epoch, where it did."""
    if not history.rows or len(history.rows) >= config.trainer.max_epochs:
        return
    last = history.rows[-1]
    if not math.isfinite(last["val_loss"]):
        log.warning(
            "Training ended with epoch %.0f, whose validation loss is no finite number: it has diverged. Epoch %s is "
            "kept. Lower optimizer.lr (%g), or limit the gradient with trainer.gradient_clip=1",
            *(last["epoch"], history.best_epoch, config.optimizer.lr),
        )
        return
    stopping = trainer.early_stopping_callback
    if stopping and stopping.stopped_epoch:
        log.info(
            "Training ended with epoch %.0f: no lower validation loss since epoch %s (early_stopping.patience=%d)",
            *(last["epoch"], history.best_epoch, config.early_stopping.patience),
        )
