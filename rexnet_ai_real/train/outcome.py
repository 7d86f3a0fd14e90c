"""The result of a run, from its best checkpoint: predictions, metrics, figures, and a summary on the terminal."""

import logging
import math
from itertools import chain, islice
from pathlib import Path
from typing import Any

import lightning as L
import pandas as pd
import torch
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table
from torch import Tensor

from rexnet_ai_real import figures
from rexnet_ai_real.config import TrainConfig
from rexnet_ai_real.data.datamodule import ImageDataModule
from rexnet_ai_real.detector.engines.engine import logits_of_views
from rexnet_ai_real.detector.engines.torch_engine import TorchEngine
from rexnet_ai_real.labels import LABELS, SHORT_WORDS
from rexnet_ai_real.metrics.training import METRICS, readable
from rexnet_ai_real.models.cam import NoFeatureMap
from rexnet_ai_real.progress import track
from rexnet_ai_real.runs.environment import environment
from rexnet_ai_real.runs.folder import RunFolder
from rexnet_ai_real.train.classifier import Classifier, classification_metrics, weighted_loss
from rexnet_ai_real.train.dashboard import log_figures, log_result
from rexnet_ai_real.train.figures import cam_panel, confusion, learning_curve

log = logging.getLogger(__name__)


def write_outcome(
    config: TrainConfig,
    folder: RunFolder,
    trainer: L.Trainer,
    classifier: Classifier,
    data: ImageDataModule,
    history: pd.DataFrame,
    *,
    seconds: float,
) -> None:
    """Predict all images with the best checkpoint; write metrics, figures, and the predictions of images held out.

    The metrics of the training images are measured like the others: by the best checkpoint, in evaluation mode, without
    random changes. Those in history.csv are means over an epoch while the network changes.
    """
    predicted = predict(trainer, classifier, data, folder.best_checkpoint)
    predictions = predicted[predicted["split"] != "train"]
    folder.write_predictions(predictions)
    best = history.loc[history["val_loss"].idxmin()]
    weights = None if classifier.class_weights is None else classifier.class_weights.cpu()
    metrics: dict[str, Any] = {
        **{part: metrics_of(predicted[predicted["split"] == part], weights) for part in ("train", "val", "test")},
        "epochs": len(history),
        "best_epoch": int(best["epoch"]),
        "seconds": round(seconds, 1),
        "seed": config.seed,
        "environment": environment(trainer.strategy.root_device),
    }
    folder.write_metrics(metrics)
    if config.figures:
        drawn = draw(folder, classifier, data, history, predictions)
        log_figures(trainer.logger, drawn, epoch=len(history))
    log_result(trainer.logger, config, metrics)
    show(folder, metrics)
    warn_of_one_answer(predictions[predictions["split"] == "val"], config)


def predict(trainer: L.Trainer, classifier: Classifier, data: ImageDataModule, checkpoint: Path) -> pd.DataFrame:
    """Path, label, split, logit, probability, source and collection of the images of every split under a checkpoint.

    On one device and by the code that users predict with: each of several processes would see only its share.
    """
    classifier.load_state_dict(torch.load(checkpoint, "cpu", weights_only=True)["state_dict"])
    device = str(trainer.strategy.root_device)
    engine = TorchEngine.of([classifier.network], data.preprocessing, device, str(trainer.precision))
    loaders = [*data.predict_dataloader(), data.unchanged_train_dataloader()]
    limits = (trainer.limit_val_batches, trainer.limit_test_batches, trainer.limit_train_batches)
    counts = [_limited(len(loader), limit) for loader, limit in zip(loaders, limits, strict=True)]
    parts = (islice(loader, count) for loader, count in zip(loaders, counts, strict=True))
    batches = track(chain.from_iterable(parts), "Predicting", sum(counts))
    results = [(rows, logits_of_views(engine, data.views(pixels, rows))) for pixels, _, rows in batches]
    indices = torch.cat([rows for rows, _ in results])
    logits = torch.cat([torch.from_numpy(logits) for _, logits in results]).double()
    rows = data.manifest.loc[indices.numpy(), ["path", "label", "split", "source", "collection"]]
    rows.insert(3, "logit", logits.numpy())
    rows.insert(4, "probability", logits.sigmoid().numpy())
    return rows


def _limited(batches: int, limit: int | float) -> int:
    """How many batches a number of them or a share of them is, as Lightning counts."""
    return min(batches, limit) if isinstance(limit, int) else int(batches * limit)


def metrics_of(rows: pd.DataFrame, weights: Tensor | None = None) -> dict[str, float | int | None]:
    """The metrics of training over rows of predictions.csv, and their number n; None where one is undefined.

    Args:
        rows: with label, logit.
        weights: of the classes in the loss, (2,).
    """
    logits = torch.tensor(rows["logit"].to_numpy())
    labels = torch.tensor(rows["label"].astype(int).to_numpy())
    values = classification_metrics()(logits.sigmoid(), labels)  # not `compute`, which waits for other processes
    both = torch.stack([torch.zeros_like(logits), logits], dim=1)  # the log-odds alone, as logits of two classes
    loss = weighted_loss(both, labels, None if weights is None else weights.double())
    measured = {"loss": float(loss), **{name: float(value) for name, value in values.items()}}
    return {**{name: None if math.isnan(value) else value for name, value in measured.items()}, "n": len(rows)}


def warn_of_one_answer(rows: pd.DataFrame, config: TrainConfig) -> None:
    """Log that the network gives every image the same answer, though both classes occur: it has learned nothing."""
    answers, classes = (rows["logit"] > 0).unique(), rows["label"].nunique()
    if len(answers) == 1 and classes == 2:
        is_told = config.loss.class_weights or config.data.balance
        advice = "" if is_told else "; where one class is rare, loss.class_weights=balanced helps"
        log.warning("All %d validation images are called %s%s", len(rows), SHORT_WORDS[LABELS[int(answers[0])]], advice)


def draw(
    folder: RunFolder,
    classifier: Classifier,
    data: ImageDataModule,
    history: pd.DataFrame,
    predictions: pd.DataFrame,
) -> dict[str, Figure]:
    """Draw and save the figures of the study; no heat maps where the network has no final feature map."""
    test = predictions[predictions["split"] == "test"]
    drawn = {name: learning_curve(history, name) for name, metric in METRICS.items() if metric.is_headline}
    drawn["confusion"] = confusion(test["label"], test["probability"], part="test")
    try:
        drawn["cam"] = cam_panel(classifier.network, data.root, test, data.preprocessing)
    except NoFeatureMap:
        name = classifier.hparams["model"]["name"]
        log.warning("figures/cam is left out: %s has no final feature map to show, as is usual of transformers", name)
    for name, figure in drawn.items():
        figures.save(figure, folder.figures, name)
    return drawn


def show(folder: RunFolder, metrics: dict[str, Any]) -> None:
    """Print the metrics and where everything is."""
    title = f"Best checkpoint: epoch {metrics['best_epoch']} of {metrics['epochs']}, by validation loss"
    table = Table(title=title, title_justify="left")
    for column in ("", *METRICS, "n"):
        table.add_column(column, justify="left" if not column else "right")
    for split in ("train", "val", "test"):
        table.add_row(split, *(readable(name, metrics[split][name]) for name in METRICS), str(metrics[split]["n"]))
    console = Console()
    console.print(table)
    shown = "figures, " if folder.figures.is_dir() else ""
    console.print(f"[bold]{folder.path}[/]: {shown}predictions, metrics, checkpoints", highlight=False, soft_wrap=True)
    console.print("[dim]All runs in the dashboard: tensorboard --logdir outputs[/]", highlight=False, soft_wrap=True)
