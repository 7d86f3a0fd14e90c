"""Every setting of a training run: its type, default, meaning and the values it may have. Imports no Hydra.

YAML files under conf/ only say what differs from these defaults.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

from rexnet_ai_real.config.rules import (
    BATCHES,
    BELOW_ONE,
    PROBABILITY,
    SEED,
    above,
    at_least,
    between,
    inside,
    one_of,
    rule,
)
from rexnet_ai_real.images.layouts import LAYOUTS
from rexnet_ai_real.images.limits import MAX_PIXELS
from rexnet_ai_real.images.preprocessing import FILTERS, RESIZES, VIEWS, Preprocessing, are_views

MISSING: Any = "???"
"""A value that must be given; OmegaConf reads it so."""
SOURCES = tuple(LAYOUTS)
LIBRARIES = ("rexnet", "timm")
ACCELERATORS = ("auto", "cpu", "gpu", "mps")
STRATEGIES = ("auto", "ddp")
SPLIT_BY = ("group", "collection", "source")
ON_RESUME = ("keep", "restart", "stretch")
CLASS_WEIGHTS = "null, balanced, or two numbers above 0: [real, ai]"
PROFILERS = ("simple", "advanced", "pytorch")
AVERAGES = ("ema", "swa")
PRECISIONS = ("auto", "32-true", "16-mixed", "bf16-mixed")
VIEWS_RULE = rule(are_views, f"a list of {VIEWS[0]}, and after it any of {', '.join(VIEWS[1:])}")


def are_class_weights(value: Any) -> bool:
    """Whether `loss.class_weights` can be this."""
    numbers = isinstance(value, list) and all(isinstance(w, int | float) and w > 0 for w in value)
    return value == "balanced" or (numbers and len(value) == 2)


@dataclass
class SyntheticConfig:
    """The generated stand-in data set (`data=synthetic`)."""

    count: int = field(default=600, metadata=at_least(20))
    """Images, half of them of each class."""
    size: int = field(default=96, metadata=at_least(32))
    """Side of the square images, in pixels."""
    seed: int = field(default=0, metadata=at_least(0))
    """Another seed gives other images."""


@dataclass
class PairsConfig:
    """Aligned pairs: a real training image and its reconstruction by a latent autoencoder, labelled AI.

    They come in one batch and under the same random changes, and so differ in nothing but the decoder's trace.
    """

    share: float = field(default=0.0, metadata=PROBABILITY)
    """Share of the real images that bring their reconstruction into the batch, which grows by it. 0: no pairs. At 1 and
    with as many real as AI images, two of three images of a batch are AI: see loss.class_weights."""
    weights: str | None = None
    """FLUX.2's tiny autoencoder: taef2.safetensors, or a folder with it or with taef2_encoder.pth and
    taef2_decoder.pth. Null: madebyollin/taef2 on the Hugging Face Hub."""
    blend: float = field(default=0.2, metadata=PROBABILITY)
    """Probability that a reconstruction is mixed with its photograph, of which it keeps 20 to 80 %."""
    longest: int = field(default=512, metadata=between(64, 2048, "pixels"))
    """Long side beyond which both members of a pair are made smaller first. Reconstructions are made once, before the
    first epoch, and kept in data.cache: 512 x 512 pixels take some 7 seconds of one CPU core, and 0.3 MB."""


@dataclass
class DataConfig:
    """Which images, which of them are held out, and how images become batches."""

    name: str = field(default=MISSING, metadata=one_of(*SOURCES))
    """Layout of the data set: kaggle, cifake, folder, collections or synthetic."""
    root: str | None = None
    """Folder with the images; for `folder` also a table of file names and labels (.csv, .tsv, .jsonl, .parquet).
    Null: the default folder of the data set, downloaded or generated there when absent."""
    classes: dict[Any, Any] = field(
        default_factory=dict,
        metadata=rule(
            lambda value: all(word in ("ai", "real", None) for word in value.values()),
            "FOLDER: ai, FOLDER: real, or FOLDER: null for a name without a meaning",
        ),
    )
    """Further folder names, or labels of a table, and the class that each stands for, as in {midjourney: ai, 0: real}.
    Null takes a known name's meaning away: {human: null}. * stands for any characters, ? for any one."""
    image_size: int = field(default=224, metadata=between(32, 2048, "pixels"))
    """Side of the square that the network sees, in pixels."""
    resize: str = field(default="squash", metadata=one_of(*RESIZES))
    """squash: both sides to image_size, as the study does; crop: short side to image_size, then the centre; native: the
    centre pixel by pixel, and only images whose short side is below image_size are enlarged to it."""
    interpolation: str = field(default="bilinear", metadata=one_of(*FILTERS))
    """bilinear or bicubic; both with antialiasing."""
    mean: list[float] = field(
        default_factory=lambda: [0.485, 0.456, 0.406],
        metadata=rule(lambda value: len(value) == 3, "three numbers, one a channel"),
    )
    """Subtracted from each channel after scaling to 0..1; ImageNet's, which the pretrained weights expect."""
    std: list[float] = field(
        default_factory=lambda: [0.229, 0.224, 0.225],
        metadata=rule(lambda value: len(value) == 3 and min(value) > 0, "three numbers above 0, one a channel"),
    )
    """Divides each channel after the mean is subtracted."""
    batch_size: int = field(
        default=32, metadata=rule(lambda value: value >= 2, "2 or more (batch norm has no variance of one image)")
    )
    """Images per training step. At least 2: batch norm has no variance of one."""
    cache_gb: float = field(default=8.0, metadata=at_least(0))
    """Images are decoded once and kept as pixels in the user's cache folder, which may take this many gigabytes (10^9
    bytes; an image of 224 px takes 0.00015). Images that do not fit in are decoded in every epoch; 0: all of them."""
    cache: str | None = None
    """Folder of that cache. Null: the user's own, such as ~/.cache/rexnet-ai-real. Nothing is kept where it cannot be
    written."""
    workers: int = field(default=2, metadata=at_least(0))
    """Processes that decode images while the network trains, where the cache does not hold all of them; 0: none, the
    training process decodes."""
    val_fraction: float = field(default=0.15, metadata=inside(0, 1))
    """Share of the images that choose the checkpoint and stop the training."""
    test_fraction: float = field(default=0.2, metadata=inside(0, 1))
    """Share of the images used once, at the end. Ignored where the data set brings its own test part."""
    fold: int | None = None
    """Which fold is the test part, 0 to folds - 1. Null: one split by the fractions above."""
    folds: int = field(default=5, metadata=at_least(2))
    """How many parts cross-validation divides the images into."""
    duplicate_distance: int | None = field(default=4, metadata=between(0, 8, "bits of 64; null: only identical files"))
    """Images whose 64-bit difference hashes differ in at most this many bits, and whose thumbnails are alike, stay on
    the same side of every split. Null: only identical files do."""
    max_pixels: int = field(default=MAX_PIXELS, metadata=at_least(1))
    """An image with more pixels is listed as a problem and left out."""
    synthetic: SyntheticConfig = field(default_factory=SyntheticConfig)
    roots: list[str] = field(default_factory=list)
    """For `collections`: folders in any layout that `folder` reads, tables, and patterns for them ("wild/*"). The path
    of each below their common parent is the name of the collection."""
    split_by: str = field(default="group", metadata=one_of(*SPLIT_BY))
    """What is held out whole. group: near-duplicates, as far as possible the same share of every collection and source;
    collection: whole collections; source: whole generators (the sources of AI images, whatever their spelling), while
    real images are held out by group. Other than by group, validation images come from what is not held out, and the
    data set's own test part does not count: its images are trained on too."""
    balance: bool = False
    """Batches with as many real as AI images, and every collection in them: within a class in proportion to the square
    root of its size, so that a large one does not drown the others, nor a small one return all the time. Not with
    loss.class_weights=balanced."""
    pairs: PairsConfig = field(default_factory=PairsConfig)
    views: list[str] = field(default_factory=lambda: [VIEWS[0]], metadata=VIEWS_RULE)
    """Views of each image whose logits are averaged once the network is trained, in its result and in every later use:
    frame (as resize says), native (the centre pixel by pixel), flip (the frame mirrored). Training and the choice of
    the checkpoint see the frame alone. Judging takes as many times as long as there are views."""
    split_seed: int | None = field(default=None, metadata=SEED)
    """Seed of the split alone, so that runs with other seeds hold out the same images. Null: `seed`."""


@dataclass
class AugmentConfig:
    """Random changes to training images. All zero: resize and normalise only, as in the study."""

    flip: float = field(default=0.0, metadata=PROBABILITY)
    """Probability of a left-right mirror image."""
    rotation: float = field(default=0.0, metadata=between(0, 180, "degrees"))
    """Largest rotation to either side, in degrees: the angles that the study leaves for later."""
    crop_scale: float = field(
        default=1.0, metadata=rule(lambda value: 0 < value <= 1, "a share of the area above 0, up to 1")
    )
    """Smallest share of the area that a random crop keeps; 1 keeps the whole image."""
    brightness: float = field(default=0.0, metadata=BELOW_ONE)
    """Largest relative change: 0.2 draws a factor from 0.8 to 1.2. The lighting that the study leaves for later."""
    contrast: float = field(default=0.0, metadata=BELOW_ONE)
    """Largest relative change of contrast."""
    saturation: float = field(default=0.0, metadata=BELOW_ONE)
    """Largest relative change of saturation."""
    jpeg: float = field(default=0.0, metadata=PROBABILITY)
    """Probability of a JPEG round trip at a random quality from 50 to 95, so that compression traces say less."""
    blur: float = field(default=0.0, metadata=PROBABILITY)
    """Probability of a Gaussian blur with sigma 0.1 to 2 pixels."""
    erasing: float = field(default=0.0, metadata=PROBABILITY)
    """Probability that a random rectangle is blanked (Zhong et al. 2020)."""
    mixup: float = field(default=0.0, metadata=at_least(0))
    """Each training image is blended with another of its batch, and so are the labels; the shares are drawn from
    Beta(mixup, mixup), such as 0.2 (Zhang et al. 2018). 0: never. Training metrics go by the larger share."""
    cutmix: float = field(default=0.0, metadata=at_least(0))
    """The same with a rectangle of the other image in place of a blend, such as 1 (Yun et al. 2019). 0: never. With
    mixup as well, each batch has one of the two."""
    delivery: float = field(default=0.0, metadata=PROBABILITY)
    """Probability that an image goes through the web first: resized by 0.3 to 1.3 (drawn on a logarithmic scale) or
    made a thumbnail, then stored once or twice as JPEG or WebP at quality 40 to 95. Images are then decoded in every
    epoch, by data.workers processes."""
    native: float = field(default=0.0, metadata=PROBABILITY)
    """Probability that the network is shown a random crop of data.image_size, pixel by pixel, in place of the whole
    frame; smaller images are enlarged to it by their short side. crop_scale is for whole frames only. Images are then
    decoded in every epoch."""


@dataclass
class ModelConfig:
    """The network."""

    name: str = MISSING
    """rexnet_100, _130, _150, _200, _300, rexnetr_*, rexnet_lite_*, or any timm backbone with library=timm."""
    width: float | None = field(default=None, metadata=above(0))
    """Channel multiplier of ReXNet; null: that of the name (rexnet_150: 1.5)."""
    depth: float = field(default=1.0, metadata=above(0))
    """Multiplier of the number of blocks of ReXNet."""
    library: str = field(default="rexnet", metadata=one_of(*LIBRARIES))
    """rexnet: this project's own ReXNet; timm: any backbone of timm, for comparison."""
    weights: str | None = None
    """Where training starts: imagenet (downloaded through timm), a path to .safetensors or .pth, or null for random
    weights. conf/train.yaml sets imagenet, and null for the generated images of data=synthetic."""
    dropout: float = field(default=0.2, metadata=BELOW_ONE)
    """Probability with which each pooled feature is dropped before the last layer."""
    drop_path: float = field(default=0.0, metadata=BELOW_ONE)
    """Stochastic depth: probability with which the last residual block is skipped; earlier ones less, in proportion."""
    compile: bool = False
    """torch.compile the network: starts slowly (about a minute), then takes faster steps."""
    freeze: int = field(default=0, metadata=at_least(0))
    """The stem and this many first blocks keep their initial weights and run as at inference, batch norm included: they
    cost no backward pass (3 of ReXNet's 16 at 160 px: 1.7 times the images/s on two cores). 0: all are trained.
    ReXNet: 0 to 16; other networks: layers in timm's order."""
    freeze_epochs: int = field(default=0, metadata=at_least(0))
    """For so many first epochs only the last layer is trained; then all that `freeze` does not hold."""
    freeze_norm: bool = False
    """Batch norm keeps the initial statistics; its scale and shift are trained. For small batches."""


@dataclass
class OptimizerConfig:
    """How gradients change the weights (`optimizer=sgd`, the study's, or `optimizer=adamw`)."""

    name: str = MISSING
    """A class of torch.optim, such as SGD."""
    lr: float = field(default=3e-4, metadata=above(0))
    """Learning rate at which the schedule starts; see ScheduleConfig for how it moves."""
    weight_decay: float = field(default=1e-4, metadata=at_least(0))
    """Not applied to biases and batch-norm parameters."""
    options: dict[str, Any] = field(default_factory=dict)
    """Further arguments of that class, such as {momentum: 0.9}."""
    layer_decay: float = field(default=1.0, metadata=rule(lambda value: 0 < value <= 1, "a number above 0, up to 1"))
    """Each layer learns at this many times the rate of the next, so that the first ones, which know edges and textures,
    change least (Clark et al. 2020; such as 0.8). 1: all alike. The last layer has the full rate."""


@dataclass
class ScheduleConfig:
    """How the learning rate moves from step to step."""

    name: str = "one_cycle"
    """An entry of SCHEDULES in rexnet_ai_real/train/schedule.py, which explains each."""
    epochs: int | None = field(default=None, metadata=at_least(1))
    """Epochs that it spans. Null: trainer.max_epochs. More: the run will be resumed, and grows to this length."""
    on_resume: str = field(default="keep", metadata=one_of(*ON_RESUME))
    """When a run is resumed. keep: the schedule as first planned; restart: it begins again and ends with the new
    trainer.max_epochs; stretch: from here on that of a run of the new trainer.max_epochs."""
    div_factor: float = field(default=25.0, metadata=at_least(1))
    """one_cycle: the peak is this many times lr (Smith & Topin 2018)."""
    pct_start: float = field(default=0.3, metadata=inside(0, 1))
    """one_cycle: share of all steps spent on the way up to the peak."""
    patience: int = field(default=2, metadata=at_least(0))
    """plateau: validations without a lower loss after which the rate falls at the next; at most early_stopping.patience
    - 2, or the run ends before the lower rate is used."""
    reduce: float = field(default=0.3, metadata=inside(0, 1))
    """plateau: the factor by which it falls."""


@dataclass
class LossConfig:
    """What training minimises: cross-entropy."""

    class_weights: Any = field(default=None, metadata=rule(are_class_weights, CLASS_WEIGHTS))
    """What an image of each class counts, where one class is rare. null: all images alike; balanced: both classes
    alike, the reconstructions of data.pairs included; two numbers: [weight of a real image, weight of an AI image].
    Validation is weighted in the same way."""
    label_smoothing: float = field(default=0.0, metadata=BELOW_ONE)
    """Share of each label that is spread evenly over both classes while training, so that no answer is ever certain
    enough (Szegedy et al. 2016; such as 0.1). Validation is measured without it, so that runs compare."""


@dataclass
class AveragingConfig:
    """The mean of the weights of many steps, which is validated, kept and tested in place of the last ones."""

    name: str | None = field(default=None, metadata=one_of(*AVERAGES))
    """ema: exponential moving average (Polyak & Juditsky 1992); swa: plain mean of the last part of the run (Izmailov
    et al. 2018). Null: none."""
    decay: float = field(default=0.999, metadata=inside(0, 1))
    """ema: share of the mean that a step keeps; less in the first steps, (1 + n) / (10 + n) after n of them, or short
    runs would never leave their initial weights."""
    start: float = field(default=0.75, metadata=BELOW_ONE)
    """swa: share of trainer.max_epochs after which the mean begins; until then it is the last step alone."""


@dataclass
class DistillConfig:
    """Learning from a trained detector beside the labels, such as one network from those of all folds.

    After Hinton et al. 2015. The loss is (1 - weight) cross-entropy + weight temperature² KL(teacher || student).
    """

    teacher: str | None = None
    """The detector: a run folder, a multirun of folds, a saved detector. It sees the same changed images as the network
    (Beyer et al. 2022), so its data settings (size, resize, mean ...) must be the same. Null: labels alone."""
    weight: float = field(default=0.5, metadata=PROBABILITY)
    """Share of the teacher in the loss; the rest is that of the labels."""
    temperature: float = field(default=2.0, metadata=above(0))
    """Both answers are softened by it before they are compared: higher tells more of how sure the teacher is."""
    out_of_fold: bool = False
    """The teacher is a multirun of all folds, and each image is taught by the network that held it out, by its answer
    to the unchanged image, read from predictions.csv. Without it, networks teach images that they know by heart."""


@dataclass
class EarlyStoppingConfig:
    """When to end a run that no longer improves."""

    patience: int = field(default=5, metadata=at_least(1))
    """Validation checks (one an epoch) without a lower validation loss before the run stops."""
    min_delta: float = field(default=0.0, metadata=at_least(0))
    """A loss counts as lower only when it is lower by more than this."""


@dataclass
class TrainerConfig:
    """Passed to Lightning's Trainer."""

    max_epochs: int = field(default=12, metadata=at_least(1))
    """Enough to adapt pretrained weights. From random weights, give more (30)."""
    accelerator: str = field(default="auto", metadata=one_of(*ACCELERATORS))
    """auto, cpu, gpu or mps."""
    devices: int = field(default=1, metadata=at_least(1))
    """How many of these processors."""
    num_nodes: int = field(default=1, metadata=at_least(1))
    """How many machines train together; more than one needs output_dir=PATH, a folder that all of them reach."""
    strategy: str = field(default="auto", metadata=one_of(*STRATEGIES))
    """auto, or ddp for several devices."""
    precision: str = field(default="auto", metadata=one_of(*PRECISIONS))
    """32-true, 16-mixed, bf16-mixed; or auto: bf16-mixed where the processor computes in bfloat16, else 32-true."""
    threads: int | None = field(default=None, metadata=at_least(1))
    """CPU threads of the network; null: as many as PyTorch chooses. Another number may change the last digits."""
    deterministic: bool = True
    """Only algorithms that give the same numbers every time."""
    gradient_clip: float | None = field(default=None, metadata=above(0))
    """Largest norm of the gradient; null: no limit."""
    accumulate_grad_batches: int = field(default=1, metadata=at_least(1))
    """Batches whose gradients are added up before the weights change: 4 trains as with batches four times as large."""
    limit_train_batches: int | float | None = field(default=None, metadata=BATCHES)
    """How much of the training images an epoch takes: a number of batches (10) or a share (0.1). Null: all."""
    limit_val_batches: int | float | None = field(default=None, metadata=BATCHES)
    """The same of the validation images, while training and for the result. They are then taken in a fixed random
    order, so that both classes are among them."""
    limit_test_batches: int | float | None = field(default=None, metadata=BATCHES)
    """The same of the test images."""
    overfit_batches: int | float | None = field(default=None, metadata=BATCHES)
    """Train on these few batches alone, the same in every epoch, and do not stop early: a network and a learning rate
    that work drive the training loss to 0. Limits the validation batches as well. Null: ordinary training."""
    val_check_interval: int | float | None = field(default=None, metadata=BATCHES)
    """Validate within the epoch as well: after each such share of it (0.25), or after so many batches (100). best.ckpt
    may then be of the middle of an epoch; patience counts these validations. Null: at the end of each epoch."""
    profiler: str | None = field(default=None, metadata=one_of(*PROFILERS))
    """Where the time goes: simple (seconds of each hook), advanced (of each function) or pytorch (of each operator),
    written to profile files in the run folder. Null: not measured."""
    fast_dev_run: bool = False
    """One training and one validation batch, nothing saved: a quick check that everything runs."""


@dataclass
class TrainConfig:
    """One training run: `python -m rexnet_ai_real.train`."""

    name: str = "train"
    """Name of the experiment; the folder under outputs/."""
    output_dir: str = "${run_folder:${resume},outputs/${name}/${now:%Y-%m-%d_%H-%M-%S}}"
    """The run folder; under a multirun, the folder that holds one run folder per job. Where the usual name is taken,
    -2, -3 ... is added; a folder that is named here must not hold a run yet. A resumed run keeps its own."""
    seed: int = field(default=0, metadata=SEED)
    """Seed of the initial weights, the batches, the augmentation, and of the split where data.split_seed is null.
    A multirun over seeds alone, such as `seed=0,1,2 data.split_seed=0`, is a detector: logits are averaged."""
    figures: bool = True
    """Draw the figures of the run, and images for TensorBoard; false saves seconds of a short run."""
    resume: str | None = None
    """A run folder, to continue from the end of its last complete epoch, or one of its checkpoints (best.ckpt)."""
    data: DataConfig = field(default_factory=DataConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    early_stopping: EarlyStoppingConfig = field(default_factory=EarlyStoppingConfig)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    averaging: AveragingConfig = field(default_factory=AveragingConfig)
    distill: DistillConfig = field(default_factory=DistillConfig)


def preprocessing_of(data: DataConfig) -> Preprocessing:
    """The part of the data settings that the network depends on."""
    return Preprocessing(
        data.image_size, data.resize, data.interpolation, tuple(data.mean), tuple(data.std), tuple(data.views)
    )


def to_plain(config: Any) -> dict[str, Any]:
    """Nested dictionaries of plain values: for a checkpoint and for config.yaml."""
    return {
        f.name: to_plain(value) if is_dataclass(value := getattr(config, f.name)) else value for f in fields(config)
    }


def all_settings(plain: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a run by their full keys. One that is younger than the run had the effect of its default."""
    return _flat(to_plain(TrainConfig())) | _flat(plain)


def differing_keys(one: Mapping[str, Any], other: Mapping[str, Any], *, may_differ: tuple[str, ...]) -> list[str]:
    """Keys that differ between `all_settings` of two runs, but for those that begin with one of `may_differ`."""
    keys = sorted({*one, *other})
    return [key for key in keys if one.get(key) != other.get(key) and not key.startswith(may_differ)]


def _flat(plain: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in plain.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return flat
