"""One training run from beginning to end: images, network, training loop, then everything in the run folder.

From the command to the network's `forward` lie three functions: `run` in __main__, `train`, `Classifier.training_step`.
"""

import logging
import signal
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import lightning as L
import pandas as pd
import torch
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint

from rexnet_ai_real.config import ConfigError, TrainConfig, TrainerConfig, preprocessing_of, to_plain
from rexnet_ai_real.data.datamodule import ImageDataModule
from rexnet_ai_real.data.manifest import usable, write_manifest
from rexnet_ai_real.detector.engines.device import best_device, best_precision
from rexnet_ai_real.detector.engines.memory import keep_freed_memory
from rexnet_ai_real.errors import UserError
from rexnet_ai_real.models import load_pretrained
from rexnet_ai_real.runs.folder import RunFolder
from rexnet_ai_real.train.callbacks import History, SeedOfEpoch
from rexnet_ai_real.train.classifier import Classifier, class_weights
from rexnet_ai_real.train.console import (
    EpochBar,
    EpochLines,
    dry_run_result,
    header,
    log_why_ended,
    on_terminal,
    warn_of_imbalance,
)
from rexnet_ai_real.train.dashboard import BestSoFar, Dashboard, TensorBoardImages
from rexnet_ai_real.train.optimizer import new_optimizer
from rexnet_ai_real.train.outcome import write_outcome
from rexnet_ai_real.train.resume import check_same_run
from rexnet_ai_real.train.schedule import Plan, schedule_of

if TYPE_CHECKING:
    from omegaconf import DictConfig

MONITOR = "val/loss"

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
    check_settings(config)
    L.seed_everything(config.seed, workers=True, verbose=False)
    if config.trainer.threads:
        torch.set_num_threads(config.trainer.threads)

    data = ImageDataModule(config.data, config.augment, seed=config.seed)
    classifier = new_classifier(config)  # before the images, so that an impossible network costs no work
    data.prepare_data()
    data.setup("fit")
    labels = data.rows("train")["label"]
    classifier.class_weights = class_weights(config.loss.class_weights, labels.astype(int).tolist())

    plan = Plan.of_new_run(config.schedule, config.trainer.max_epochs)
    if config.resume:
        plan = check_same_run(config, folder, data.manifest)
    folder.write_config(to_plain(config))
    write_manifest(data.manifest, folder.manifest_file)
    warn_of_left_out(data.manifest, folder)
    warn_of_imbalance(labels, config)
    best = ModelCheckpoint(folder.checkpoints, "best", monitor=MONITOR, enable_version_counter=False, mode="min")
    # Not `save_last` of the one above: it writes last.ckpt only after an epoch that was the best so far.
    last = ModelCheckpoint(folder.checkpoints, "last", enable_version_counter=False)
    history = History(folder.history_file)
    patience = EarlyStopping(
        MONITOR, patience=config.early_stopping.patience, min_delta=config.early_stopping.min_delta, mode="min"
    )
    trainer = new_trainer(config, folder, history, [best, last, patience])
    if trainer.is_global_zero:
        log.info(header(config, folder.path, trainer, classifier.network, data, plan))
    with ctrl_c_ends_training(trainer), loader_failures_explained():
        checkpoint = folder.last_checkpoint if config.resume else None
        trainer.fit(classifier, datamodule=data, ckpt_path=checkpoint, weights_only=True)
    if config.trainer.fast_dev_run:
        log.info(dry_run_result(trainer))
        return None
    if history.rows and history.best_epoch is None:
        raise TrainingDiverged(
            f"optimizer.lr={config.optimizer.lr}: the validation loss is infinite or NaN in every epoch; "
            "lower the learning rate, or limit the gradient with trainer.gradient_clip=1"
        )
    log_why_ended(history, patience, config)
    if trainer.is_global_zero and folder.best_checkpoint.is_file():
        with loader_failures_explained():
            seconds = time.monotonic() - started
            write_outcome(config, folder, trainer, classifier, data, pd.DataFrame(history.rows), seconds=seconds)
    if trainer.interrupted:
        raise KeyboardInterrupt
    return float(best.best_model_score) if best.best_model_score is not None else None


def new_classifier(config: TrainConfig) -> Classifier:
    """The network of the configuration, with pretrained weights where it names them."""
    classifier = Classifier(
        model=architecture(config),
        optimizer=to_plain(config.optimizer),
        schedule=to_plain(config.schedule),
        preprocessing=preprocessing_of(config.data).to_plain(),
    )
    if config.model.weights and not config.resume:
        size = config.data.image_size
        load_pretrained(classifier.network, config.model.name, config.model.weights, image_size=size)
    if config.model.compile:
        classifier.network.compile()
    return classifier


def architecture(config: TrainConfig) -> dict[str, Any]:
    """The settings of the network; for timm's, many of which are built for one size, with the size of the images."""
    size = {"image_size": config.data.image_size} if config.model.library == "timm" else {}
    return {**to_plain(config.model), **size}


def new_trainer(config: TrainConfig, folder: RunFolder, history: History, callbacks: list[L.Callback]) -> L.Trainer:
    """Lightning's trainer with all callbacks."""
    settings = config.trainer
    bar = on_terminal()
    return L.Trainer(
        accelerator=settings.accelerator,
        devices=settings.devices,
        strategy=settings.strategy,
        precision=resolve_precision(settings),  # type: ignore[arg-type]
        max_epochs=settings.max_epochs,
        deterministic=settings.deterministic,
        gradient_clip_val=settings.gradient_clip,
        fast_dev_run=settings.fast_dev_run,
        logger=Dashboard(folder.path),
        callbacks=[
            history,
            *callbacks,
            BestSoFar(history),
            EpochLines(history, bar=bar),
            *([TensorBoardImages()] if config.figures else []),
            SeedOfEpoch(config.seed),
            *([EpochBar()] if bar else []),
        ],
        enable_progress_bar=bar,
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


class LoaderDied(UserError, RuntimeError):
    """The system ended a process that decodes images."""


@contextmanager
def loader_failures_explained() -> Iterator[None]:
    """Turn the death of a process of `data.workers` into one sentence.

    Raises:
        LoaderDied: PyTorch noticed it.
    """
    try:
        yield
    except RuntimeError as error:
        if "DataLoader worker" not in str(error) or "Caught" in str(error):
            raise
        how = " ".join(str(error).partition("DataLoader worker")[2].split())[:80]
        raise LoaderDied(
            f"A process that decodes images has died (worker{how}), as happens where memory runs short. Give "
            "data.workers=0, or a smaller data.batch_size or data.image_size; resume=FOLDER goes on from the last epoch"
        ) from error


def check_job(composed: "DictConfig") -> None:
    """Stop a sweep before its first job where a job cannot work. Named in conf/train.yaml.

    Raises:
        ConfigError, ModelError: name the key and what is possible.
    """
    from rexnet_ai_real.config.compose import load

    config = load(composed)
    check_settings(config)
    with torch.device("meta"):  # without memory and time for the weights
        new_classifier(replace(config, model=replace(config.model, weights=None, compile=False)))


def check_settings(config: TrainConfig) -> None:
    """Stop before any work where a setting is impossible here.

    Raises:
        ConfigError: names the key and what is possible.
    """
    check_devices(config.trainer)
    check_optimization(config)


def check_optimization(config: TrainConfig) -> None:
    """Stop before any work where the optimizer or the schedule is impossible.

    Raises:
        ConfigError: names the key and what is possible.
    """
    new_optimizer(config.optimizer, torch.nn.Linear(1, 1))
    schedule_of(config.schedule)
    if not config.resume:
        plan = Plan.of_new_run(config.schedule, config.trainer.max_epochs)
        plan.check(config.schedule, config.trainer.max_epochs, resumed=False)


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
