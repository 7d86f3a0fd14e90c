"""One training run from beginning to end: images, network, fit, then everything that the run folder shows."""

import logging
import signal
import time
import warnings

import lightning as L
import pandas as pd
import torch
from lightning.pytorch.callbacks import EarlyStopping, LearningRateMonitor, ModelCheckpoint, RichProgressBar
from lightning.pytorch.loggers import TensorBoardLogger

from rexnet_ai_real.config import ConfigError, TrainConfig, TrainerConfig, to_plain
from rexnet_ai_real.data.datamodule import ImageDataModule
from rexnet_ai_real.data.manifest import read_manifest, usable, write_manifest
from rexnet_ai_real.detector.engines.device import best_device, best_precision
from rexnet_ai_real.detector.engines.memory import keep_freed_memory
from rexnet_ai_real.errors import UserError
from rexnet_ai_real.models import load_pretrained
from rexnet_ai_real.runs.folder import RunFolder
from rexnet_ai_real.train.callbacks import History, SeedOfEpoch, TensorBoardImages
from rexnet_ai_real.train.classifier import Classifier
from rexnet_ai_real.train.outcome import write_outcome

MONITOR = "val/loss"

log = logging.getLogger(__name__)


class TrainingDiverged(UserError, ArithmeticError):
    """The loss became infinite or no number before one epoch was over, so that there is no best checkpoint."""


def train(config: TrainConfig, folder: RunFolder) -> float | None:
    """Train, keep the checkpoint with the lowest validation loss, test it once, fill the run folder.

    Returns:
        The lowest validation loss; None under fast_dev_run.

    Raises:
        ConfigError: settings that do not fit the machine, the images, the weights or the run to be resumed.
        TrainingDiverged: no epoch ended with a finite validation loss.
        KeyboardInterrupt: Ctrl-C was pressed; by then the run folder shows what there is so far.
    """
    started = time.monotonic()
    _quieten()
    keep_freed_memory()
    check_devices(config.trainer)
    L.seed_everything(config.seed, workers=True, verbose=False)
    if config.trainer.threads:
        torch.set_num_threads(config.trainer.threads)

    data = ImageDataModule(config.data, config.augment, seed=config.seed)
    data.prepare_data()
    data.setup("fit")
    classifier = new_classifier(config, data)

    if config.resume:
        check_same_run(config, folder, data.manifest)
    folder.write_config(to_plain(config))
    write_manifest(data.manifest, folder.manifest_file)
    tell_left_out(data.manifest, folder)
    best = ModelCheckpoint(folder.checkpoints, "best", monitor=MONITOR, enable_version_counter=False, mode="min")
    # Not `save_last` of the one above: it writes last.ckpt only after an epoch that was the best so far.
    last = ModelCheckpoint(folder.checkpoints, "last", enable_version_counter=False)
    history = History(folder.history_file)
    trainer = new_trainer(config, folder, [best, last, history])
    interrupted = fit(trainer, classifier, data, folder if config.resume else None)
    if config.trainer.fast_dev_run:
        return None
    if history.rows and history.best_epoch is None:
        raise TrainingDiverged(
            f"optimizer.lr={config.optimizer.lr}: the validation loss is no finite number in any epoch; "
            "lower the learning rate, or limit the gradient with trainer.gradient_clip=1"
        )
    if trainer.is_global_zero and folder.best_checkpoint.is_file():
        write_outcome(
            config, folder, trainer, classifier, data, pd.DataFrame(history.rows), seconds=time.monotonic() - started
        )
    if interrupted:
        raise KeyboardInterrupt
    return float(best.best_model_score) if best.best_model_score is not None else None


def new_classifier(config: TrainConfig, data: ImageDataModule) -> Classifier:
    """The network as the configuration describes it, with pretrained weights where it asks for them."""
    classifier = Classifier(
        model=to_plain(config.model),
        optimizer=to_plain(config.optimizer),
        schedule=to_plain(config.schedule),
        preprocessing=data.preprocessing.to_plain(),
    )
    if config.model.weights and not config.resume:
        load_pretrained(classifier.network, config.model.name, config.model.weights)
    if config.model.compile:
        classifier.network.compile()
    return classifier


def new_trainer(config: TrainConfig, folder: RunFolder, callbacks: list[L.Callback]) -> L.Trainer:
    """Lightning's trainer with everything that watches the run."""
    settings = config.trainer
    patience = EarlyStopping(
        MONITOR, patience=config.early_stopping.patience, min_delta=config.early_stopping.min_delta, mode="min"
    )
    return L.Trainer(
        accelerator=settings.accelerator,
        devices=settings.devices,
        strategy=settings.strategy,
        precision=resolve_precision(settings),  # type: ignore[arg-type]
        max_epochs=settings.max_epochs,
        deterministic=settings.deterministic,
        gradient_clip_val=settings.gradient_clip,
        fast_dev_run=settings.fast_dev_run,
        logger=TensorBoardLogger(folder.path, name="", version="", default_hp_metric=False),
        callbacks=[
            *callbacks,
            patience,
            LearningRateMonitor(),
            TensorBoardImages(),
            SeedOfEpoch(config.seed),
            RichProgressBar(console_kwargs={"stderr": True}),
        ],
        log_every_n_steps=1,
        num_sanity_val_steps=0,
        enable_model_summary=False,
    )


def resolve_precision(settings: TrainerConfig) -> str:
    """What `auto` means here."""
    return best_precision(best_device(settings.accelerator)) if settings.precision == "auto" else settings.precision


def fit(trainer: L.Trainer, classifier: Classifier, data: ImageDataModule, resumed: RunFolder | None) -> bool:
    """Run the training loop; True when Ctrl-C ended it.

    Lightning turns Ctrl-C into an exit of the process, which would lose the figures of what has been trained so far.
    """
    try:
        checkpoint = resumed.last_checkpoint if resumed else None
        trainer.fit(classifier, datamodule=data, ckpt_path=checkpoint, weights_only=True)
    except SystemExit:
        if not trainer.interrupted:
            raise
        signal.signal(signal.SIGINT, signal.default_int_handler)
    return trainer.interrupted


def check_devices(settings: TrainerConfig) -> None:
    """Stop before any work where the processors asked for are not there.

    Raises:
        ConfigError: names the key and what there is.
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


def tell_left_out(manifest: pd.DataFrame, folder: RunFolder) -> None:
    """Say how many files take no part, and where the reasons stand."""
    if left_out := int((~usable(manifest)).sum()):
        log.warning("%d of %d files are left out; %s says why", left_out, len(manifest), folder.manifest_file)


def check_same_run(config: TrainConfig, folder: RunFolder, manifest: pd.DataFrame) -> None:
    """A resumed run goes on with the same images, network and optimiser; it may only be longer or run elsewhere.

    Raises:
        ConfigError: names the keys or the images that differ.
    """
    if not folder.last_checkpoint.is_file():
        raise ConfigError(f"resume={config.resume}: there is no {folder.last_checkpoint} to go on from")
    trained = torch.load(folder.last_checkpoint, "cpu", weights_only=True, mmap=True)["epoch"] + 1
    if trained > config.trainer.max_epochs:
        raise ConfigError(
            f"trainer.max_epochs={config.trainer.max_epochs}: {config.resume} has {trained}; expected {trained} or more"
        )
    before, now = _flat(folder.read_config()), _flat(to_plain(config))
    may_differ = ("resume", "output_dir", "trainer.", "early_stopping.", "data.workers", "data.root")
    differing = sorted(
        key for key in before.keys() | now.keys() if before.get(key) != now.get(key) and not key.startswith(may_differ)
    )
    if differing:
        changes = ", ".join(f"{key} was {before.get(key)}, now {now.get(key)}" for key in differing)
        raise ConfigError(f"resume={config.resume}: give the settings that the run began with ({changes})")
    # A file more or less may move others to another split: what was trained on would be tested on.
    changed = sorted({row[0] for row in _images(read_manifest(folder.manifest_file)) ^ _images(manifest)})
    if changed:
        raise ConfigError(
            f"resume={config.resume}: {len(changed)} images are not as they were when the run began, {changed[0]} "
            f"among them (compare {folder.manifest_file}); put them back, or begin a new run"
        )


def _images(manifest: pd.DataFrame) -> set[tuple[str, str, str]]:
    used = manifest[usable(manifest)]
    return set(zip(used["path"], used["sha256"], used["split"], strict=True))


def _flat(plain: dict[str, object], prefix: str = "") -> dict[str, object]:
    flat: dict[str, object] = {}
    for key, value in plain.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return flat


def _quieten() -> None:
    """Silence advice that does not apply here."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")  # small images decode fast enough
    warnings.filterwarnings("ignore", message="Checkpoint directory .* exists")  # that of the run that is resumed
    warnings.filterwarnings("ignore", message=".*LeafSpec.*", category=FutureWarning)  # Lightning 2.6 on torch 2.15
