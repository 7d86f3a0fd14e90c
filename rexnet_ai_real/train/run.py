"""One training run from beginning to end: images, network, training loop, then everything in the run folder.

From the command to the network's `forward` lie three functions: `run` in __main__, `train`, `Classifier.training_step`.
"""

import logging
import math
import signal
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import lightning as L
import pandas as pd
import torch
from lightning.pytorch.callbacks import EarlyStopping, LearningRateMonitor, ModelCheckpoint, RichProgressBar
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.profilers import AdvancedProfiler, Profiler, PyTorchProfiler, SimpleProfiler

from rexnet_ai_real.config import ConfigError, TrainConfig, TrainerConfig, to_plain
from rexnet_ai_real.data.datamodule import ImageDataModule
from rexnet_ai_real.data.manifest import usable, write_manifest
from rexnet_ai_real.detector.engines.device import best_device, best_precision
from rexnet_ai_real.detector.engines.memory import keep_freed_memory
from rexnet_ai_real.errors import UserError
from rexnet_ai_real.models import load_pretrained
from rexnet_ai_real.runs import claim
from rexnet_ai_real.runs.claim import is_first_process
from rexnet_ai_real.runs.folder import RunFolder
from rexnet_ai_real.runs.record import keep_record
from rexnet_ai_real.train.callbacks import History, SeedOfEpoch, TensorBoardImages
from rexnet_ai_real.train.checkpoints import AtomicCheckpoints
from rexnet_ai_real.train.classifier import Classifier
from rexnet_ai_real.train.optimizer import new_optimizer
from rexnet_ai_real.train.outcome import write_outcome
from rexnet_ai_real.train.resume import check_same_run
from rexnet_ai_real.train.schedule import schedule_of

MONITOR = "val/loss"
PROFILERS: Final[dict[str, Callable[[Path, str], Profiler]]] = {
    "simple": SimpleProfiler,
    "advanced": AdvancedProfiler,
    "pytorch": PyTorchProfiler,
}
"""By `trainer.profiler`."""

log = logging.getLogger(__name__)


class TrainingDiverged(UserError, ArithmeticError):
    """The validation loss was infinite or NaN in every epoch, so that there is no best checkpoint."""


def train(config: TrainConfig, folder: RunFolder) -> float | None:
    """Train, keep the checkpoint with the lowest validation loss, test it once and fill the run folder.

    Returns:
        The lowest validation loss; None under fast_dev_run.

    Raises:
        ConfigError: settings that do not fit the machine, the images, the weights or the run to be resumed.
        TrainingDiverged: no epoch ended with a finite validation loss.
        KeyboardInterrupt: Ctrl-C was pressed; the run folder then shows the epochs trained so far.
    """
    started = time.monotonic()
    _quieten()
    keep_freed_memory()
    check_devices(config.trainer)
    check_optimization(config)
    L.seed_everything(config.seed, workers=True, verbose=False)
    if config.trainer.threads:
        torch.set_num_threads(config.trainer.threads)

    data = ImageDataModule(config.data, config.augment, seed=config.seed)
    classifier = new_classifier(
        config, data
    )  # first, since weights that do not fit show sooner than images are prepared
    data.prepare_data()
    data.setup("fit")

    check_batches(config, data)
    checkpoint = check_same_run(config, folder, data.manifest) if config.resume else None
    if is_first_process() and not config.trainer.fast_dev_run:
        begin(config, folder)
        write_manifest(data.manifest, folder.manifest_file)
        warn_of_left_out(data.manifest, folder)
    best = ModelCheckpoint(folder.checkpoints, "best", monitor=MONITOR, enable_version_counter=False, mode="min")
    # Not `save_last` of the one above: it writes last.ckpt only after an epoch that was the best so far.
    last = ModelCheckpoint(folder.checkpoints, "last", enable_version_counter=False, save_on_train_epoch_end=True)
    history = History(folder.history_file)
    trainer = new_trainer(config, folder, [best, last, history])
    with ctrl_c_ends_training(trainer):
        trainer.fit(classifier, datamodule=data, ckpt_path=checkpoint, weights_only=True)
    if config.trainer.fast_dev_run:
        return None
    if history.rows and history.best_epoch is None:
        raise TrainingDiverged(
            f"optimizer.lr={config.optimizer.lr}: the validation loss is infinite or NaN in every epoch; "
            "lower the learning rate, or limit the gradient with trainer.gradient_clip=1"
        )
    if trainer.is_global_zero and folder.best_checkpoint.is_file():
        write_outcome(
            config, folder, trainer, classifier, data, pd.DataFrame(history.rows), seconds=time.monotonic() - started
        )
    if trainer.interrupted:
        raise KeyboardInterrupt
    return float(best.best_model_score) if best.best_model_score is not None else None


def begin(config: TrainConfig, folder: RunFolder) -> None:
    """Make the folder that of this run: its settings, and how it was called."""
    if config.resume:
        folder.write_config(to_plain(config))
    else:
        claim.begin(folder, to_plain(config))
    keep_record(folder.path)


def new_classifier(config: TrainConfig, data: ImageDataModule) -> Classifier:
    """The network of the configuration, with pretrained weights where it names them."""
    classifier = Classifier(
        model=to_plain(config.model),
        optimizer=to_plain(config.optimizer),
        schedule=to_plain(config.schedule),
        preprocessing=data.preprocessing.to_plain(),
    )
    if config.resume:
        pass  # the checkpoint has them
    elif config.model.weights:
        log.info("Weights: %s", load_pretrained(classifier.network, config.model.name, config.model.weights))
    else:
        log.info("Weights: random (model.weights=null)")
    if config.model.compile:
        classifier.network.compile()
    return classifier


def new_trainer(config: TrainConfig, folder: RunFolder, callbacks: list[L.Callback]) -> L.Trainer:
    """Lightning's trainer with all callbacks."""
    settings = config.trainer
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
        logger=TensorBoardLogger(folder.path, name="", version="", default_hp_metric=False),
        callbacks=[
            *callbacks,
            *([] if settings.overfit_batches else [patience]),
            LearningRateMonitor(),
            *([TensorBoardImages()] if config.figures else []),
            SeedOfEpoch(config.seed),
            RichProgressBar(console_kwargs={"stderr": True}),
        ],
        log_every_n_steps=1,
        num_sanity_val_steps=0,
        enable_model_summary=False,
    )


def resolve_precision(settings: TrainerConfig) -> str:
    """The precision of the settings, with `auto` resolved for this machine."""
    return best_precision(best_device(settings.accelerator)) if settings.precision == "auto" else settings.precision


@contextmanager
def ctrl_c_ends_training(trainer: L.Trainer) -> Iterator[None]:
    """Let Ctrl-C end the training loop alone, so that the figures of the epochs trained so far can be drawn.

    Lightning turns it into an exit of the process.
    """
    try:
        yield
    except SystemExit:
        if not trainer.interrupted:
            raise
        signal.signal(signal.SIGINT, signal.default_int_handler)


def check_optimization(config: TrainConfig) -> None:
    """Stop before any work where the optimizer or the schedule is impossible.

    Raises:
        ConfigError: names the key and what is possible.
    """
    new_optimizer(config.optimizer, torch.nn.Linear(1, 1))
    schedule_of(config.schedule)


def check_batches(config: TrainConfig, data: ImageDataModule) -> None:
    """Stop where a share of the batches is none, or validation would never come.

    Raises:
        ConfigError: names the key and how many batches there are.
    """
    settings = config.trainer
    batches = {part: math.ceil(len(data.rows(part)) / config.data.batch_size) for part in ("train", "val", "test")}
    limits: dict[str, tuple[int | float | None, int]] = {
        "limit_train_batches": (settings.limit_train_batches, batches["train"]),
        "limit_val_batches": (settings.limit_val_batches, batches["val"]),
        "limit_test_batches": (settings.limit_test_batches, batches["test"]),
        "overfit_batches": (settings.overfit_batches, min(batches["train"], batches["val"])),
    }
    for key, (limit, there) in limits.items():
        if isinstance(limit, float) and limit * there < 1:
            raise ConfigError(
                f"trainer.{key}={limit}: less than one of the {there} batches; expected {1 / there:.2g} or more, or "
                "a whole number of batches"
            )
    limit, epoch = settings.limit_train_batches, batches["train"]
    epoch = epoch if limit is None else min(epoch, limit if isinstance(limit, int) else int(epoch * limit))
    interval = settings.val_check_interval
    if isinstance(interval, int) and interval > epoch:
        raise ConfigError(f"trainer.val_check_interval={interval}: an epoch has {epoch} batches; expected at most that")


def check_devices(settings: TrainerConfig) -> None:
    """Stop before any work where the requested processors are missing.

    Raises:
        ConfigError: names the key and what this machine has.
    """
    found = best_device(settings.accelerator).type
    wanted = {"gpu": ("cuda", "mps"), "mps": ("mps",)}.get(settings.accelerator, (found,))
    if found not in wanted:
        raise ConfigError(
            f"trainer.accelerator={settings.accelerator}: PyTorch finds none here; trainer=cpu trains without"
        )
    count = {"cuda": torch.cuda.device_count(), "mps": 1}.get(found, settings.devices)  # the CPU takes any number
    if settings.devices > count:
        raise ConfigError(f"trainer.devices={settings.devices}: this machine has {count}")


def warn_of_left_out(manifest: pd.DataFrame, folder: RunFolder) -> None:
    """Log how many files are left out, and where the reasons are."""
    if left_out := int((~usable(manifest)).sum()):
        log.warning("%d of %d files are left out; %s says why", left_out, len(manifest), folder.manifest_file)


def _quieten() -> None:
    """Silence warnings that do not apply here."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")  # small images decode fast enough
    warnings.filterwarnings("ignore", message="Checkpoint directory .* exists")  # that of the run that is resumed
    warnings.filterwarnings("ignore", message=".*LeafSpec.*", category=FutureWarning)  # Lightning 2.6 on torch 2.15
