"""What a run records while it trains: the history of its epochs, and images for TensorBoard."""

import copy
import csv
import time
import warnings
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import lightning as L
import torch
from lightning.pytorch.loggers import Logger, TensorBoardLogger
from matplotlib.figure import Figure
from torch import Tensor, nn
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams
from torchmetrics.utilities import dim_zero_cat

from rexnet_ai_real.config import AugmentConfig, TrainConfig
from rexnet_ai_real.data.datamodule import Batch
from rexnet_ai_real.figures import pixels
from rexnet_ai_real.files import write_atomically
from rexnet_ai_real.images.preprocessing import Preprocessing
from rexnet_ai_real.images.transforms import denormalise
from rexnet_ai_real.metrics.training import METRICS, columns
from rexnet_ai_real.train.classifier import Classifier
from rexnet_ai_real.train.figures import image_grid

GRID_IMAGES = 32


def history_columns() -> tuple[str, ...]:
    """The columns of history.csv."""
    return ("epoch", *columns("train"), *columns("val"), "lr", "seconds", "images_per_second")


class History(L.Callback):
    """One row per epoch, in memory, in history.csv and in every checkpoint, so that a resumed run has all of them.

    `epoch` counts from 1; `lr` is that of the epoch's last step; `seconds` are those of training and validation,
    `images_per_second` of training alone. The file is complete after every epoch.
    """

    def __init__(self, path: Path) -> None:
        """`path`: the CSV to write."""
        self.path = path
        self.rows: list[dict[str, float]] = []
        self._started = self._trained = 0.0
        self._images = 0
        self._lr = 0.0

    @property
    def best_epoch(self) -> int | None:
        """The first epoch with the lowest validation loss; None before the first has ended."""
        finite = [row for row in self.rows if row["val_loss"] == row["val_loss"]]
        return int(min(finite, key=lambda row: row["val_loss"])["epoch"]) if finite else None

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start the clock."""
        self._started = self._trained = time.monotonic()
        self._images = 0

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        """Record the learning rate before the schedule changes it."""
        self._lr = float(trainer.optimizers[0].param_groups[0]["lr"])

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        """Count its images."""
        self._images += len(batch[0]) * trainer.world_size
        self._trained = time.monotonic()

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Add the row and write the file. Lightning saves checkpoints after this, so they hold the row."""
        if trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        metrics = [float(trainer.callback_metrics[f"{part}/{name}"]) for part in ("train", "val") for name in METRICS]
        seconds = time.monotonic() - self._started
        rate = self._images / max(self._trained - self._started, 1e-9)
        values = (trainer.current_epoch + 1, *metrics, self._lr, round(seconds, 3), round(rate, 2))
        self.rows.append(dict(zip(history_columns(), values, strict=True)))
        if trainer.is_global_zero:
            self.write()

    def write(self) -> None:
        """Save the rows atomically."""
        with write_atomically(self.path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, history_columns(), lineterminator="\n")
            writer.writeheader()
            writer.writerows(self.rows)

    def state_dict(self) -> dict[str, Any]:
        """The rows, for a checkpoint: plain values only."""
        return {"rows": [dict(row) for row in self.rows]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from the rows of a checkpoint; rows of later epochs are dropped."""
        self.rows = [dict(row) for row in state_dict["rows"]]


class SeedOfEpoch(L.Callback):
    """Random changes and dropout depend on the epoch alone, so that a resumed run equals one without interruption."""

    def __init__(self, seed: int) -> None:
        """`seed`: that of the run."""
        self.seed = seed

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Needed for the first epoch of a resumed run, which calls no other hook before its batches."""
        self.on_train_epoch_start(trainer, pl_module)

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Each process gets its own seed."""
        torch.manual_seed((self.seed * 1_000_003 + trainer.current_epoch) * 1_009 + trainer.global_rank)


class TensorBoardImages(L.Callback):
    """For TensorBoard: the network's graph, a training batch as it sees it, precision and recall of each epoch.

    Does nothing without a TensorBoard logger.
    """

    def __init__(self) -> None:
        """Reads what it needs from the classifier."""
        self._started = False

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        """Add the graph and the grid of images, with the first batch only."""
        writer = _writer(trainer.logger)
        if self._started or writer is None:
            return
        self._started = True
        classifier = cast(Classifier, pl_module)
        preprocessing = Preprocessing.from_plain(classifier.hparams["preprocessing"])
        images, labels = batch[0][:GRID_IMAGES].detach().cpu(), batch[1][:GRID_IMAGES].tolist()
        shown = denormalise(images.float(), preprocessing).permute(0, 2, 3, 1).numpy()
        grid = pixels(image_grid(shown, labels))
        writer.add_image("images/training_batch", grid, trainer.global_step, dataformats="HWC")
        _add_graph(writer, classifier.network, images[:1].float())

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Add the curve from the probabilities that AUROC has collected (under DDP, those of this process)."""
        writer = _writer(trainer.logger)
        if trainer.sanity_checking or writer is None:
            return
        state = cast(Classifier, pl_module).val_metrics["auroc"].metric_state
        probabilities, labels = dim_zero_cat(state["preds"]), dim_zero_cat(state["target"])
        if probabilities.isnan().any():  # the training has diverged: there is nothing to rank
            return
        writer.add_pr_curve("val/precision_recall", labels.cpu(), probabilities.float().cpu(), trainer.global_step)


def log_figures(logger: Logger | None, figures: Mapping[str, Figure], step: int) -> None:
    """Add figures to TensorBoard by name; nothing without a TensorBoard logger."""
    if (writer := _writer(logger)) is None:
        return
    for name, figure in figures.items():
        writer.add_image(f"figures/{name}", pixels(figure), step, dataformats="HWC")
    writer.flush()


def log_hyperparameters(logger: Logger | None, config: TrainConfig, metrics: Mapping[str, Any]) -> None:
    """Add the settings that matter and the metrics of the best checkpoint: a row of TensorBoard's HParams table.

    Metrics are shown as best/..., apart from the curves of the same name, which would otherwise gain a point.

    Args:
        logger: made with `default_hp_metric=False`, or the table also has a metric of -1.
        config: of the run.
        metrics: of the run, as in metrics.json; the parts val and test are shown.
    """
    if (writer := _writer(logger)) is None:
        return
    best = {f"best/{part}/{name}": float(metrics[part][name]) for part in ("val", "test") for name in METRICS}
    for name, value in best.items():
        writer.add_scalar(name, value)
    # Not by add_hparams, which opens a run of its own and writes a first record that fixes the columns. Without that
    # record TensorBoard looks at all runs and puts the settings that differ first.
    _, started, ended = hparams(settings_that_matter(config), best)  # type: ignore[no-untyped-call]
    for summary in (started, ended):
        writer._get_file_writer().add_summary(summary)  # type: ignore[no-untyped-call]
    writer.flush()


def settings_that_matter(config: TrainConfig) -> dict[str, int | float | str]:
    """The settings by which runs are compared, flat, each of one type whatever its value."""
    data, model, optimizer = config.data, config.model, config.optimizer
    return {
        "experiment": config.name,
        "data": data.name,
        "fold": "none" if data.fold is None else str(data.fold),
        "image_size": data.image_size,
        "batch_size": data.batch_size,
        "augment": _augmentation(config.augment),
        "model": model.name,
        "weights": Path(model.weights).name if model.weights else "none",
        "dropout": model.dropout,
        "optimizer": " ".join([optimizer.name, *(f"{name}={value}" for name, value in optimizer.options.items())]),
        "lr": optimizer.lr,
        "weight_decay": optimizer.weight_decay,
        "schedule": config.schedule.name,
        "patience": config.early_stopping.patience,
        "max_epochs": config.trainer.max_epochs,
        "seed": config.seed,
    }


def _augmentation(augment: AugmentConfig) -> str:
    unchanged = asdict(AugmentConfig())
    changed = [f"{name} {value:g}" for name, value in asdict(augment).items() if value != unchanged[name]]
    return ", ".join(changed) or "none"


def _writer(logger: Logger | None) -> SummaryWriter | None:
    """TensorBoard's writer on the first process; None elsewhere, and under fast_dev_run, which has another logger."""
    experiment = logger.experiment if isinstance(logger, TensorBoardLogger) else None
    return experiment if isinstance(experiment, SummaryWriter) else None


def _add_graph(writer: SummaryWriter, network: nn.Module, image: Tensor) -> None:
    # A copy on the CPU: tracing runs the forward pass and switches modes, and the network is in the middle of training.
    original: nn.Module = getattr(network, "_orig_mod", network)
    drawn = copy.deepcopy(original).cpu().float().eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tracer's: branches on shapes, which a drawing may freeze
        # Traced here, since add_graph would run every trace a second time to check it.
        traced = torch.jit.trace(drawn, image, check_trace=False)  # type: ignore[no-untyped-call]
        writer.add_graph(traced, image)
