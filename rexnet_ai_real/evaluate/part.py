"""Images with the logits that a detector gave them, and the operating point that turns these into verdicts."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from scipy.special import logit

from rexnet_ai_real.config import DataConfig
from rexnet_ai_real.data.sources import locate
from rexnet_ai_real.detector.calibration import Calibration
from rexnet_ai_real.errors import UserError
from rexnet_ai_real.images.decode import UnreadableImage, read
from rexnet_ai_real.metrics.binary import Metrics, evaluate_scores
from rexnet_ai_real.metrics.scores import FloatArray, IntArray, Scores

ONE: Final = -1
"""Fold of images that are not predicted fold by fold."""


class ChangedImage(UserError, ValueError):
    """A file that holds another image than the manifest says."""


@dataclass(frozen=True, slots=True)
class LabelledImage:
    """One image of the evaluation: where it is, what it is, its duplicate group and the digest of its bytes."""

    path: Path
    label: int
    group: str
    sha256: str

    def read(self) -> bytes:
        """The image's bytes.

        Raises:
            UnreadableImage: it is gone, or no image; the message begins with its path.
            ChangedImage: it is not the image that the manifest lists.
        """
        try:
            data = read(self.path)
        except UnreadableImage as problem:
            raise UnreadableImage(f"{self.path}: {problem}") from problem
        if hashlib.sha256(data).hexdigest() != self.sha256:
            raise ChangedImage(
                f"{self.path} was replaced or changed since the manifest was made (its sha256 differs): put the image "
                "back, or evaluate the folder as it is now with data=folder data.root=PATH"
            )
        return data


@dataclass(frozen=True)
class Part:
    """Images that a detector was not trained on, with the logits that it gave them."""

    name: str
    """Key in metrics.json: test, out_of_fold, or the name of a collection."""
    title: str
    """For sentences."""
    rows: pd.DataFrame
    """path, label, source, group, sha256, fold, logit (before any temperature), collection; numbered from 0."""
    data: DataConfig
    """Where the images are."""
    calibrations: Mapping[int, Calibration]
    """By fold; images not predicted fold by fold have the fold `ONE`."""

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def root(self) -> Path:
        """The folder that paths start from.

        Raises:
            MissingImagesError: it is not there any more.
        """
        return locate(self.data)

    @property
    def folds(self) -> list[int]:
        """In order; `[ONE]` where there are none."""
        return sorted(self.rows["fold"].unique().tolist())

    def calibrated(self, logits: FloatArray) -> FloatArray:
        """Logits (n, ...) of the part's images -> each divided by the temperature of its fold."""
        return self._by_image(lambda calibration: 1 / calibration.temperature, logits) * logits

    def margins(self, logits: FloatArray) -> FloatArray:
        """Logits (n, ...) -> calibrated log-odds above the threshold of the fold: at 0 or more an image is called AI.

        One common threshold for images whose folds have different ones.
        """
        shift = self._by_image(
            lambda calibration: float(logit(np.clip(calibration.threshold, 1e-12, 1 - 1e-12))), logits
        )
        return self.calibrated(logits) - shift

    def _by_image(self, value: Callable[[Calibration], float], logits: FloatArray) -> FloatArray:
        values = self.rows["fold"].map({fold: value(calibration) for fold, calibration in self.calibrations.items()})
        return np.asarray(values, dtype=np.float64).reshape(-1, *(1,) * (logits.ndim - 1))

    @property
    def logits(self) -> FloatArray:
        """(n,) before any temperature."""
        return np.asarray(self.rows["logit"], dtype=np.float64)

    @property
    def scores(self) -> Scores:
        """With calibrated logits.

        Raises:
            ValueError: logits that are not finite.
        """
        return Scores.of(self.rows["label"], self.calibrated(self.logits), self.rows["group"].astype(str))

    @property
    def margin_scores(self) -> Scores:
        """With margins instead of calibrated logits."""
        return replace(self.scores, logits=self.margins(self.logits))

    @property
    def verdicts(self) -> "np.ndarray[tuple[int], np.dtype[np.str_]]":
        """(n,) "ai", "real" or "unsure"."""
        answers = np.empty(len(self), dtype=object)
        for fold, calibration in self.calibrations.items():
            here = (self.rows["fold"] == fold).to_numpy()
            answers[here] = calibration.decide(calibration.probabilities(self.logits[here]))
        return answers

    @property
    def table(self) -> pd.DataFrame:
        """Its rows of predictions.csv."""
        columns = ["path", "label", "source", "group", "fold", "logit"]
        rows = self.rows[columns].copy()
        rows.insert(0, "set", self.name)
        rows = rows.assign(probability=self.scores.probabilities, verdict=self.verdicts)
        return rows.assign(collection=self.rows["collection"])

    def images(self) -> list[LabelledImage]:
        """For predicting them again.

        Raises:
            MissingImagesError: their folder is not there any more.
        """
        columns = ("path", "label", "group", "sha256")
        rows = zip(*(self.rows[column].tolist() for column in columns), strict=True)
        return [LabelledImage(self.root / path, int(label), str(group), digest) for path, label, group, digest in rows]

    def drawn(self, count: int | None) -> "Part":
        """`count` of the images, with classes, sources and scores in proportion; None: all.

        The images of a class and source are ordered by logit and cut into as many runs as are to be drawn from them. Of
        each run the image with the smallest hash is taken, so that the draw does not depend on the order of the rows.
        """
        if count is None or count >= len(self):
            return self
        kept: list[int] = []
        ordered = self.rows.sort_values(["logit", "sha256"])
        classes = ordered.groupby("label")
        for (_, of_class), share in zip(classes, _allotted(classes.size(), count).clip(min=1), strict=True):
            sources = of_class.groupby("source")
            for (_, rows), size in zip(sources, _allotted(sources.size(), int(share)), strict=True):
                runs = np.array_split(np.arange(len(rows)), size) if size else []
                kept += [rows.iloc[run]["sha256"].idxmin() for run in runs]
        return replace(self, rows=self.rows.loc[sorted(kept)].reset_index(drop=True))

    def only(self, mask: "pd.Series[bool]") -> "Part":
        """Some of the images."""
        return replace(self, rows=self.rows[mask].reset_index(drop=True))


def _allotted(sizes: "pd.Series[int]", count: int) -> IntArray:
    """`count` places shared out in proportion to sizes, the largest remainders rounded up."""
    exact = sizes.to_numpy(dtype=np.float64) * count / sizes.sum()
    places: IntArray = np.floor(exact).astype(np.int64)
    places[np.argsort(places - exact, kind="stable")[: count - places.sum()]] += 1
    return places


def measure(part: Part, *, resamples: int, seed: int) -> tuple[Metrics, Metrics]:
    """Metrics of a part: calling an image AI at probability 0.5, and at the threshold of its operating point.

    The two differ only in the metrics that depend on the threshold.
    """
    at_half = evaluate_scores(part.scores, resamples=resamples, seed=seed)
    margins = evaluate_scores(part.margin_scores, resamples=resamples, seed=seed)
    return at_half, at_half.with_decisions_of(margins)
