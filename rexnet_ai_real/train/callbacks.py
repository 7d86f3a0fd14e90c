"""What a run does at each epoch: its row of the history, its seed, and the rate after a plateau."""

import csv
import math
import time
from pathlib import Path
from typing import Any

import lightning as L
import torch
from torch.optim.lr_scheduler import ReduceLROnPlateau

from rexnet_ai_real.data.datamodule import Batch
from rexnet_ai_real.files import write_atomically
from rexnet_ai_real.metrics.training import METRICS, columns
from rexnet_ai_real.sweep.pruning import Judge, Pruned
from rexnet_ai_real.train.schedule import MONITOR


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
        return int(self.best_row["epoch"]) if self.best_row else None

    @property
    def best_row(self) -> dict[str, float] | None:
        """The row of the best epoch: that of the checkpoint that is kept."""
        known = [row for row in self.rows if not math.isnan(row["val_loss"])]
        return min(known, key=lambda row: row["val_loss"]) if known else None

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start the clock."""
        self._started = self._trained = time.monotonic()
        self._images = 0

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        """Record the learning rate before the schedule changes it."""
        self._lr = float(trainer.optimizers[0].param_groups[-1]["lr"])

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
        """Save the rows atomically; what is undefined is empty."""
        with write_atomically(self.path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, history_columns(), lineterminator="\n")
            writer.writeheader()
            for row in self.rows:
                writer.writerow({name: "" if math.isnan(value) else value for name, value in row.items()})

    def state_dict(self) -> dict[str, Any]:
        """The rows, for a checkpoint: plain values only."""
        return {"rows": [dict(row) for row in self.rows]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from the rows of a checkpoint; rows of later epochs are dropped."""
        self.rows = [dict(row) for row in state_dict["rows"]]


class Pruning(L.Callback):
    """Ends a job of a search where the search says so, after the epoch has its row in the history."""

    def __init__(self, judge: Judge) -> None:
        """`judge`: that of the search."""
        self.judge = judge

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Tell the loss.

        Raises:
            Pruned: the search has seen enough.
        """
        epoch, loss = trainer.current_epoch + 1, float(trainer.callback_metrics["val/loss"])
        if math.isfinite(loss) and self.judge(epoch, loss):
            raise Pruned(f"after epoch {epoch}, its validation loss of {loss:.4f} was worse than that of earlier jobs")


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


class PlateauSteps(L.Callback):
    """Shows each validation loss to the schedule `plateau`, before the checkpoint of that validation is written.

    Lightning would do so after it: a resumed run would have forgotten the last validation.
    """

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Lower the rate where the loss has not fallen for long enough."""
        schedule = pl_module.lr_schedulers()
        if isinstance(schedule, ReduceLROnPlateau) and not trainer.sanity_checking:
            schedule.step(float(trainer.callback_metrics[MONITOR]))
