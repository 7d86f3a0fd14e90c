"""What every section works with: settings, subject, measured images, operating point, folders."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryFile

import numpy as np

from rexnet_ai_real.config import OWN, EvaluateConfig
from rexnet_ai_real.detector.calibration import Calibration
from rexnet_ai_real.detector.detector import Detector
from rexnet_ai_real.detector.engines.engine import AUTO
from rexnet_ai_real.errors import UserError
from rexnet_ai_real.evaluate.corruptions import Corruption
from rexnet_ai_real.evaluate.fitting import Fitted, fit
from rexnet_ai_real.evaluate.part import ONE, Part, measure
from rexnet_ai_real.evaluate.prediction import predicted_logits, seeing_only
from rexnet_ai_real.evaluate.report.gallery import Gallery
from rexnet_ai_real.evaluate.rivals.rival import is_rival
from rexnet_ai_real.evaluate.subject import NothingToEvaluate, Subject, open_subject, read_collection
from rexnet_ai_real.metrics.binary import Metrics
from rexnet_ai_real.metrics.scores import FloatArray


@dataclass(frozen=True)
class Evaluation:
    """One detector on the images that it is judged by. Build it with `Evaluation.open`."""

    settings: EvaluateConfig
    folder: Path
    subject: Subject
    fitted: Fitted
    part: Part
    """Measured images with finite logits."""
    left_out: int
    """Images whose logit is not finite."""
    gallery: Gallery
    collections: list[Part] = field(default_factory=list)
    """Filled by the section on other collections, for predictions.csv."""
    _detectors: dict[int, Detector] = field(default_factory=dict, repr=False)

    @classmethod
    def open(cls, settings: EvaluateConfig) -> "Evaluation":
        """Read what is at settings.run and predict the images that have no predictions yet.

        Raises:
            UserError: the path holds nothing that can be evaluated, no image of the data set is usable, or the report
                cannot be written.
        """
        path, is_other = Path(settings.run).expanduser(), is_rival(settings.run)
        given = Path(settings.output_dir).expanduser() if settings.output_dir else None
        if is_other and (given is None or settings.backend != AUTO):
            raise UserError(
                f"run={settings.run} is no folder, and runs by itself: say where the report goes with output_dir=PATH, "
                "and leave backend out"
            )
        subject = open_subject(
            path, settings.data, given / "cache" if given else None, settings.backend, settings.views
        )
        folder = given or subject.folder / "report"
        part = subject.held_out
        if settings.data.name != OWN:
            name = Path(settings.data.root or settings.data.name).name
            part = read_collection(settings.data, name, subject.learned)
        if part is None:
            raise NothingToEvaluate(
                f"run={path}: {subject.title} has no images of its own; name some: data=folder data.root=PATH"
                + (f". Or compare a run with it, on the images held out there: run=RUN against={path}" * is_other)
            )
        with explained_write_errors(folder):  # before any work
            folder.mkdir(parents=True, exist_ok=True)
            TemporaryFile(dir=folder).close()
        if settings.data.name != OWN:
            part = _predicted(part, subject, settings, folder / "cache")
        fitted = fit(subject, settings, folder / "cache")
        finite = np.isfinite(part.logits)
        measured = Part(part.name, part.title, part.rows[finite].reset_index(drop=True), part.data, fitted.calibrations)
        return cls(settings, folder, subject, fitted, measured, int((~finite).sum()), Gallery(folder / "figures"))

    @property
    def calibration(self) -> Calibration:
        """Of the detector that users get."""
        return self.fitted.calibrations[ONE]

    @property
    def calibrations(self) -> list[Calibration]:
        """Those that the measured images are judged by, one per fold."""
        return [self.fitted.calibrations[fold] for fold in self.part.folds]

    @cached_property
    def measured(self) -> tuple[Metrics, Metrics]:
        """Metrics at probability 0.5, and at the operating point."""
        return measure(self.part, resamples=self.settings.resamples, seed=self.settings.seed)

    @cached_property
    def sample(self) -> Part:
        """The images of the tests that predict anew: settings.sample of those measured."""
        return self.part.drawn(self.settings.sample)

    @property
    def sample_words(self) -> str:
        """How the sample was drawn and how it differs from all images, in a sentence; empty where all are taken."""
        if len(self.sample) == len(self.part):
            return ""
        here, everywhere = (np.mean((p.scores.logits >= 0) == p.rows["label"]) for p in (self.sample, self.part))
        return (
            f" These are {len(self.sample):,} of {len(self.part):,} images, drawn with the same shares of classes, "
            f"sources and scores: {here:.1%} of them are classified correctly at P(AI) 0.5, {everywhere:.1%} of all."
        )

    @property
    def has_threshold(self) -> bool:
        """Whether the operating point is more than the 0.5 that stands in for one."""
        return any(calibration.n_real + calibration.n_ai for calibration in self.calibrations)

    def detector(self, fold: int = ONE) -> Detector:
        """The detector that has not seen the images of a fold, with the operating point that these are judged by."""
        if fold not in self._detectors:
            self._detectors[fold] = self.subject.detector(fold).with_calibration(self.fitted.calibrations[fold])
        return self._detectors[fold]

    @property
    def cache(self) -> Path:
        """Folder of finished predictions."""
        return self.folder / "cache"

    def logits(self, part: Part, corruptions: tuple[Corruption, ...], title: str) -> FloatArray:
        """Logits of a part's images under corruptions, (n, corruptions), from the cache or predicted."""
        data = self.settings.data
        return predicted_logits(
            part, self.detector, corruptions=corruptions, cache=self.cache, settings=data, title=title
        )

    def logits_of_view(self, part: Part, view: str, title: str) -> FloatArray:
        """Logits (n,) of one of `VIEWS` alone."""
        data = self.settings.data
        return predicted_logits(
            part, lambda fold: seeing_only(self.detector(fold), view), cache=self.cache, settings=data, title=title
        )[:, 0]

    def predicted(self, part: Part) -> Part:
        """A collection with the logits and the operating point of the detector that users get."""
        predicted = _predicted(part, self.subject, self.settings, self.cache)
        return Part(part.name, part.title, predicted.rows, part.data, {ONE: self.calibration})


@contextmanager
def explained_write_errors(folder: Path) -> Iterator[None]:
    """Turn what the disk says into a sentence for the user.

    Raises:
        UserError: something in `folder` cannot be written.
    """
    try:
        yield
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        raise UserError(
            f"{error.filename or folder} cannot be written ({reason}). An earlier report and finished predictions in "
            f"{folder} are kept: solve this and give the command again, or write elsewhere with output_dir=PATH"
        ) from error


def _predicted(part: Part, subject: Subject, settings: EvaluateConfig, cache: Path) -> Part:
    logits = predicted_logits(
        part,
        subject.detector,
        cache=cache,
        settings=settings.data,
        title=part.title[0].upper() + part.title[1:],
    )
    return Part(part.name, part.title, part.rows.assign(logit=logits[:, 0]), part.data, {})
