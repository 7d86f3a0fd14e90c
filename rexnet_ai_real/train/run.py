"""One training run from beginning to end: images, network, training loop, then everything in the run folder.

Three functions lie between the command and the network: `run` in launch.py, `train`, `Classifier.training_step`.
"""

import logging
import time
import warnings

import lightning as L
import pandas as pd
import torch
from lightning.pytorch.callbacks import ModelCheckpoint

from rexnet_ai_real.config import TrainConfig, to_plain
from rexnet_ai_real.data.datamodule import ImageDataModule
from rexnet_ai_real.data.manifest import usable, write_manifest
from rexnet_ai_real.detector.engines.memory import keep_freed_memory
from rexnet_ai_real.runs import claim
from rexnet_ai_real.runs.claim import is_first_process
from rexnet_ai_real.runs.folder import RunFolder
from rexnet_ai_real.runs.record import keep_record
from rexnet_ai_real.train.callbacks import History
from rexnet_ai_real.train.classifier import class_weights, new_classifier
from rexnet_ai_real.train.console import dry_run_result, header, log_why_ended, warn_of_imbalance
from rexnet_ai_real.train.distillation import new_distillation
from rexnet_ai_real.train.failures import TrainingDiverged, ctrl_c_ends_training, loader_failures_explained
from rexnet_ai_real.train.feasibility import check_batches, check_settings
from rexnet_ai_real.train.outcome import write_outcome
from rexnet_ai_real.train.resume import check_same_run
from rexnet_ai_real.train.schedule import MONITOR, Plan
from rexnet_ai_real.train.trainer import new_trainer

log = logging.getLogger(__name__)


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
    check_batches(config, data)
    labels = data.rows("train")["label"]
    classifier.class_weights = class_weights(
        config.loss.class_weights, labels.astype(int).tolist(), config.data.pairs.share
    )
    classifier.distillation = new_distillation(config, data.manifest)

    checkpoint, plan = None, Plan.of_new_run(config.schedule, config.trainer.max_epochs)
    if config.resume:
        checkpoint, plan = check_same_run(config, folder, data.manifest)
    if not config.trainer.fast_dev_run:  # which needs one batch
        data.reconstruct(data.rows("train"))
    if is_first_process() and not config.trainer.fast_dev_run:
        begin(config, folder)
        write_manifest(data.manifest, folder.manifest_file)
        warn_of_left_out(data.manifest, folder)
        warn_of_imbalance(labels, config)
    best = ModelCheckpoint(folder.checkpoints, "best", monitor=MONITOR, enable_version_counter=False, mode="min")
    # Not `save_last` of the one above: it writes last.ckpt only after an epoch that was the best so far.
    last = ModelCheckpoint(folder.checkpoints, "last", enable_version_counter=False, save_on_train_epoch_end=True)
    history = History(folder.history_file)
    trainer = new_trainer(config, folder, history, [best, last])
    if trainer.is_global_zero:
        log.info(header(config, folder.path, trainer, classifier, data, plan))
    with ctrl_c_ends_training(trainer), loader_failures_explained():
        trainer.fit(classifier, datamodule=data, ckpt_path=checkpoint, weights_only=True)
    if config.trainer.fast_dev_run:
        log.info(dry_run_result(trainer))
        return None
    if history.rows and history.best_epoch is None:
        raise TrainingDiverged(
            f"optimizer.lr={config.optimizer.lr}: the validation loss is infinite or NaN in every epoch; "
            "lower the learning rate, or limit the gradient with trainer.gradient_clip=1"
        )
    log_why_ended(history, trainer, config)
    if trainer.is_global_zero and folder.best_checkpoint.is_file():
        with loader_failures_explained():
            seconds = time.monotonic() - started
            write_outcome(config, folder, trainer, classifier, data, pd.DataFrame(history.rows), seconds=seconds)
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
