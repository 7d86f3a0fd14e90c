"""Batches of images that are changed one by one: the same whichever process reads them, and when a run is resumed."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from rexnet_ai_real.config import AugmentConfig, DataConfig
from rexnet_ai_real.data.changed_images import ChangedImages, Draws
from rexnet_ai_real.data.datamodule import ImageDataModule, ShuffledByEpoch
from rexnet_ai_real.images.decode import UnreadableImage

CHANGED = AugmentConfig(delivery=0.5, native=0.5, crop_scale=0.5)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Thirty images of noise."""
    random = np.random.default_rng(0)
    for number in range(30):
        path = tmp_path / "data" / ("ai" if number % 2 else "real") / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 256, (40, 60, 3), dtype=np.uint8)).save(path)
    return tmp_path / "data"


def module_of(root: Path, augment: AugmentConfig = CHANGED, **options: object) -> ImageDataModule:
    data = {"name": "folder", "root": str(root), "image_size": 32, "batch_size": 4, "workers": 0} | options
    made = ImageDataModule(DataConfig(**data), augment, seed=3)  # type: ignore[arg-type]
    made.prepare_data()
    made.setup("fit")
    return made


def pixels_of(module: ImageDataModule, epoch: int) -> torch.Tensor:
    """(images, 32, 32, 3) of an epoch, in its order."""
    loader = module.train_dataloader()
    loader.sampler.set_epoch(epoch)  # type: ignore[attr-defined]
    return torch.cat([pixels for pixels, _, _ in loader])


def test_processes_and_earlier_epochs_do_not_matter(root: Path) -> None:
    module = module_of(root)
    first, second, third = (pixels_of(module, epoch) for epoch in range(3))
    assert torch.equal(pixels_of(module_of(root, workers=2), 2), third)
    assert torch.equal(pixels_of(module_of(root, cache_gb=0), 0), first)
    assert not torch.equal(first.sort(0).values, second.sort(0).values)
    assert first.shape == (len(module.rows("train")), 32, 32, 3)


def test_labels_and_rows_belong_to_the_images(root: Path) -> None:
    module = module_of(root, AugmentConfig(native=1.0), image_size=40)
    for pixels, labels, rows in module.train_dataloader():
        for image, label, row in zip(pixels.numpy(), labels.tolist(), rows.tolist(), strict=True):
            entry = module.manifest.loc[row]
            whole = np.asarray(Image.open(root / entry["path"]))
            assert any(np.array_equal(whole[:, left : left + 40], image) for left in range(21))
            assert entry["label"] == label


def test_validation_stays_as_it_is(root: Path) -> None:
    plain, changed = module_of(root, AugmentConfig()), module_of(root)
    for ours, theirs in zip(changed.val_dataloader(), plain.val_dataloader(), strict=True):
        assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


def test_a_position_given_twice_is_changed_twice(root: Path) -> None:
    module = module_of(root)
    dataset = module.train_dataloader().dataset
    assert isinstance(dataset, ChangedImages)
    count = len(dataset)
    pixels, labels, rows = dataset.__getitems__([5, count + 5, 5])
    assert not torch.equal(pixels[0], pixels[1])
    assert torch.equal(pixels[0], pixels[2])
    assert len(set(labels.tolist())) == len(set(rows.tolist())) == 1


def test_draws_never_repeat_and_keep_the_order() -> None:
    order, drawn = ShuffledByEpoch(7, 1), Draws(ShuffledByEpoch(7, 1), 7)
    found: list[int] = []
    for epoch in range(3):
        order.set_epoch(epoch)
        drawn.set_epoch(epoch)
        draws = list(drawn)
        assert [draw % 7 for draw in draws] == list(order)
        found += draws
    assert len(set(found)) == 21
    assert len(drawn) == 7


def test_a_file_that_vanishes_is_named(root: Path) -> None:
    module = module_of(root)
    gone = root / module.rows("train")["path"].iloc[0]
    gone.unlink()
    with pytest.raises(UnreadableImage, match=f"{gone.name} was readable when the run began"):
        list(module.train_dataloader())
