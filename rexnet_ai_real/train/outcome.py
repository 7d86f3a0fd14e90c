"""The result of a run, from its best checkpoint: predictions, metrics, figures, and a summary on the terminal."""

import logging
from itertools import chain, islice
from pathlib import Path
from typing import Any

import lightning as L
import pandas as pd
import torch
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table
from torch.nn import functional as F

from rexnet_ai_real import figures
from rexnet_ai_real.config import TrainConfig
from rexnet_ai_real.data.datamodule import ImageDataModule
from rexnet_ai_real.detector.engines.torch_engine import TorchEngine
from rexnet_ai_real.metrics.training import METRICS
from rexnet_ai_real.models.cam import NoFeatureMap
from rexnet_ai_real.progress import track
from rexnet_ai_real.runs.environment import environment
from rexnet_ai_real.runs.folder import RunFolder
from rexnet_ai_real.train.callbacks import log_figures, log_hyperparameters
from rexnet_ai_real.train.classifier import Classifier, classification_metrics
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
    """Predict validation and test images with the best checkpoint; write predictions, metrics and figures."""
    predictions = predict(trainer, classifier, data, folder.best_checkpoint)
    folder.write_predictions(predictions)
    best = history.loc[history["val_loss"].idxmin()]
    train_rows = int((data.manifest["split"] == "train").sum())
    metrics: dict[str, Any] = {
        "train": {name: float(best[f"train_{name}"]) for name in METRICS} | {"n": train_rows},
        "val": metrics_of(predictions[predictions["split"] == "val"]),
        "test": metrics_of(predictions[predictions["split"] == "test"]),
        "epochs": len(history),
        "best_epoch": int(best["epoch"]),
        "seconds": round(seconds, 1),
        "seed": config.seed,
        "environment": environment(trainer.strategy.root_device),
    }
    folder.write_metrics(metrics)
    if config.figures:
        drawn = draw(folder, classifier, data, history, predictions)
        log_figures(trainer.logger, drawn, step=len(history))
    log_hyperparameters(trainer.logger, config, metrics)
    show(folder, metrics)


def predict(trainer: L.Trainer, classifier: Classifier, data: ImageDataModule, checkpoint: Path) -> pd.DataFrame:
    """Path, label, split, logit and probability of validation and test images under a checkpoint.

    On one device and by the code that users predict with: each of several processes would see only its share.
    """
    classifier.load_state_dict(torch.load(checkpoint, "cpu", weights_only=True)["state_dict"])
    device = str(trainer.strategy.root_device)
    engine = TorchEngine.of([classifier.network], data.preprocessing, device, str(trainer.precision))
    loaders = data.predict_dataloader()
    limits = (trainer.limit_val_batches, trainer.limit_test_batches)
    counts = [_limited(len(loader), limit) for loader, limit in zip(loaders, limits, strict=True)]
    parts = (islice(loader, count) for loader, count in zip(loaders, counts, strict=True))
    batches = track(chain.from_iterable(parts), "Predicting", sum(counts))
    results = [(rows, engine.logits(pixels.numpy())) for pixels, _, rows in batches]
    indices = torch.cat([rows for rows, _ in results])
    logits = torch.cat([torch.from_numpy(logits) for _, logits in results]).double()
    rows = data.manifest.loc[indices.numpy(), ["path", "label", "split"]]
    return rows.assign(logit=logits.numpy(), probability=logits.sigmoid().numpy())


def _limited(batches: int, limit: int | float) -> int:
    """How many batches a number of them or a share of them is, as Lightning counts."""
    return min(batches, limit) if isinstance(limit, int) else int(batches * limit)


def metrics_of(rows: pd.DataFrame) -> dict[str, float | int]:
    """The metrics of training over rows of predictions.csv, and their number n."""
    logits = torch.tensor(rows["logit"].to_numpy())
    labels = torch.tensor(rows["label"].to_numpy())
    measured = classification_metrics()(logits.sigmoid(), labels)
    loss = F.binary_cross_entropy_with_logits(logits, labels.double())
    return {"loss": float(loss), **{name: float(value) for name, value in measured.items()}, "n": len(rows)}


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
    drawn["confusion"] = confusion(test["label"], test["probability"])
    try:
        drawn["cam"] = cam_panel(classifier.network, data.root, test, data.preprocessing)
    except NoFeatureMap as error:
        log.warning("figures/cam is left out: %s", error)
    for name, figure in drawn.items():
        figures.save(figure, folder.figures, name)
    return drawn


def show(folder: RunFolder, metrics: dict[str, Any]) -> None:
    """Print the metrics and where everything is."""
    table = Table(title=f"best epoch {metrics['best_epoch']} of {metrics['epochs']}", title_justify="left")
    for column in ("", *METRICS, "n"):
        table.add_column(column, justify="left" if not column else "right")
    for split in ("train", "val", "test"):
        table.add_row(split, *(f"{metrics[split][name]:.4f}" for name in METRICS), str(metrics[split]["n"]))
    console = Console()
    console.print(table)
    shown = "figures, " if folder.figures.is_dir() else ""
    console.print(f"[bold]{folder.path}[/]: {shown}predictions, metrics, checkpoints", highlight=False, soft_wrap=True)
    console.print("[dim]All runs in the dashboard: tensorboard --logdir outputs[/]", highlight=False, soft_wrap=True)
