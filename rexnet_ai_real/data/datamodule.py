"""A folder of pictures as Lightning sees it: manifest, split and batches."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import lightning as L
import pandas as pd
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from rexnet_ai_real.config import AugmentConfig, ConfigError, DataConfig
from rexnet_ai_real.data.decode import UnreadablePicture, decode
from rexnet_ai_real.data.manifest import build_manifest
from rexnet_ai_real.data.sources import Listed, listing, locate
from rexnet_ai_real.data.split import assign_split
from rexnet_ai_real.data.transforms import Transform, enough_for_training, evaluation_transform, training_transform
from rexnet_ai_real.preprocessing import ENOUGH, Preprocessing

Batch = tuple[Tensor, Tensor, Tensor]
"""Pictures (N, 3, H, W) normalised, labels (N,), row numbers in the manifest (N,)."""


class PictureDataset(Dataset[tuple[Tensor, int, int]]):
    """Decodes and transforms one picture at a time: (picture (3, H, W), label, row number in the manifest)."""

    def __init__(self, root: Path, rows: pd.DataFrame, transform: Transform, *, enough: int, max_pixels: int) -> None:
        """`rows` is a part of the manifest, its index kept as the row numbers; the last two are as in `decode`."""
        self.root = root
        self.paths: list[str] = rows["path"].tolist()
        self.labels: list[int] = rows["label"].astype(int).tolist()
        self.indices: list[int] = rows.index.tolist()
        self.transform = transform
        self.enough = enough
        self.max_pixels = max_pixels

    def __len__(self) -> int:
        """Number of pictures."""
        return len(self.paths)

    def __getitem__(self, position: int) -> tuple[Tensor, int, int]:
        """One picture.

        Raises:
            UnreadablePicture: the file changed or vanished since the manifest was made.
        """
        path = self.paths[position]
        try:
            picture = decode(self.root / path, max_pixels=self.max_pixels, enough=self.enough)
        except UnreadablePicture as error:
            raise UnreadablePicture(f"{path} was readable when the run began, and is no longer: {error}") from error
        return self.transform(picture), self.labels[position], self.indices[position]


class PictureDataModule(L.LightningDataModule):
    """Finds the pictures (downloads or generates them where needed), lists them, splits them, loads them in batches."""

    def __init__(self, data: DataConfig, augment: AugmentConfig, *, seed: int) -> None:
        """Nothing is read until `prepare_data` and `setup`."""
        super().__init__()
        self.data = data
        self.augment = augment
        self.seed = seed
        self.preprocessing = Preprocessing.of(data)
        self.root = Path()
        self.manifest = pd.DataFrame()

    def prepare_data(self) -> None:
        """Find, download or generate the pictures, and fill the cache of the manifest (once per machine)."""
        self._read_manifest(*self._locate())

    def setup(self, stage: str) -> None:
        """Read the manifest and assign each picture to train, val or test."""
        if not self.manifest.empty:
            return
        self.root, listed = self._locate()
        manifest = self._read_manifest(self.root, listed)
        manifest["split"] = assign_split(
            manifest,
            seed=self.seed,
            val_fraction=self.data.val_fraction,
            test_fraction=self.data.test_fraction,
            fold=self.data.fold,
            folds=self.data.folds,
        )
        if (manifest["split"] == "train").sum() < self.data.batch_size:
            raise ConfigError(
                f"data.batch_size={self.data.batch_size}: only {(manifest['split'] == 'train').sum()} "
                f"pictures to train on under {self.root}"
            )
        self.manifest = manifest

    def _locate(self) -> tuple[Path, Sequence[Listed]]:
        root = locate(self.data)
        return root, listing(self.data, root)

    def _read_manifest(self, root: Path, listed: Sequence[Listed]) -> pd.DataFrame:
        return build_manifest(
            root, listed, max_pixels=self.data.max_pixels, duplicate_distance=self.data.duplicate_distance
        )

    def rows(self, split: str) -> pd.DataFrame:
        """The part of the manifest in one split: train, val or test."""
        return cast(pd.DataFrame, self.manifest[self.manifest["split"] == split])

    def train_dataloader(self) -> DataLoader[Any]:
        """Shuffled, augmented batches. A last batch of one picture is dropped: batch norm cannot train on it."""
        rows = self.rows("train")
        return self._loader(
            rows,
            training_transform(self.preprocessing, self.augment),
            enough=enough_for_training(self.preprocessing, self.augment),
            shuffle=True,
            drop_last=len(rows) % self.data.batch_size == 1,
            generator=torch.Generator().manual_seed(self.seed),
        )

    def val_dataloader(self) -> DataLoader[Any]:
        """Validation pictures, in the manifest's order."""
        return self._held_out("val")

    def test_dataloader(self) -> DataLoader[Any]:
        """Test pictures, in the manifest's order."""
        return self._held_out("test")

    def predict_dataloader(self) -> list[DataLoader[Any]]:
        """Validation, then test pictures."""
        return [self.val_dataloader(), self.test_dataloader()]

    def _held_out(self, split: str) -> DataLoader[Any]:
        enough = ENOUGH * self.preprocessing.image_size
        return self._loader(self.rows(split), evaluation_transform(self.preprocessing), enough=enough)

    def _loader(self, rows: pd.DataFrame, transform: Transform, *, enough: int, **options: Any) -> DataLoader[Any]:
        return DataLoader(
            PictureDataset(self.root, rows, transform, enough=enough, max_pixels=self.data.max_pixels),
            batch_size=self.data.batch_size,
            num_workers=self.data.workers,
            persistent_workers=self.data.workers > 0,
            pin_memory=torch.cuda.is_available(),
            **options,
        )
