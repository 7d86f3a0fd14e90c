"""What is exported: the detector, the run that it comes from, and the report of its evaluation."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from rexnet_ai_real.data.listed import MissingImagesError
from rexnet_ai_real.data.manifest import read_manifest
from rexnet_ai_real.data.sources import root_of
from rexnet_ai_real.detector.backends import TORCH
from rexnet_ai_real.detector.description import mapping, read_description
from rexnet_ai_real.detector.hub import locate
from rexnet_ai_real.detector.storage import StoredDetector, read_detector
from rexnet_ai_real.detector.worth import MEASURED, summarised
from rexnet_ai_real.export.sample import (
    ImageRow,
    Sample,
    generated_sample,
    read_sample,
    rows_of_folder,
    rows_of_run,
)
from rexnet_ai_real.files import require_plain
from rexnet_ai_real.runs.folder import RunFolder, data_of
from rexnet_ai_real.runs.identify import DETECTOR_FILE, Checkpoint, Folds, NotADetector, Run, Saved, Seeds, identify

REPORT: Final = "report"


@dataclass(frozen=True, eq=False)
class ExportSource:
    """A detector and what is known about it."""

    stored: StoredDetector
    origin: Path | None = None
    """The run folder or the multirun of folds that it comes from, where that is known."""
    report: Mapping[str, Any] = field(default_factory=dict)
    """metrics.json of its evaluation; empty without one."""

    @classmethod
    def open(cls, path: Path) -> "ExportSource":
        """Read a run folder, checkpoint, multirun of folds or saved detector, and the evaluation beside it.

        A saved detector may be named as on the Hub: OWNER/NAME or OWNER/NAME@REVISION.

        Of a run that has been evaluated, the operating point fitted there is taken.

        Raises:
            NotADetector: none of these, or damaged.
        """
        path = locate(path, TORCH.name).path
        stored = read_detector(path)
        origin = _origin(path)
        evaluated = origin / REPORT if origin else None
        if evaluated is None or not (evaluated / "detector" / DETECTOR_FILE).is_file():
            return cls(stored, origin)
        description = read_description(evaluated / "detector")
        if description.fingerprint != stored.description.fingerprint:  # of another checkpoint
            return cls(stored, origin)
        metrics = evaluated / "metrics.json"
        report = _read_report(metrics) if metrics.is_file() else {}
        if measured := summarised(report):  # travels with the detector, for the sentence beside its answers
            description = replace(description, training={**description.training, MEASURED: measured})
        return cls(replace(stored, description=description), origin, report)

    def sample(self, images: Path | None, count: int) -> Sample:
        """Images to calibrate and compare on: those of the run, or of a folder given; otherwise generated scenes.

        Args:
            images: a folder with class folders, or where the images of the run are now.
            count: how many at most.

        Raises:
            UserError: no images in the folder given.
        """
        preprocessing = self.stored.description.preprocessing
        rows = self._rows(images)
        if rows:
            return read_sample(rows[:count], preprocessing, "images of the run")
        if images is not None:
            return read_sample(rows_of_folder(images)[:count], preprocessing, f"images of {images.name}")
        return generated_sample(preprocessing)

    def _rows(self, moved: Path | None) -> list[ImageRow]:
        """Images of the run; none where it or its manifest is unknown."""
        if self.origin is None:
            return []
        folds = not RunFolder(self.origin).config_file.is_file()  # of seeds, too, none counts as held out
        candidates = sorted(self.origin.glob("*/manifest.csv")) if folds else [RunFolder(self.origin).manifest_file]
        if not candidates or not candidates[0].is_file():
            return []
        run = RunFolder(candidates[0].parent)
        data = data_of(run.read_config(), None)
        try:
            root = moved or root_of(data)
        except MissingImagesError:  # of several collections, one is gone
            return []
        return rows_of_run(read_manifest(run.manifest_file), root, folds=folds)


def _read_report(file: Path) -> Mapping[str, Any]:
    try:
        require_plain(file)
        report = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise NotADetector(f"{file} is damaged ({str(error)[:200]}): evaluate the run again, or remove it") from error
    return mapping(report, file, "it")


def _origin(path: Path) -> Path | None:
    """The run folder or multirun that a detector comes from: report/detector lies in the one that was evaluated."""
    match identify(path):
        case Run(run) | Checkpoint(run=RunFolder() as run):
            return run.path
        case Folds(folder) | Seeds(folder):
            return folder
        case Saved(folder) if folder.resolve().parent.name == REPORT:
            try:
                return _origin(folder.resolve().parent.parent)
            except NotADetector:
                return None
        case _:
            return None
