"""What the data module refuses before any training, and where it keeps what it has read."""

import logging
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rexnet_ai_real.config import AugmentConfig, ConfigError, DataConfig
from rexnet_ai_real.data.datamodule import ImageDataModule
from rexnet_ai_real.data.listed import MissingImagesError
from rexnet_ai_real.images.decode import UnreadableImage


def tree(root: Path, *folders: str, count: int = 12) -> Path:
    random = np.random.default_rng(0)
    for folder in folders:
        (root / folder).mkdir(parents=True)
        for number in range(count):
            small = Image.fromarray(random.integers(0, 256, (9, 9, 3), dtype=np.uint8))
            small.resize((32, 32)).save(root / folder / f"{number}.png")
    return root


def module_of(root: Path, **options: object) -> ImageDataModule:
    data = {"name": "folder", "root": str(root), "image_size": 32, "batch_size": 4, "workers": 0} | options
    return ImageDataModule(DataConfig(**data), AugmentConfig(), seed=0)  # type: ignore[arg-type]


def test_a_batch_larger_than_the_training_part_says_what_fits(tmp_path: Path) -> None:
    images = module_of(tree(tmp_path / "data", "ai", "real"), batch_size=32)
    with pytest.raises(ConfigError, match=r"^data\.batch_size=32: 16 images to train on under .*; use at most 8$"):
        images.setup("fit")


def test_a_class_without_folders_is_told_before_anything_is_read(tmp_path: Path) -> None:
    images = module_of(tree(tmp_path / "data", "sdxl", "midjourney", "real"), cache=str(tmp_path / "cache"))
    with pytest.raises(MissingImagesError, match=r"'data\.classes=\{midjourney: ai, sdxl: ai\}'"):
        images.prepare_data()
    assert not (tmp_path / "cache").exists()


def test_the_cache_lies_where_the_setting_says(tmp_path: Path) -> None:
    images = module_of(tree(tmp_path / "data", "ai", "real"), cache=str(tmp_path / "cache"))
    images.prepare_data()
    assert {path.name for path in (tmp_path / "cache").iterdir()} == {"facts", "prepared"}


def test_training_goes_on_without_a_cache_that_can_be_written(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "cache").touch()
    images = module_of(tree(tmp_path / "data", "ai", "real"), cache=str(tmp_path / "cache"))
    with caplog.at_level(logging.WARNING):
        images.prepare_data()
        images.setup("fit")
        batches = list(images.train_dataloader())
    assert [len(batch[0]) for batch in batches] == [4, 4, 4, 4]
    assert caplog.text.count("cannot be written") == 1


def test_an_image_replaced_after_the_manifest_is_an_error_while_training(tmp_path: Path) -> None:
    root = tree(tmp_path / "data", "ai", "real")
    images = module_of(root, cache_gb=0)
    images.setup("fit")
    for path in root.rglob("*.png"):
        Image.new("RGB", (32, 32)).save(path)
    with pytest.raises(UnreadableImage, match="is not the image that it was when the data set was read"):
        list(images.train_dataloader())
