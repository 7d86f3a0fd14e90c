"""Every setting of a report: its type, default, meaning and the values it may have. Imports no Hydra."""

from dataclasses import dataclass, field

from rexnet_ai_real.config.rules import SEED, at_least, inside, one_of
from rexnet_ai_real.config.schema import MISSING, SOURCES, VIEWS_RULE, DataConfig

OWN = "own"
"""As data.name of an evaluation: the images that the run itself held out."""
WORST_TIER = "worst_tier"
THRESHOLDS = ("fpr", "balanced_accuracy", WORST_TIER)


@dataclass
class EvaluationDataConfig(DataConfig):
    """Which images are evaluated."""

    name: str = field(default=OWN, metadata=one_of(OWN, *SOURCES))
    """own, or the layout of another data set: kaggle, cifake, folder, collections or synthetic."""
    batch_size: int = field(default=32, metadata=at_least(1))
    """Images per prediction."""


@dataclass
class EvaluateConfig:
    """One report: `python -m rexnet_ai_real.evaluate`."""

    run: str = MISSING
    """What is evaluated: a run folder, a checkpoint, a multirun of folds or seeds, a saved or exported
    detector, or OWNER/NAME of one on the Hugging Face Hub (then give output_dir, too).
    Another program's detector, which needs data and output_dir: timm:NETWORK@WEIGHTS, a network of timm's with two
    outputs, real and AI (NETWORK:0@WEIGHTS: AI and real), WEIGHTS a file, a folder in timm's form or OWNER/NAME of
    one; or python:MODULE:FUNCTION, a function from the path of an image (text) to the probability that it is AI (0 to
    1), imported from the current folder or the environment. Its answers are kept by the source of its module: after
    other changes, as of weights that it loads, remove cache/ in the report's folder."""
    backend: str = "auto"
    """What runs an exported detector: onnx, torch, onnx-int8, openvino, timm; auto: the first of these that it has a
    file for. Runs, checkpoints and folds are evaluated on torch."""
    views: list[str] | None = field(default=None, metadata=VIEWS_RULE)
    """Views of an image whose logits are averaged, as data.views of a training, for a run, checkpoint or multirun that
    exists already: it is evaluated and calibrated with them, and the detector in the report's folder has them: predict
    with it or export it, report/detector. Null: its own views."""
    output_dir: str | None = None
    """Where the report is written. Null: report/ inside the folder of `run`."""
    data: DataConfig = field(default_factory=EvaluationDataConfig)
    """Which images. own: those that the run held out, data.root naming their folder where it has moved. Any other
    data set is evaluated whole, or its own test part where it has one. A detector brings its own way of resizing: only
    name, root, roots, classes, batch_size, workers, max_pixels and duplicate_distance of these settings are used."""
    others: list[str] = field(default_factory=list)
    """Folders of other collections, in any layout that data=folder, kaggle or cifake reads: does the result hold there
    too?"""
    against: str | None = None
    """A second run, multirun of folds or checkpoint that held out the same images, to compare with; with images of
    `data` any detector, as for `run`. Or timm:... or python:..., which judges the same images."""
    sections: list[str] | None = None
    """Which sections to make. Null: all. [metrics,calibration] takes seconds, since no image is predicted again."""
    sample: int | None = field(default=192, metadata=at_least(2))
    """How many held-out images, drawn with the same shares of classes, sources and scores, pass the 47 corruptions,
    the delivery tiers, the views, the swap test and the test of the heat maps. Null: all; the time grows with it (192:
    about ten minutes on two cores)."""
    threshold: str = field(default="fpr", metadata=one_of(*THRESHOLDS))
    """fpr: false alarms on at most `fpr` of real images; balanced_accuracy: best mean of both classes; worst_tier: as
    fpr, and on each delivery tier (as it is, from the web, from a messenger), for which `sample` of the real images
    that may choose are predicted again."""
    fpr: float = field(default=0.05, metadata=inside(0, 1))
    """False-positive rate for which the threshold is chosen."""
    error_target: float | None = field(default=0.10, metadata=inside(0, 1))
    """Promised largest error rate among answered images; the others are "unsure". Null: every image is answered."""
    confidence: float = field(default=0.90, metadata=inside(0, 1))
    """Probability with which that promise holds."""
    resamples: int = field(default=2000, metadata=at_least(20))
    """Bootstrap resamples behind every interval."""
    seed: int = field(default=0, metadata=SEED)
    """Of the bootstrap, the folds of the shortcut audit and the random maps."""
