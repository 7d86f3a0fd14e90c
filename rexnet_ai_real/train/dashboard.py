"""What a run leaves for TensorBoard: curves, images, settings, laid out so that the first screen answers most.

Its first group, `epoch`, has one chart a metric over the epochs, counted from 1, with three curves: `train` and `val`
(is it learning, is it overfitting?) and `val_best`, the validation of the checkpoint kept so far. These are three runs
in folders below that of the run: TensorBoard draws a tag that several runs share in one chart. The table of settings
(HParams) belongs to `val_best`, so that it compares runs by validation and by nothing else.
"""

import copy
import math
import warnings
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, cast

import lightning as L
import torch
from lightning.pytorch.loggers import Logger, TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only
from matplotlib.figure import Figure
from torch import Tensor, nn
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams
from torchmetrics.utilities import dim_zero_cat

from rexnet_ai_real.config import AugmentConfig, TrainConfig
from rexnet_ai_real.data.datamodule import Batch
from rexnet_ai_real.figures import pixels
from rexnet_ai_real.images.preprocessing import Preprocessing
from rexnet_ai_real.images.transforms import denormalise
from rexnet_ai_real.markdown import markdown_table
from rexnet_ai_real.metrics.training import METRICS, columns, readable
from rexnet_ai_real.train.callbacks import History
from rexnet_ai_real.train.classifier import Classifier
from rexnet_ai_real.train.figures import image_grid
from rexnet_ai_real.train.recipe import recipe

GRID_IMAGES: Final = 32
BEST: Final = "val_best"


class Dashboard(TensorBoardLogger):
    """The logger of a run: one chart a metric with the curves of training and validation, and loss and rate by step."""

    def __init__(self, folder: Path) -> None:
        """`folder`: of the run."""
        super().__init__(folder, name="", version="", default_hp_metric=False)
        self._parts: dict[str, SummaryWriter] = {}

    def part(self, name: str) -> SummaryWriter:
        """The writer of one curve: train, val or val_best."""
        if name not in self._parts:
            self._parts[name] = SummaryWriter(str(Path(self.log_dir, name)))
        return self._parts[name]

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Called by Lightning with train/NAME and val/NAME once an epoch, with step/NAME once a batch."""
        for tag, value in metrics.items():
            part, _, name = tag.partition("/")
            if part in ("train", "val"):
                self.add(part, name, float(value), int(metrics["epoch"]) + 1)
            elif part == "step":
                self.part("train").add_scalar(tag, float(value), step)

    @rank_zero_only
    def add(self, part: str, name: str, value: float, epoch: int) -> None:
        """A point of the chart of one metric; none where it is undefined."""
        if not math.isnan(value):
            self.part(part).add_scalar(f"epoch/{name}", value, epoch)

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Close all files at the end of training."""
        super().finalize(status)
        for writer in self._parts.values():
            writer.close()


class BestSoFar(L.Callback):
    """Adds the curve `val_best`: after each epoch, the validation metrics of the checkpoint that is kept."""

    def __init__(self, history: History) -> None:
        """`history`: a callback of the same trainer, before this one."""
        self.history = history

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Add a point to each chart."""
        best = self.history.best_row
        if best is None or not isinstance(trainer.logger, Dashboard):
            return
        for name, column in zip(METRICS, columns("val"), strict=True):
            trainer.logger.add(BEST, name, best[column], trainer.current_epoch + 1)


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
        if probabilities.isnan().any() or labels.min() == labels.max():  # it has diverged, or there is nothing to rank
            return
        writer.add_pr_curve("val/precision_recall", labels.cpu(), probabilities.float().cpu(), trainer.global_step)


def log_figures(logger: Logger | None, figures: Mapping[str, Figure], epoch: int) -> None:
    """Add figures to TensorBoard by name, as of an epoch; nothing without a TensorBoard logger."""
    if (writer := _writer(logger)) is None:
        return
    for name, figure in figures.items():
        writer.add_image(f"figures/{name}", pixels(figure), epoch, dataformats="HWC")
    writer.flush()


def log_result(logger: Logger | None, config: TrainConfig, metrics: Mapping[str, Any]) -> None:
    """Add the metrics of the best checkpoint as a text, and the settings as a row of TensorBoard's HParams table.

    The test is in the text alone: in a table of runs it would be used to choose among them.

    Args:
        logger: of the run.
        config: of the run.
        metrics: of the run, as in metrics.json.
    """
    if (writer := _writer(logger)) is None or not isinstance(logger, Dashboard):
        return
    rows = [
        [part, *(readable(name, metrics[part][name]) for name in METRICS), str(metrics[part]["n"])]
        for part in ("train", "val", "test")
    ]
    head = f"Best checkpoint: epoch {metrics['best_epoch']} of {metrics['epochs']}, by validation loss."
    text = f"{head}\n\n{markdown_table(['', *METRICS, 'n'], rows)}"
    writer.add_text("result", text, metrics["epochs"])
    # Not by add_hparams, which opens a run of its own and writes a first record that fixes the columns. Without that
    # record TensorBoard looks at all runs and puts the settings that differ first.
    _, started, ended = hparams(settings_that_matter(config), {})  # type: ignore[no-untyped-call]
    best = logger.part(BEST)
    for summary in (started, ended):
        best._get_file_writer().add_summary(summary)  # type: ignore[no-untyped-call]
    best.flush()
    writer.flush()


def settings_that_matter(config: TrainConfig) -> dict[str, int | float | str]:
    """The settings by which runs are compared, flat, each of one type whatever its value.

    TensorBoard shows the first five by their names, those that differ between runs before the others. So the numbers
    that people tune have short names, and the others come after them in the alphabet.
    """
    data, model, optimizer = config.data, config.model, config.optimizer
    return {
        "batch_size": data.batch_size,
        "dropout": model.dropout,
        "lr": optimizer.lr,
        "max_epochs": config.trainer.max_epochs,
        "patience": config.early_stopping.patience,
        "weight_decay": optimizer.weight_decay,
        "what/augment": _augmentation(config.augment),
        "what/class_weights": str(config.loss.class_weights or "none"),
        "what/data": data.name,
        "what/experiment": config.name,
        "what/fold": "none" if data.fold is None else str(data.fold),
        "what/image_size": data.image_size,
        "what/model": model.name,
        "what/optimizer": " ".join([optimizer.name, *(f"{name}={value}" for name, value in optimizer.options.items())]),
        "what/recipe": recipe(config) or "none",
        "what/schedule": config.schedule.name,
        "what/seed": config.seed,
        "what/weights": Path(model.weights).name if model.weights else "none",
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
