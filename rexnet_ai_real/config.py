"""Every setting of an experiment: its type, default and meaning. YAML files under conf/ only say what differs.

`load` and `load_evaluation` turn what Hydra composed into these plain dataclasses and stop at an impossible value,
naming its key.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, DictConfig, OmegaConf

from rexnet_ai_real.errors import UserError
from rexnet_ai_real.images.layouts import LAYOUTS
from rexnet_ai_real.images.limits import MAX_PIXELS
from rexnet_ai_real.images.preprocessing import FILTERS, RESIZES, Preprocessing

SOURCES = tuple(LAYOUTS)
OWN = "own"
"""As data.name of an evaluation: the images that the run itself held out."""
SCHEDULES = ("one_cycle", "cosine", "constant")
LIBRARIES = ("rexnet", "timm")
ACCELERATORS = ("auto", "cpu", "gpu", "mps")
STRATEGIES = ("auto", "ddp")
PRECISIONS = ("auto", "32-true", "16-mixed", "bf16-mixed")
THRESHOLDS = ("fpr", "balanced_accuracy")
SECTIONS = ("metrics", "calibration", "comparison", "shortcuts", "robustness", "collections", "explanations")
"""Parts of the report, in the order in which it shows them."""


class ConfigError(UserError, ValueError):
    """A setting that cannot work. The message names the key, the value found and the values possible."""


@dataclass
class SyntheticConfig:
    """The generated stand-in data set (`data=synthetic`)."""

    count: int = 600
    """Images, half of them of each class."""
    size: int = 96
    """Side of the square images, in pixels."""
    seed: int = 0
    """Another seed, other images."""


@dataclass
class DataConfig:
    """Which images, who is held out, and how images become batches."""

    name: str = MISSING
    """Layout of the data set: kaggle, cifake, folder or synthetic."""
    root: str | None = None
    """Folder with the images; for `folder` also a table of file names and labels (.csv, .tsv, .jsonl, .parquet).
    Null: the usual place of the data set, downloaded or generated there when absent."""
    classes: dict[Any, Any] = field(default_factory=dict)
    """Further folder names, or labels of a table, and the class that each stands for, as in
    {midjourney: ai, 0: real}.
    Null takes a known name's meaning away: {human: null}. * and ? stand for any characters and for any one."""
    image_size: int = 224
    """Side of the square that the network sees, in pixels."""
    resize: str = "squash"
    """squash: both sides to image_size, as the study does; crop: short side to image_size, then the centre."""
    interpolation: str = "bilinear"
    """bilinear or bicubic; both with antialiasing."""
    mean: list[float] = field(default_factory=lambda: [0.485, 0.456, 0.406])
    """Subtracted from each channel after scaling to 0..1; ImageNet's, which the pretrained weights expect."""
    std: list[float] = field(default_factory=lambda: [0.229, 0.224, 0.225])
    """Divides each channel after the mean is subtracted."""
    batch_size: int = 32
    """Images per training step. At least 2: batch norm has no variance of one."""
    cache_gb: float = 8.0
    """Images are decoded once and kept as pixels in the cache folder, which may take this many gigabytes (10^9 bytes;
    an image of 224 px takes 0.00015). Those for which there is no room are decoded in every epoch; 0: all."""
    cache: str | None = None
    """Folder of that cache. Null: the user's own, such as ~/.cache/rexnet-ai-real. Nothing is kept
    where it cannot be written."""
    workers: int = 2
    """Processes that decode images while the network trains, where not all are kept; 0: the training process."""
    val_fraction: float = 0.15
    """Share of the images that choose the checkpoint and stop the training."""
    test_fraction: float = 0.2
    """Share of the images that are seen once, at the end. Ignored where the data set brings its own test part."""
    fold: int | None = None
    """Which fold is the test part, 0 to folds - 1. Null: one split by the fractions above."""
    folds: int = 5
    """Into how many parts cross-validation cuts the images."""
    duplicate_distance: int | None = 4
    """Images whose 64-bit difference hashes differ in at most this many bits, and whose thumbnails are alike, stay on
    the same side of every split. Null: only identical files do."""
    max_pixels: int = MAX_PIXELS
    """An image with more pixels is listed as a problem and left out."""
    synthetic: SyntheticConfig = field(default_factory=SyntheticConfig)


@dataclass
class AugmentConfig:
    """Random changes to training images. All zero: resize and normalise only, as in the study."""

    flip: float = 0.0
    """Probability of a left-right mirror image."""
    rotation: float = 0.0
    """Largest rotation to either side, in degrees: the angles that the study leaves for later."""
    crop_scale: float = 1.0
    """Smallest share of the area that a random crop keeps; 1 keeps the whole image."""
    brightness: float = 0.0
    """Largest relative change: 0.2 draws a factor from 0.8 to 1.2. The lighting that the study leaves for later."""
    contrast: float = 0.0
    """Largest relative change of contrast."""
    saturation: float = 0.0
    """Largest relative change of saturation."""
    jpeg: float = 0.0
    """Probability of a JPEG round trip at a random quality from 50 to 95, so that compression traces say less."""
    blur: float = 0.0
    """Probability of a Gaussian blur with sigma 0.1 to 2 pixels."""
    erasing: float = 0.0
    """Probability that a random rectangle is blanked (Zhong et al. 2020)."""


@dataclass
class ModelConfig:
    """The network."""

    name: str = MISSING
    """rexnet_100, _130, _150, _200, _300, rexnetr_*, rexnet_lite_*, or any timm backbone with library=timm."""
    width: float | None = None
    """Channel multiplier of ReXNet; null: as the name says (rexnet_150 is 1.5)."""
    depth: float = 1.0
    """Multiplier of the number of blocks of ReXNet."""
    library: str = "rexnet"
    """rexnet: this project's own ReXNet; timm: any backbone of timm, for comparison."""
    weights: str | None = None
    """imagenet (downloaded through timm), a path to .safetensors or .pth, or null to start from scratch."""
    dropout: float = 0.2
    """Probability with which each pooled feature is dropped before the last layer."""
    drop_path: float = 0.0
    """Stochastic depth: probability with which the last residual block is skipped; earlier ones less, in proportion."""
    compile: bool = False
    """torch.compile the network: slow to start (about a minute), then faster steps."""


@dataclass
class OptimizerConfig:
    """Stochastic gradient descent, as in the study."""

    lr: float = 3e-4
    """Learning rate that the schedule starts from; see ScheduleConfig for what becomes of it."""
    momentum: float = 0.9
    nesterov: bool = True
    weight_decay: float = 1e-4
    """L2 penalty; not applied to biases and batch-norm parameters."""


@dataclass
class ScheduleConfig:
    """How the learning rate moves from step to step."""

    name: str = "one_cycle"
    """one_cycle: from lr up to rise * lr, then down to zero; cosine: from lr down to zero; constant."""
    rise: float = 25.0
    """one_cycle: how many times lr the peak is (the usual div_factor, Smith & Topin 2018)."""
    warmup: float = 0.3
    """one_cycle: share of all steps that the rise takes."""


@dataclass
class EarlyStoppingConfig:
    """When a run that no longer improves ends."""

    patience: int = 5
    """Validation checks (one an epoch) without a lower validation loss before the run stops."""
    min_delta: float = 0.0
    """A loss counts as lower when it is lower by more than this."""


@dataclass
class TrainerConfig:
    """Handed to Lightning's Trainer."""

    max_epochs: int = 30
    accelerator: str = "auto"
    """auto, cpu, gpu or mps."""
    devices: int = 1
    """How many processors of that kind."""
    strategy: str = "auto"
    """auto, or ddp for several devices."""
    precision: str = "auto"
    """32-true, 16-mixed, bf16-mixed; or auto: bf16-mixed where the processor computes in bfloat16, else 32-true."""
    threads: int | None = None
    """CPU threads of the network; null: as many as PyTorch chooses. Another number gives other last digits."""
    deterministic: bool = True
    """Only algorithms that give the same numbers every time."""
    gradient_clip: float | None = None
    """Largest norm of the gradient; null: no limit."""
    fast_dev_run: bool = False
    """One training and one validation batch, nothing saved: does it run at all?"""


@dataclass
class TrainConfig:
    """One training run: `python -m rexnet_ai_real.train`."""

    name: str = "train"
    """Name of the experiment; the folder under outputs/."""
    output_dir: str = "${run_folder:${resume},outputs/${name}/${now:%Y-%m-%d_%H-%M-%S}}"
    """The run folder. Under a multirun, the folder that holds one run folder per job. A resumed run keeps its own."""
    seed: int = 0
    """Of the split, the first weights, the batches and the augmentation."""
    resume: str | None = None
    """A run folder to go on in, or its last.ckpt: from the end of the last whole epoch."""
    data: DataConfig = field(default_factory=DataConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    early_stopping: EarlyStoppingConfig = field(default_factory=EarlyStoppingConfig)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)


@dataclass
class EvaluateConfig:
    """One report: `python -m rexnet_ai_real.evaluate`."""

    run: str = MISSING
    """What is evaluated: a run folder, a checkpoint, a multirun of folds, or a saved detector."""
    output_dir: str | None = None
    """Where the report is written. Null: report/ inside the folder of `run`."""
    data: DataConfig = field(default_factory=lambda: DataConfig(name=OWN))
    """Which images. own: those that the run held out, data.root naming their folder where it has moved. Any other
    data set is taken whole, or its own test part where it has one. A detector brings its own way of resizing: of these
    settings only name, root, classes, batch_size, workers, max_pixels and duplicate_distance are looked at."""
    others: list[str] = field(default_factory=list)
    """Folders of other collections (any layout that data=folder, kaggle or cifake reads): does it hold there too?"""
    against: str | None = None
    """A second run, multirun of folds or checkpoint that held out the same images, to compare with."""
    sections: list[str] = field(default_factory=lambda: list(SECTIONS))
    """Which parts to make; [metrics,calibration] takes seconds, since nothing is predicted anew."""
    sample: int | None = 192
    """How many held-out images, drawn by their hashes, pass the 47 corruptions, the swap test and the test of the
    heat maps. Null: all; the time grows with it (192: about ten minutes on two cores)."""
    threshold: str = "fpr"
    """fpr: false alarms on at most `fpr` of real images; balanced_accuracy: best mean of both classes."""
    fpr: float = 0.05
    """False-positive rate that the threshold is chosen for."""
    error_target: float | None = 0.10
    """Promised largest error rate among answered images; the others are "unsure". Null: every image is answered."""
    confidence: float = 0.90
    """With which that promise holds."""
    resamples: int = 2000
    """Of the bootstrap behind every interval."""
    seed: int = 0
    """Of the bootstrap, the folds of the shortcut audit and the random maps."""


def run_folder(resume: str | None, fresh: str) -> str:
    """Where a run goes: into the run that is resumed, named by its folder or a checkpoint in it, or a fresh folder."""
    if not resume:
        return fresh
    return str(Path(resume).parent.parent) if resume.endswith(".ckpt") else resume


OmegaConf.register_new_resolver("run_folder", run_folder, replace=True)
for _name, _schema in {"train_schema": TrainConfig, "evaluate_schema": EvaluateConfig}.items():
    _node = OmegaConf.structured(_schema)
    OmegaConf.set_struct(_node.data.classes, False)  # its keys are the user's: data.classes={flickr: real}
    ConfigStore.instance().store(name=_name, node=_node)

Settings = TypeVar("Settings", TrainConfig, EvaluateConfig)


def load(composed: DictConfig) -> TrainConfig:
    """Plain dataclasses of what Hydra composed from train.yaml.

    Raises:
        ConfigError: a value is missing or impossible.
    """
    config = _plain(composed, TrainConfig)
    check(config)
    return config


def load_evaluation(composed: DictConfig) -> EvaluateConfig:
    """The same for evaluate.yaml.

    Raises:
        ConfigError: a value is missing or impossible.
    """
    config = _plain(composed, EvaluateConfig)
    _check_each(config, _EVALUATION_RULES)
    return config


def _plain(composed: DictConfig, schema: type[Settings]) -> Settings:
    missing = sorted(OmegaConf.missing_keys(composed))
    if missing:
        raise ConfigError(f"{', '.join(missing)}: no value given")
    config = OmegaConf.to_object(composed)
    if not isinstance(config, schema):
        raise TypeError(f"expected settings composed by {schema.__name__}, got {type(config).__name__}")
    config.data.classes = {str(name): word for name, word in config.data.classes.items()}  # {0: real} has a number
    return config


def check(config: TrainConfig) -> None:
    """Stop at the first value of a training run that cannot work.

    Raises:
        ConfigError: names the key, the value found and what is possible.
    """
    data = config.data
    if data.fold is not None and not 0 <= data.fold < data.folds:
        raise ConfigError(f"data.fold={data.fold}: folds are numbered 0 to {data.folds - 1} (data.folds={data.folds})")
    if data.val_fraction + data.test_fraction >= 1:
        raise ConfigError(
            f"data.val_fraction={data.val_fraction} and data.test_fraction={data.test_fraction}: "
            "together they must be below 1, or nothing is left to train on"
        )
    _check_each(config, _RULES)


def _check_each(config: TrainConfig | EvaluateConfig, rules: "dict[str, Rule]") -> None:
    for key, (holds, expected) in rules.items():
        value = OmegaConf.select(OmegaConf.structured(config), key)
        values = value if OmegaConf.is_list(value) else [value]
        if any(isinstance(v, float) and not math.isfinite(v) for v in values) or not holds(value):
            raise ConfigError(f"{key}={value}: expected {expected}")


def preprocessing_of(data: DataConfig) -> Preprocessing:
    """The part of the data settings that the network depends on."""
    return Preprocessing(data.image_size, data.resize, data.interpolation, tuple(data.mean), tuple(data.std))


def to_plain(config: Any) -> dict[str, Any]:
    """Nested dictionaries of plain values: what a checkpoint may hold and config.yaml shows."""
    return {
        f.name: to_plain(value) if is_dataclass(value := getattr(config, f.name)) else value for f in fields(config)
    }


Rule = tuple[Callable[[Any], bool], str]


def _one_of(choices: tuple[str, ...]) -> Rule:
    return (lambda value: value in choices), "one of " + ", ".join(choices)


def _at_least(low: float) -> Rule:
    return (lambda value: value is None or value >= low), f"{low} or more"


def _above(low: float) -> Rule:
    return (lambda value: value is None or value > low), f"a number above {low}"


_PROBABILITY: Rule = (lambda value: 0 <= value <= 1), "a number from 0 to 1"
_BELOW_ONE: Rule = (lambda value: 0 <= value < 1), "a number from 0 up to, but not including, 1"

_RULES: dict[str, Rule] = {
    "seed": ((lambda value: 0 <= value < 2**32), "a whole number from 0 to 4294967295"),
    "data.name": _one_of(SOURCES),
    "data.image_size": ((lambda value: 32 <= value <= 2048), "a whole number from 32 to 2048 (pixels)"),
    "data.resize": _one_of(RESIZES),
    "data.interpolation": _one_of(tuple(FILTERS)),
    "data.mean": ((lambda value: len(value) == 3), "three numbers, one a channel"),
    "data.std": ((lambda value: len(value) == 3 and min(value) > 0), "three numbers above 0, one a channel"),
    "data.batch_size": ((lambda value: value >= 2), "2 or more (batch norm has no variance of one image)"),
    "data.workers": _at_least(0),
    "data.cache_gb": _at_least(0),
    "data.val_fraction": ((lambda value: 0 < value < 1), "a number between 0 and 1"),
    "data.test_fraction": ((lambda value: 0 < value < 1), "a number between 0 and 1"),
    "data.folds": _at_least(2),
    "data.classes": (
        (lambda value: all(word in ("ai", "real", None) for word in value.values())),
        "FOLDER: ai, FOLDER: real, or FOLDER: null for a name without a meaning",
    ),
    "data.duplicate_distance": (
        (lambda value: value is None or 0 <= value <= 8),
        "a whole number from 0 to 8 (bits of 64), or null",
    ),
    "data.max_pixels": _at_least(1),
    "data.synthetic.count": _at_least(20),
    "data.synthetic.size": _at_least(32),
    "data.synthetic.seed": _at_least(0),
    "augment.flip": _PROBABILITY,
    "augment.rotation": ((lambda value: 0 <= value <= 180), "degrees from 0 to 180"),
    "augment.crop_scale": ((lambda value: 0 < value <= 1), "a share of the area above 0, up to 1"),
    "augment.brightness": _BELOW_ONE,
    "augment.contrast": _BELOW_ONE,
    "augment.saturation": _BELOW_ONE,
    "augment.jpeg": _PROBABILITY,
    "augment.blur": _PROBABILITY,
    "augment.erasing": _PROBABILITY,
    "model.library": _one_of(LIBRARIES),
    "model.width": _above(0),
    "model.depth": _above(0),
    "model.dropout": _BELOW_ONE,
    "model.drop_path": _BELOW_ONE,
    "optimizer.lr": _above(0),
    "optimizer.momentum": _BELOW_ONE,
    "optimizer.weight_decay": _at_least(0),
    "schedule.name": _one_of(SCHEDULES),
    "schedule.rise": _at_least(1),
    "schedule.warmup": ((lambda value: 0 < value < 1), "a share of all steps between 0 and 1"),
    "early_stopping.patience": _at_least(1),
    "early_stopping.min_delta": _at_least(0),
    "trainer.max_epochs": _at_least(1),
    "trainer.accelerator": _one_of(ACCELERATORS),
    "trainer.devices": _at_least(1),
    "trainer.strategy": _one_of(STRATEGIES),
    "trainer.precision": _one_of(PRECISIONS),
    "trainer.threads": _at_least(1),
    "trainer.gradient_clip": _above(0),
}

_BETWEEN: Rule = (lambda value: value is None or 0 < value < 1), "a number between 0 and 1"

_EVALUATION_RULES: dict[str, Rule] = {
    "data.name": _one_of((OWN, *SOURCES)),
    "data.batch_size": _at_least(1),
    "data.workers": _at_least(0),
    "data.classes": _RULES["data.classes"],
    "data.duplicate_distance": _RULES["data.duplicate_distance"],
    "data.max_pixels": _at_least(1),
    "sections": ((lambda value: value and set(value) <= set(SECTIONS)), "some of " + ", ".join(SECTIONS)),
    "sample": _at_least(2),
    "threshold": _one_of(THRESHOLDS),
    "fpr": _BETWEEN,
    "error_target": _BETWEEN,
    "confidence": _BETWEEN,
    "resamples": _at_least(20),
    "seed": _RULES["seed"],
}
