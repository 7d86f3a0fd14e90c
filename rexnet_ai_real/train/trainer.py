"""Lightning's Trainer as the settings describe it, with everything that watches a run."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

import lightning as L
from lightning.pytorch.callbacks import EarlyStopping
from lightning.pytorch.profilers import AdvancedProfiler, Profiler, PyTorchProfiler, SimpleProfiler

from rexnet_ai_real.config import TrainConfig, TrainerConfig
from rexnet_ai_real.detector.engines.device import best_device, best_precision
from rexnet_ai_real.runs.folder import RunFolder
from rexnet_ai_real.sweep.pruning import current_judge
from rexnet_ai_real.train.averaging import Averaging
from rexnet_ai_real.train.callbacks import History, PlateauSteps, Pruning, SeedOfEpoch
from rexnet_ai_real.train.checkpoints import AtomicCheckpoints
from rexnet_ai_real.train.console import EpochBar, EpochLines, on_terminal
from rexnet_ai_real.train.dashboard import BestSoFar, Dashboard, TensorBoardImages
from rexnet_ai_real.train.freezing import Freezing
from rexnet_ai_real.train.schedule import MONITOR

PROFILERS: Final[dict[str, Callable[[Path, str], Profiler]]] = {
    "simple": SimpleProfiler,
    "advanced": AdvancedProfiler,
    "pytorch": PyTorchProfiler,
}
"""By `trainer.profiler`."""


def new_trainer(config: TrainConfig, folder: RunFolder, history: History, callbacks: list[L.Callback]) -> L.Trainer:
    """Lightning's trainer with all callbacks."""
    settings = config.trainer
    bar = on_terminal()
    patience = EarlyStopping(
        MONITOR, patience=config.early_stopping.patience, min_delta=config.early_stopping.min_delta, mode="min"
    )
    profiler = PROFILERS[settings.profiler](folder.path, "profile") if settings.profiler else None
    return L.Trainer(
        accelerator=settings.accelerator,
        devices=settings.devices,
        num_nodes=settings.num_nodes,
        strategy=settings.strategy,
        precision=resolve_precision(settings),  # type: ignore[arg-type]
        max_epochs=settings.max_epochs,
        deterministic=settings.deterministic,
        gradient_clip_val=settings.gradient_clip,
        accumulate_grad_batches=settings.accumulate_grad_batches,
        limit_train_batches=settings.limit_train_batches,
        limit_val_batches=settings.limit_val_batches,
        limit_test_batches=settings.limit_test_batches,
        overfit_batches=settings.overfit_batches or 0.0,
        val_check_interval=settings.val_check_interval,
        profiler=profiler,
        plugins=[AtomicCheckpoints()],
        fast_dev_run=settings.fast_dev_run,
        logger=Dashboard(folder.path),
        callbacks=[
            history,
            *callbacks,
            *([] if settings.overfit_batches else [patience]),
            BestSoFar(history),
            EpochLines(history, bar=bar),
            *([TensorBoardImages()] if config.figures else []),
            SeedOfEpoch(config.seed),
            *([Freezing(config.model)] if Freezing.is_needed(config.model) else []),
            *([PlateauSteps()] if config.schedule.name == "plateau" else []),
            *([Averaging(config.averaging)] if config.averaging.name else []),
            *([EpochBar()] if bar else []),
            *([Pruning(judge)] if (judge := current_judge()) else []),
        ],
        enable_progress_bar=bar,
        log_every_n_steps=1,
        num_sanity_val_steps=0,
        enable_model_summary=False,
    )


def resolve_precision(settings: TrainerConfig) -> str:
    """The precision of the settings, with `auto` resolved for this machine."""
    return best_precision(best_device(settings.accelerator)) if settings.precision == "auto" else settings.precision
