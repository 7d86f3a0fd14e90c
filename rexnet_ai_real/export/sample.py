"""Real images on which an export is calibrated and compared with the original."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rexnet_ai_real.config import DataConfig
from rexnet_ai_real.data.manifest import usable
from rexnet_ai_real.data.sources import listing
from rexnet_ai_real.data.synthetic import make_images
from rexnet_ai_real.errors import UserError
from rexnet_ai_real.images.decode import UnreadableImage
from rexnet_ai_real.images.loading import made_ahead
from rexnet_ai_real.images.preprocessing import Pixels, Preprocessing, read_pixels
from rexnet_ai_real.progress import track

WORKERS: Final = 2
SCENES: Final = 32
"""Generated images where there are no real ones."""


@dataclass(frozen=True, slots=True)
class ImageRow:
    """An image with its class."""

    path: Path
    label: int
    held_out: bool
    """Whether the detector is known not to have been trained on it."""


@dataclass(frozen=True, eq=False)
class Sample:
    """Prepared images."""

    pixels: Pixels
    """(n, size, size, 3), as `Preprocessing.to_array` gives them."""
    labels: NDArray[np.int64]
    held_out: NDArray[np.bool_]
    title: str
    """For sentences: "768 images of the run"."""
    real: bool = True
    """False: generated scenes, which say nothing of accuracy."""

    def __len__(self) -> int:
        return len(self.labels)

    def only(self, mask: NDArray[np.bool_]) -> "Sample":
        """Some of the images."""
        return replace(self, pixels=self.pixels[mask], labels=self.labels[mask], held_out=self.held_out[mask])

    @property
    def training_like(self) -> Pixels:
        """Images for calibration: those of the training, or all where none is known to be."""
        return self.pixels if self.held_out.all() else self.pixels[~self.held_out]


def rows_of_run(manifest: pd.DataFrame, root: Path, *, folds: bool) -> list[ImageRow]:
    """The images of a run that still exist: held-out ones first, then those of the training, ordered by hash.

    Args:
        manifest: of the run.
        root: the folder that its paths start from.
        folds: of a cross-validation each image is in the training of some network, so none counts as held out.
    """
    rows = manifest[usable(manifest) & (manifest["split"] != "")]
    rows = rows.assign(held_out=rows["split"].isin(["val", "test"]) & (not folds))
    rows = rows.sort_values(["held_out", "sha256"], ascending=[False, True])
    facts = zip(rows["path"], rows["label"], rows["held_out"], strict=True)
    found = [ImageRow(root / path, int(label), bool(held_out)) for path, label, held_out in facts]
    return [row for row in found if row.path.is_file()]


def rows_of_folder(root: Path) -> list[ImageRow]:
    """The images in folders such as ai/ and real/, in an order that depends on their names alone and mixes classes.

    Raises:
        MissingImagesError: no file lies in a class folder.
    """
    files = [file for file in listing(DataConfig(name="folder", root=str(root)), root) if file.label is not None]
    files.sort(key=lambda file: hashlib.sha256(file.path.encode(errors="surrogateescape")).digest())
    return [ImageRow(root / file.path, int(file.label or 0), False) for file in files]


def read_sample(rows: Sequence[ImageRow], preprocessing: Preprocessing, title: str) -> Sample:
    """Decode and prepare; a file that gives no image is left out.

    Args:
        rows: in this order.
        preprocessing: that of the detector.
        title: what they are, for sentences: "images of the run".

    Raises:
        UserError: none of them gives an image.
    """

    def prepare(row: ImageRow) -> Pixels | None:
        try:
            return read_pixels(row.path, preprocessing)
        except UnreadableImage:
            return None

    prepared = track(
        made_ahead(prepare, rows, workers=WORKERS, ahead=32),
        "Reading images",
        len(rows),
    )
    good = [(row, pixels) for row, pixels in prepared if pixels is not None]
    if not good:
        raise UserError(f"none of the {len(rows)} files given as images can be read")
    return Sample(
        np.stack([pixels for _, pixels in good]),
        np.array([row.label for row, _ in good]),
        np.array([row.held_out for row, _ in good]),
        f"{len(good):,} {title}",
    )


def generated_sample(preprocessing: Preprocessing) -> Sample:
    """Scenes drawn by this project: enough to show that two programs compute the same, and nothing else."""
    with TemporaryDirectory() as folder:
        root = make_images(Path(folder) / "scenes", count=SCENES, progress=False)
        sample = read_sample(rows_of_folder(root), preprocessing, "generated scenes")
    return replace(sample, real=False)
