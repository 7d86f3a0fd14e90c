"""A folder of images as a Lightning data module: manifest, split and batches."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import lightning as L
import pandas as pd
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from rexnet_ai_real.config import AugmentConfig, ConfigError, DataConfig, preprocessing_of
from rexnet_ai_real.data.augmentation import BatchAugmentation
from rexnet_ai_real.data.balanced import BalancedByEpoch
from rexnet_ai_real.data.changed_images import ChangedImages, Draws, Pairs
from rexnet_ai_real.data.folders import require_both_classes
from rexnet_ai_real.data.image_changes import is_by_image
from rexnet_ai_real.data.listed import Listed
from rexnet_ai_real.data.manifest import build_manifest, usable
from rexnet_ai_real.data.prepared import Original, PreparedImages, prepare_images
from rexnet_ai_real.data.reconstruction import reconstruct
from rexnet_ai_real.data.sources import listing, locate
from rexnet_ai_real.data.split import assign_split
from rexnet_ai_real.files import cache_folder
from rexnet_ai_real.images.preprocessing import Pixels, Preprocessing
from rexnet_ai_real.images.transforms import normalise, unit_range
from rexnet_ai_real.labels import REAL

Batch = tuple[Tensor, Tensor, Tensor]
"""Images, labels (N,), row numbers in the manifest (N,), or -1 - K for the reconstruction of the image at place K.

The loader gives pixels (N, S, S, 3), uint8; `on_after_batch_transfer` turns them into normalised images (N, 3, H, W),
which the network gets."""


class ImageDataset(Dataset[Batch]):
    """Whole batches of prepared images."""

    def __init__(self, rows: pd.DataFrame, images: PreparedImages) -> None:
        """`rows` of the manifest, whose index holds the row numbers, and their `images`, in the same order."""
        self.images = images
        self.labels = torch.tensor(rows["label"].astype(int).tolist())
        self.indices = torch.tensor(rows.index.tolist())

    def __len__(self) -> int:
        """Number of images."""
        return len(self.labels)

    def __getitems__(self, positions: list[int]) -> Batch:
        """One batch.

        Raises:
            UnreadableImage: a file changed or vanished since the manifest was made.
        """
        return torch.from_numpy(self.images.read(positions)), self.labels[positions], self.indices[positions]


class ShuffledByEpoch(Sampler[int]):
    """A new order in every epoch, which is the same when a run is interrupted and resumed."""

    def __init__(self, count: int, seed: int) -> None:
        """`count`: how many images."""
        self.count = count
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning before each epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        """Number of images."""
        return self.count

    def __iter__(self) -> Iterator[int]:
        """Positions, in this epoch's order."""
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        yield from torch.randperm(self.count, generator=generator).tolist()


class ImageDataModule(L.LightningDataModule):
    """Finds the images (downloads or generates them where needed), lists, splits and prepares them, makes batches."""

    def __init__(self, data: DataConfig, augment: AugmentConfig, *, seed: int) -> None:
        """Nothing is read until `prepare_data` and `setup`."""
        super().__init__()
        self.data = data
        self.augment = augment
        self.seed = seed
        self.preprocessing = preprocessing_of(data)
        self.by_image = is_by_image(augment) or data.pairs.share > 0
        if self.by_image:  # each image is cut when it is decoded, and comes at its final size
            self.augmentation = BatchAugmentation(replace(augment, crop_scale=1.0), data.image_size)
            self.training_size = data.image_size
        else:
            self.augmentation = BatchAugmentation(augment, data.image_size)
            # Random crops are taken from larger images, so that even the smallest crop is not enlarged.
            self.training_size = math.ceil(data.image_size / math.sqrt(augment.crop_scale))
        self.root = Path()
        self.manifest = pd.DataFrame()
        self._prepared: dict[Preprocessing, PreparedImages] = {}

    def prepare_data(self) -> None:
        """Find, download or generate the images, measure and prepare them (once per machine)."""
        if not self.manifest.empty:
            return
        root, listed = self._locate()
        require_both_classes(listed, root)
        manifest = self._read_manifest(root, listed)
        for size in sorted({self.data.image_size, self.training_size}):
            self._prepare(manifest[usable(manifest)], root, size)
        if "native" in self.preprocessing.views:
            self._prepare(manifest[usable(manifest)], root, self.data.image_size, "native")

    def setup(self, stage: str) -> None:
        """Read the manifest and assign each image to train, val or test."""
        if not self.manifest.empty:
            return
        self.root, listed = self._locate()
        manifest = self._read_manifest(self.root, listed)
        manifest["split"] = assign_split(
            manifest,
            seed=self.seed if self.data.split_seed is None else self.data.split_seed,
            val_fraction=self.data.val_fraction,
            test_fraction=self.data.test_fraction,
            fold=self.data.fold,
            folds=self.data.folds,
            split_by=self.data.split_by,
        )
        count = int((manifest["split"] == "train").sum())
        if count < self.data.batch_size:
            most = max(2, count // 2)  # two steps an epoch
            raise ConfigError(
                f"data.batch_size={self.data.batch_size}: {count:,} images to train on under {self.root}; "
                f"use at most {most}"
            )
        self.manifest = manifest

    def reconstruct(self, rows: pd.DataFrame) -> Pairs | None:
        """The pairs of the real images among these rows, those made that the cache lacks; None without `data.pairs`.

        That takes seconds an image: call it once all settings are checked, and before other processes are started,
        which then find all of them in the cache.
        """
        if not self.data.pairs.share:
            return None
        photographs = _originals(cast(pd.DataFrame, rows[rows["label"] == REAL]), self.root)
        cache, max_pixels = cache_folder(self.data.cache), self.data.max_pixels
        return Pairs(reconstruct(photographs, self.data.pairs, cache=cache, max_pixels=max_pixels), self.data.pairs)

    def _locate(self) -> tuple[Path, Sequence[Listed]]:
        root = locate(self.data)
        return root, listing(self.data, root)

    def _read_manifest(self, root: Path, listed: Sequence[Listed]) -> pd.DataFrame:
        return build_manifest(
            root,
            listed,
            cache=cache_folder(self.data.cache),
            max_pixels=self.data.max_pixels,
            duplicate_distance=self.data.duplicate_distance,
        )

    def rows(self, split: str) -> pd.DataFrame:
        """The rows of the manifest in one split: train, val or test."""
        return cast(pd.DataFrame, self.manifest[self.manifest["split"] == split])

    def train_dataloader(self) -> DataLoader[Any]:
        """Shuffled, or balanced, batches. A last batch of one image is dropped: batch norm cannot train on it."""
        rows = self.rows("train")
        if self.data.pairs.share and self.trainer and self.trainer.fast_dev_run:  # type: ignore[attr-defined]
            rows = _mixed(rows)[: self.data.batch_size]  # all that is reconstructed for a try
        is_overfit = self.trainer and self.trainer.overfit_batches  # type: ignore[attr-defined]
        alone = len(rows) % self.data.batch_size == 1
        if is_overfit:  # the same few batches in every epoch
            return self._training_loader(_mixed(rows), drop_last=alone)
        sampler: Draws | BalancedByEpoch | ShuffledByEpoch = (
            BalancedByEpoch(rows, self.seed) if self.data.balance else ShuffledByEpoch(len(rows), self.seed)
        )
        if self.by_image:
            sampler = Draws(sampler, len(rows))
        # A resumed run: Lightning fetches the first batch before it gives the sampler the epoch.
        sampler.set_epoch(self.trainer.current_epoch if self.trainer else 0)
        return self._training_loader(rows, sampler=sampler, drop_last=alone)

    def val_dataloader(self) -> DataLoader[Any]:
        """Validation images, in the manifest's order, or mixed where only some batches of them are taken."""
        rows, part = self.rows("val"), self.trainer.limit_val_batches if self.trainer else 1.0
        return self._loader(rows if part == 1.0 and isinstance(part, float) else _mixed(rows), self.data.image_size)

    def test_dataloader(self) -> DataLoader[Any]:
        """Test images, likewise."""
        rows, part = self.rows("test"), self.trainer.limit_test_batches if self.trainer else 1.0
        return self._loader(rows if part == 1.0 and isinstance(part, float) else _mixed(rows), self.data.image_size)

    def predict_dataloader(self) -> list[DataLoader[Any]]:
        """Validation, then test images."""
        return [self.val_dataloader(), self.test_dataloader()]

    def unchanged_train_dataloader(self) -> DataLoader[Any]:
        """Training images without random changes, in the manifest's order: to measure how well they are known."""
        return self._loader(self.rows("train"), self.data.image_size)

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """On the device: pixels to normalised images, with the random changes while training."""
        pixels, labels, indices = batch
        images = unit_range(pixels)
        if not (self.trainer and self.trainer.training):
            return normalise(images, self.preprocessing), labels, indices
        return self._changed_with_copies(images, indices), labels, indices

    def _changed_with_copies(self, images: Tensor, indices: Tensor) -> Tensor:
        """Random changes to a batch whose last images are copies of others in it, which change as these do."""
        copies = int((indices < 0).sum()) if self.data.pairs.share else 0
        if not copies:
            return self._changed(images)
        first, places = images[:-copies], -1 - indices[-copies:]
        # The same random numbers give the same changes: once with the copies in the places of their photographs.
        with torch.random.fork_rng(devices=[]):
            last = self._changed(first.index_copy(0, places, images[-copies:]))[places]
        return torch.cat([self._changed(first), last])

    def _changed(self, images: Tensor) -> Tensor:
        return self.augmentation.erase(normalise(self.augmentation(images), self.preprocessing))

    def views(self, frames: Tensor, rows: Tensor) -> Pixels:
        """All views, (N, views, S, S, 3), of images that a loader without random changes gave with these row numbers.

        Raises:
            UnreadableImage: a file changed or vanished since the manifest was made.
        """
        natives = None
        if "native" in self.preprocessing.views:
            images = self._prepare(self.manifest[usable(self.manifest)], self.root, self.data.image_size, "native")
            originals = _originals(self.manifest.loc[rows.numpy()], self.root)
            natives = images.subset(originals).read(range(len(originals)))
        return self.preprocessing.views_of(frames.numpy(), natives)

    def _prepare(self, rows: pd.DataFrame, root: Path, size: int, resize: str | None = None) -> PreparedImages:
        """All images of the data set in one form; the blocks are opened and checked once in each process."""
        form = replace(self.preprocessing, image_size=size, resize=resize or self.preprocessing.resize)
        if form not in self._prepared:
            self._prepared[form] = prepare_images(
                _originals(rows, root),
                form,
                cache=cache_folder(self.data.cache),
                max_pixels=self.data.max_pixels,
                max_bytes=round(self.data.cache_gb * 1e9),
            )
        return self._prepared[form]

    def _training_loader(self, rows: pd.DataFrame, **options: Any) -> DataLoader[Any]:
        if not self.by_image:
            return self._loader(rows, self.training_size, **options)
        images = ChangedImages(
            rows,
            _originals(rows, self.root),
            self.preprocessing,
            self.augment,
            seed=self.seed,
            max_pixels=self.data.max_pixels,
            pairs=self.reconstruct(rows),
        )
        return self._batches(images, self.data.workers, **options)

    def _loader(self, rows: pd.DataFrame, size: int, **options: Any) -> DataLoader[Any]:
        prepared = self._prepare(self.manifest[usable(self.manifest)], self.root, size)
        images = prepared.subset(_originals(rows, self.root))
        # Prepared pixels are read faster than another process could send them.
        workers = 0 if images.kept == len(rows) else self.data.workers
        return self._batches(ImageDataset(rows, images), workers, **options)

    def _batches(self, images: Dataset[Batch], workers: int, **options: Any) -> DataLoader[Any]:
        return DataLoader(
            images,
            batch_size=self.data.batch_size,
            collate_fn=_unchanged,
            generator=torch.Generator(),  # else a loader draws from the generator that dropout and augmentation use
            num_workers=workers,
            persistent_workers=workers > 0,
            pin_memory=torch.cuda.is_available(),
            **options,
        )


def _mixed(rows: pd.DataFrame) -> pd.DataFrame:
    """In the order of their hashes, so that the first few batches hold both classes: a manifest is sorted by folder."""
    return rows.sort_values("sha256", kind="stable")


def _originals(rows: pd.DataFrame, root: Path) -> list[Original]:
    return [Original(root / path, sha256) for path, sha256 in zip(rows["path"], rows["sha256"], strict=True)]


def _unchanged(batch: Any) -> Any:
    return batch
