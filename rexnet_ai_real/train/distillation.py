"""A trained detector teaches: its softened answers count beside the labels (Hinton et al. 2015)."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rexnet_ai_real.config import ConfigError, TrainConfig, preprocessing_of
from rexnet_ai_real.data.manifest import read_manifest
from rexnet_ai_real.detector.storage import StoredDetector, read_detector, torch_engine
from rexnet_ai_real.errors import UserError
from rexnet_ai_real.labels import AI, REAL
from rexnet_ai_real.runs.folder import RunFolder
from rexnet_ai_real.runs.folds import out_of_fold
from rexnet_ai_real.runs.identify import Checkpoint, Folds, Found, Run, Seeds, identify

log = logging.getLogger(__name__)

Teacher = Callable[[Tensor, Tensor], Tensor]
"""Normalised images (N, 3, H, W) and their rows in the manifest (N,) -> log-odds of "AI-generated" (N,)."""


@dataclass(frozen=True, eq=False)
class Distillation:
    """The loss with a teacher. It is no part of the network: neither checkpoints nor copies of the network hold it."""

    teacher: Teacher
    weight: float
    temperature: float

    def __deepcopy__(self, _memo: dict[int, object]) -> "Distillation":
        """Itself: averaging the weights copies the classifier, and the teacher does not change."""
        return self

    def __call__(self, loss: Tensor, logits: Tensor, images: Tensor, rows: Tensor) -> Tensor:
        """(1 - weight) loss + weight temperature² KL(teacher || student), the mean over the images.

        The square keeps the size of the gradient whatever the temperature is (Hinton et al. 2015, section 2).

        Args:
            loss: of the labels.
            logits: of the student, (N, 2).
            images: what the student saw, (N, 3, H, W).
            rows: of the manifest, (N,).
        """
        ai = torch.sigmoid(self.teacher(images, rows) / self.temperature)
        taught = torch.stack([1 - ai, ai], dim=1)  # REAL, AI
        student = F.log_softmax(logits / self.temperature, dim=1)
        divergence = F.kl_div(student, taught, reduction="batchmean") * self.temperature**2
        return (1 - self.weight) * loss + self.weight * divergence


@dataclass(frozen=True, eq=False)
class Networks:
    """Teaches what its networks, in the mean of their logits, say of the images as the student sees them."""

    networks: tuple[nn.Module, ...]
    """In evaluation mode, without gradients."""

    def __call__(self, images: Tensor, rows: Tensor) -> Tensor:
        """As `Teacher`; on the images' device, and in the precision of the training."""
        with torch.no_grad():
            for network in self.networks:
                if next(network.parameters()).device != images.device:  # at the first batch
                    network.to(images.device)
            batch = images.contiguous(memory_format=torch.channels_last)
            answers = torch.stack([network(batch).float() for network in self.networks])
        return (answers[..., AI] - answers[..., REAL]).mean(dim=0)


@dataclass(frozen=True, eq=False)
class OutOfFold:
    """Teaches what is known of each image beforehand."""

    answers: Tensor
    """Log-odds by row of the manifest; NaN of images that are not trained on."""

    def __call__(self, images: Tensor, rows: Tensor) -> Tensor:
        """As `Teacher`."""
        return self.answers.to(rows.device)[rows].to(images.device)


def check_teacher(config: TrainConfig) -> None:
    """Stop before any work where the teacher cannot teach.

    Raises:
        ConfigError: there is none at this path, it sees images in another way, or settings do not fit together.
    """
    if config.distill.teacher is None:
        return
    if not config.distill.out_of_fold:
        _read(config)
        return
    _folds(config)
    if config.data.pairs.share:
        raise ConfigError(
            f"distill.out_of_fold=true and data.pairs.share={config.data.pairs.share}: there are answers to images, "
            "and none to their reconstructions; leave one of them out, or let the teacher see them "
            "with distill.out_of_fold=false"
        )
    if config.augment.mixup or config.augment.cutmix:
        raise ConfigError(
            "distill.out_of_fold=true: the answers are those to whole images, and augment.mixup and augment.cutmix mix "
            "two; leave them out, or let the teacher see the mixed images with distill.out_of_fold=false"
        )


def new_distillation(config: TrainConfig, manifest: pd.DataFrame) -> Distillation | None:
    """The teacher of a run; None where labels alone teach.

    Args:
        config: of the run.
        manifest: of the run, with its split.

    Raises:
        ConfigError: as `check_teacher`, or out-of-fold answers that are missing.
    """
    distill = config.distill
    if distill.teacher is None:
        return None
    teacher: Teacher
    if distill.out_of_fold:
        teacher = OutOfFold(_answers(_folds(config), manifest, distill.teacher))
    else:
        teacher = Networks(torch_engine(_read(config), distill.teacher, "cpu", "32-true").networks)
    _warn_of_images_seen(config, identify(Path(distill.teacher)), manifest)
    return Distillation(teacher, distill.weight, distill.temperature)


def _read(config: TrainConfig) -> StoredDetector:
    try:
        stored = read_detector(Path(str(config.distill.teacher)))
    except UserError as error:
        raise ConfigError(f"distill.teacher={config.distill.teacher}: {error}") from error
    taught, own = stored.description.preprocessing.to_plain(), preprocessing_of(config.data).to_plain()
    for plain in (own, taught):
        plain.pop("views", None)  # the teacher sees what the student is trained on: the frame alone
    differing = [f"data.{key}={own[key]} here, {taught[key]} there" for key in own if own[key] != taught[key]]
    if differing:
        raise ConfigError(
            f"distill.teacher={config.distill.teacher}: it would see the images otherwise than in its own training "
            f"({'; '.join(differing)}). Give its settings, or a multirun of folds with distill.out_of_fold=true"
        )
    return stored


def _folds(config: TrainConfig) -> Folds:
    path = Path(str(config.distill.teacher))
    try:
        found = identify(path)
    except UserError as error:
        raise ConfigError(f"distill.teacher={path}: {error}") from error
    if not isinstance(found, Folds):
        raise ConfigError(
            f"distill.out_of_fold=true: {path} is no multirun of folds; give the folder that +sweep=folds made"
        )
    return found


def _answers(found: Folds, manifest: pd.DataFrame, path: str) -> Tensor:
    """By row of the manifest. Images are the same by content: the roots of the two runs may differ."""
    try:
        predictions = out_of_fold(found.finished)
    except UserError as error:
        raise ConfigError(f"distill.teacher={path}: {error}") from error
    hashes = read_manifest(found.finished[0].run.manifest_file).set_index("path")["sha256"]
    known = dict(zip(hashes.loc[predictions["path"]], predictions["logit"], strict=True))
    train = manifest["split"] == "train"
    missing = manifest.loc[train & ~manifest["sha256"].isin(known.keys()), "path"]
    if len(missing):
        raise ConfigError(
            f"distill.out_of_fold=true: {path} holds no answer to {len(missing):,} of {int(train.sum()):,} training "
            f"images, such as {missing.iloc[0]}; finish all its folds, over the same images"
        )
    answers = torch.full((int(manifest.index.max()) + 1,), torch.nan)
    answers[manifest.index[train].tolist()] = torch.tensor([known[sha] for sha in manifest.loc[train, "sha256"]])
    return answers


def _warn_of_images_seen(config: TrainConfig, found: Found, manifest: pd.DataFrame) -> None:
    """Log where a teacher has learned from the images that this run is tested on: their labels come through it."""
    teacher, manifests = config.distill.teacher, [run.manifest_file for run in _runs(found)]
    known = [read_manifest(file) for file in manifests if file.is_file()]
    if not known or len(known) < len(manifests):
        log.warning(
            "distill.teacher=%s: it cannot be told whether it was trained on the test images of this run, so that its "
            "test may say too much: the manifest of its training is not there. Its run folder, given instead, holds it",
            teacher,
        )
    test = set(manifest.loc[manifest["split"] == "test", "sha256"])
    seen = {sha for rows in known for sha in rows.loc[rows["split"].isin(["train", "val"]), "sha256"]} & test
    if not seen:
        return
    advice = "let a run teach it that holds out the same images; of folds: distill.teacher='FOLDER/${data.fold}'"
    if config.distill.out_of_fold:  # each network has learned from the images of the other folds
        advice = f"evaluate it on images that no fold holds, or add distill.out_of_fold=false and {advice}"
    log.warning(
        "distill.teacher=%s was trained on %d of the %d test images of this run, so that its test says too much. "
        "To measure a student, %s",
        *(teacher, len(seen), len(test), advice),
    )


def _runs(found: Found) -> list[RunFolder]:
    if isinstance(found, Folds | Seeds):
        return [job.run for job in found.finished]
    return [found.run] if isinstance(found, Run | Checkpoint) and found.run else []
