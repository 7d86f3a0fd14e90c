"""What is evaluated: a run, checkpoint, cross-validation or saved detector, with the images that it has not seen."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from rexnet_ai_real.config import OWN, DataConfig
from rexnet_ai_real.data.manifest import build_manifest, read_manifest, usable
from rexnet_ai_real.data.sources import listing, locate
from rexnet_ai_real.detector.detector import Detector
from rexnet_ai_real.detector.engines.engine import require_exported
from rexnet_ai_real.errors import UserError
from rexnet_ai_real.evaluate.leaks import find_leaks
from rexnet_ai_real.evaluate.part import ONE, Part
from rexnet_ai_real.evaluate.prediction import predicted_logits
from rexnet_ai_real.evaluate.report.formatting import visible
from rexnet_ai_real.evaluate.rivals.rival import is_rival, open_rival
from rexnet_ai_real.files import cache_folder
from rexnet_ai_real.labels import AI, REAL
from rexnet_ai_real.metrics.scores import FloatArray
from rexnet_ai_real.runs.folder import NotARun, RunFolder, data_of
from rexnet_ai_real.runs.folds import out_of_fold
from rexnet_ai_real.runs.identify import Checkpoint, Folds, Run, Saved, Seeds, Sweep, identify

ROWS: Final = ("path", "label", "source", "group", "sha256", "fold", "logit", "collection")
"""Columns of a part. `collection` is empty where a manifest names none."""

_Views = tuple[str, ...] | None


class NothingToEvaluate(UserError, ValueError):
    """There are no images to evaluate the detector on."""


@dataclass(frozen=True)
class Subject:
    """A trained detector, its held-out images where they are known, and where its networks are."""

    path: Path
    title: str
    """For sentences: "a training run"."""
    networks: Mapping[int, Path]
    """Fold -> what `Detector.load` takes; `ONE` -> the detector that users get (of folds: their ensemble)."""
    held_out: Part | None = None
    """Without calibrations. None: a saved detector, which knows no images."""
    fitting: pd.DataFrame | None = None
    """label, logit, group of the validation images; None where out-of-fold logits or nothing stands for them."""
    manifest: pd.DataFrame | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    backend: str = "auto"
    """What runs the detector, as `Detector.load` takes it."""
    views: tuple[str, ...] | None = None
    """What is judged of an image, instead of what the networks were trained to be judged by."""
    rival: str | None = None
    """timm:... or python:..., where the detector is another program's: nothing is known of its training."""
    _loaded: dict[int, Detector] = field(default_factory=dict, repr=False)

    @property
    def is_cross_validation(self) -> bool:
        """Whether each image was predicted by the network of the fold that held it out."""
        return self.held_out is not None and self.held_out.folds != [ONE]

    @property
    def folder(self) -> Path:
        """Where the report is written by default."""
        if self.path.is_dir():
            return self.path
        return self.path.parent.parent if self.path.parent.name == "checkpoints" else self.path.parent

    def detector(self, fold: int = ONE) -> Detector:
        """The detector of a fold, or the one that users get; loaded once."""
        if fold not in self._loaded:
            detector = Detector.load(self.networks[fold], backend=self.backend)
            self._loaded[fold] = detector.with_views(self.views) if self.views else detector
        return self._loaded[fold]

    @property
    def learned(self) -> pd.DataFrame | None:
        """Rows of the images used in training: all of them in a cross-validation; None where they are unknown."""
        if self.manifest is None:
            return None
        splits = ("train", "val", "test") if self.is_cross_validation else ("train", "val")
        return self.manifest[self.manifest["split"].isin(splits)]

    @cached_property
    def name(self) -> str:
        """The name of the experiment, or else of the folder."""
        return self.rival or str(self.config.get("name") or self.path.resolve().name)


def open_subject(
    path: Path,
    data: DataConfig,
    cache: Path | None = None,
    backend: str = "auto",
    views: Sequence[str] | None = None,
) -> Subject:
    """Find out what lies at `path`, and read or predict the logits of the images that it held out.

    Args:
        path: run folder, .ckpt, folder of a multirun of folds or seeds, or of a saved detector; or the name of a rival.
        data: where name is `own`, `root` replaces the folder that the run was trained on; otherwise it is not used.
        cache: where predictions are kept that have to be made.
        backend: runs an exported detector; auto or one of `BACKENDS`.
        views: what is judged of an image; None: as the detector does.

    Raises:
        NotADetector: none of these. FoldsDiffer: folds of different images.
        UserError: views for a saved detector or a rival.
    """
    found = None if is_rival(str(path)) else identify(path)
    if views and (found is None or isinstance(found, Saved)):
        raise UserError(
            f"views={list(views)}: {path} is no run, checkpoint or multirun. A saved detector keeps the views that it "
            "was calibrated with: evaluate the run that it came from with other views, and export report/detector there"
        )
    if found is None:
        return rival_subject(str(path))
    if isinstance(found, Saved):
        return Subject(found.folder, "a saved detector", {ONE: found.folder}, backend=backend)
    require_exported(path, backend)
    moved = data.root if data.name == OWN else None
    seen = tuple(views) if views else None
    match found:
        case Checkpoint():
            return _checkpoint(found, data, moved, cache, seen)
        case Run():
            return _run(found, data, moved, cache, seen)
        case Folds():
            return _folds(found, data, moved, cache, seen)
        case Seeds():
            return _seeds(found, data, moved, cache, seen)
        case Sweep():
            raise found.refusal()


def rival_subject(name: str) -> Subject:
    """A detector of another program, which knows no images: timm:NETWORK@WEIGHTS or python:MODULE:FUNCTION.

    Raises:
        UserError: there is none, or it cannot be used.
    """
    path = Path(name)
    return Subject(path, "a rival", {ONE: path}, rival=name, _loaded={ONE: open_rival(name)})


def _run(found: Run, data: DataConfig, moved: str | None, cache: Path | None, views: _Views) -> Subject:
    found.require_checkpoint()
    run = found.run
    subject = replace(_of_run(run, run.path, "a training run", run.path, moved), views=views)
    if run.predictions_file.is_file() and not views:
        return _with_predictions(subject, read_predictions(run))
    return _predicted(subject, data, cache)


def _checkpoint(found: Checkpoint, data: DataConfig, moved: str | None, cache: Path | None, views: _Views) -> Subject:
    path, run = found.file, found.run
    if run is None:
        return Subject(path, "a checkpoint", {ONE: path}, views=views)
    if path.resolve() == run.best_checkpoint.resolve() and run.predictions_file.is_file():
        return replace(_run(Run(run), data, moved, cache, views), path=path, title="the best checkpoint of a run")
    return _predicted(replace(_of_run(run, path, "a checkpoint of a run", path, moved), views=views), data, cache)


def _of_run(run: RunFolder, path: Path, title: str, network: Path, moved: str | None) -> Subject:
    """The subject of a run with validation and test rows, not yet with logits."""
    config, manifest = _config_of(run), _manifest_of(run)
    rows = manifest[manifest["split"].isin(["val", "test"])].assign(fold=ONE, logit=float("nan"))
    part = Part("test", "test images", rows.reset_index(drop=True), data_of(config, moved), {})
    return Subject(path, title, {ONE: network}, part, manifest=manifest, config=config)


def _config_of(run: RunFolder) -> dict[str, Any]:
    """The settings of a run.

    Raises:
        NotARun: as `read_config`, or they are not those of a training run.
    """
    config = run.read_config()
    try:
        data_of(config, None)
        known = "seed" in config
    except (AttributeError, KeyError, TypeError):
        known = False
    if not known:
        raise NotARun(
            f"{run.config_file} does not hold the settings of a training run; restore the file, or train again"
        )
    return config


def _manifest_of(run: RunFolder) -> pd.DataFrame:
    """The manifest of a run, which must list the images that were predicted, in the same parts, under the same labels.

    Raises:
        NotARun: it is missing, damaged or not the one that the predictions were made with.
    """
    file, again = run.manifest_file, "Put the file back as training wrote it, or train again"
    try:
        manifest = read_manifest(file)
    except (OSError, ValueError, TypeError) as error:
        raise NotARun(f"{file} is missing or damaged ({visible(str(error))[:200]}). {again}") from error
    held_out = manifest[manifest["split"].isin(["val", "test"])]
    strange = sorted(set(held_out["label"]) - {REAL, AI})
    if strange:
        raise NotARun(f"{file} was changed: it holds the label {strange[0]} where 0 (real) or 1 (AI) stood. {again}")
    if run.predictions_file.is_file():
        predicted = read_predictions(run)
        facts = ["path", "label", "split"]
        pairs = held_out[facts].merge(predicted[facts], on="path", how="outer", suffixes=("", "_predicted"))
        differing = (pairs["label"] != pairs["label_predicted"]) | (pairs["split"] != pairs["split_predicted"])
        if differing.any():
            raise NotARun(
                f"{file} and {run.predictions_file.name} do not belong together: {differing.sum()} images have another "
                f"label or part, or are in one of them only, {pairs['path'][differing].iloc[0]} among them. One of the "
                f"files was changed. {again}"
            )
    if held_out.empty:
        raise NotARun(f"{file} lists no validation or test image. {again}")
    return manifest


def read_predictions(run: RunFolder) -> pd.DataFrame:
    """Path, label, split and logit (NaN where it is no number) of the images that a run held out.

    Raises:
        NotARun: the file is damaged.
    """
    file = run.predictions_file
    try:
        rows = pd.read_csv(file, keep_default_na=False, encoding_errors="surrogateescape")
        kept = rows[["path", "label", "split"]].astype({"path": object, "split": object, "label": "int64"})
        return kept.assign(logit=pd.to_numeric(rows["logit"].replace("", np.nan), errors="raise"))
    except (OSError, ValueError, KeyError) as error:  # what pandas raises of a damaged file is a ValueError
        raise NotARun(
            f"{file} is damaged ({visible(str(error))[:200]}): remove it, and the images are predicted again"
        ) from error


def _with_predictions(subject: Subject, predictions: pd.DataFrame) -> Subject:
    assert subject.held_out is not None
    logits = predictions[["path", "logit"]]
    rows = subject.held_out.rows.drop(columns="logit").merge(logits, on="path", how="left")
    val, test = (rows[rows["split"] == split].reset_index(drop=True) for split in ("val", "test"))
    return replace(
        subject,
        held_out=replace(subject.held_out, rows=_columns(test)),
        fitting=val[["path", "label", "logit", "group"]],
    )


def _predicted(subject: Subject, data: DataConfig, cache: Path | None) -> Subject:
    assert subject.held_out is not None
    rows = subject.held_out.rows[["path"]]
    return _with_predictions(subject, rows.assign(logit=_logits(subject, subject.held_out, data, cache)))


def _logits(subject: Subject, part: Part, data: DataConfig, cache: Path | None) -> FloatArray:
    cache = cache or subject.folder / "report" / "cache"
    return predicted_logits(part, subject.detector, cache=cache, settings=data, title="Held-out images")[:, 0]


def _folds(found: Folds, data: DataConfig, moved: str | None, cache: Path | None, views: _Views) -> Subject:
    finished = found.finished
    for job in finished:
        _manifest_of(job.run)
    config, manifest = _config_of(finished[0].run), _manifest_of(finished[0].run)
    table = out_of_fold(finished)
    facts = manifest[["path", *manifest.columns.difference(table.columns)]]
    rows = _columns(table.merge(facts, on="path", how="left"))
    planned = int(config["data"]["folds"])
    missing = sorted(set(range(planned)) - set(rows["fold"]))
    note = f"Fold {', '.join(map(str, missing))} of {planned} is not finished: the images held out there do not count."
    part = Part("out_of_fold", "out-of-fold images", rows, data_of(config, moved), {})
    subject = Subject(
        found.folder,
        f"a cross-validation of {len(finished)} folds",
        {ONE: found.folder, **{int(job.config["data"]["fold"]): job.run.path for job in finished}},
        part,
        manifest=manifest,
        config=config,
        notes=(note,) if missing else (),
        views=views,
    )
    if views:
        subject = replace(subject, held_out=replace(part, rows=rows.assign(logit=_logits(subject, part, data, cache))))
    return subject


def _seeds(found: Seeds, data: DataConfig, moved: str | None, cache: Path | None, views: _Views) -> Subject:
    """The networks together, on the images that all of them held out."""
    runs = [job.run for job in found.finished]
    splits = [_manifest_of(run).set_index("path")[["sha256", "label", "split"]].sort_index() for run in runs]
    if not all(split.equals(splits[0]) for split in splits):
        raise NothingToEvaluate(
            f"run={found.folder}: its jobs did not hold out the same images, so that some of them were trained on what "
            "others are tested on. Train them again on one split, such as with data.split_seed=0"
        )
    title = f"the mean of {len(runs)} networks that differ in seed"
    subject = replace(_of_run(runs[0], found.folder, title, found.folder, moved), views=views)
    if views or not all(run.predictions_file.is_file() for run in runs):
        return _predicted(subject, data, cache)
    tables = [read_predictions(run).set_index("path") for run in runs]
    logits = sum(table["logit"].reindex(tables[0].index) for table in tables) / len(tables)
    return _with_predictions(subject, tables[0].assign(logit=logits).reset_index())


def read_collection(data: DataConfig, name: str, learned: pd.DataFrame | None = None) -> Part:
    """The images of another data set, all or, where it has one, its own test part. Logits are not predicted yet.

    Images that are among those `learned` (rows of a manifest), or near-duplicates of them, are left out; the title says
    how many.

    Raises:
        MissingImagesError: no images there, or in no class folder.
        NothingToEvaluate: none is usable, or all were learned.
    """
    root = locate(data)
    manifest = build_manifest(
        root,
        listing(data, root),
        cache=cache_folder(data.cache),
        max_pixels=data.max_pixels,
        duplicate_distance=data.duplicate_distance,
    )
    rows = manifest[usable(manifest)]
    if rows.empty:
        first = manifest[~usable(manifest)].iloc[0]
        raise NothingToEvaluate(f"{root}: none of {len(manifest)} files is usable ({first.path}: {first.problem})")
    has_test = (rows["part"] == "test").any()
    rows = rows[rows["part"] == "test"] if has_test else rows
    seen = 0
    if learned is not None:
        repeated = find_leaks({"learned": learned, name: rows}, distance=data.duplicate_distance).affected(name)
        seen = len(repeated)
        if seen == len(rows):
            raise NothingToEvaluate(
                f"{root}: the detector was trained on all of its {seen} images, or on near-duplicates, so they "
                "cannot show how good it is: take images from elsewhere, or, for those that a run held out, leave "
                "data= out"
            )
        rows = rows[~rows["path"].isin(repeated)]
    title = f"{'test images' if has_test else 'images'} of {name}"
    title += f" (without {seen:,} that it was trained on)" if seen else ""
    rows = _columns(rows.assign(fold=ONE, logit=float("nan"))).reset_index(drop=True)
    return Part(name, title, rows, replace(data, root=str(root)), {})


def _columns(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[list(ROWS)]
