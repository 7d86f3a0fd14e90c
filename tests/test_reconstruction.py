"""Aligned pairs: copies that are made once, and change as their photographs do. The autoencoder here is a stand-in."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from rexnet_ai_real.config import AugmentConfig, DataConfig, PairsConfig
from rexnet_ai_real.data import reconstruction
from rexnet_ai_real.data.datamodule import ImageDataModule
from rexnet_ai_real.data.prepared import Original
from rexnet_ai_real.data.reconstruction import blended, reconstruct
from rexnet_ai_real.errors import UserError
from rexnet_ai_real.images.limits import MAX_PIXELS
from rexnet_ai_real.labels import AI, REAL

STRONG = {"flip": 0.5, "rotation": 20.0, "crop_scale": 0.5, "brightness": 0.5, "contrast": 0.5, "saturation": 0.5}
FIXED = {"jpeg": 0.5, "blur": 0.5, "erasing": 0.5, "delivery": 0.5, "native": 0.5}


class Identity(nn.Module):
    """Gives back what it gets, and counts how often."""

    def __init__(self) -> None:
        """Its only weight is there to be changed."""
        super().__init__()
        self.sizes: list[tuple[int, ...]] = []
        self.weight = nn.Parameter(torch.zeros(1), requires_grad=False)

    def forward(self, images: Tensor) -> Tensor:
        self.sizes.append(tuple(images.shape))
        return images


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> Identity:
    made = Identity()
    monkeypatch.setattr(reconstruction, "load_autoencoder", lambda _: made)
    return made


@pytest.fixture
def root(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    for number in range(24):
        path = tmp_path / "data" / ("ai" if number % 2 else "real") / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        small = Image.fromarray(random.integers(0, 256, (6, 9, 3), dtype=np.uint8))
        small.resize((90 + number, 61)).save(path)
    return tmp_path / "data"


def originals(root: Path) -> list[Original]:
    return [Original(path, hashlib.sha256(path.read_bytes()).hexdigest()) for path in sorted(root.rglob("*.png"))]


def module_of(root: Path, share: float = 1.0, **augment: float) -> ImageDataModule:
    pairs = PairsConfig(share=share, blend=0.0)
    data = DataConfig("folder", str(root), image_size=32, batch_size=6, workers=0, pairs=pairs)
    made = ImageDataModule(data, AugmentConfig(**augment), seed=0)
    made.setup("fit")
    return made


def test_copies_are_made_once_at_their_own_size(network: Identity, root: Path, tmp_path: Path) -> None:
    files, config = originals(root)[:3], PairsConfig(longest=64)
    made = reconstruct(files, config, cache=tmp_path, max_pixels=MAX_PIXELS, progress=False)
    assert all(side % 8 == 0 for shape in network.sizes for side in shape[2:])
    again = reconstruct(files, config, cache=tmp_path, max_pixels=MAX_PIXELS, progress=False)
    assert len(network.sizes) == 3
    for file in files:
        photograph, copy = again.pair(file)
        assert photograph.width == 64
        assert np.array_equal(np.asarray(photograph), np.asarray(copy))
    reconstruct(files, PairsConfig(longest=80), cache=tmp_path, max_pixels=MAX_PIXELS, progress=False)
    network.weight.add_(1)  # another autoencoder
    reconstruct(files, config, cache=tmp_path, max_pixels=MAX_PIXELS, progress=False)
    assert len(network.sizes) == 9
    made.file(files[0]).write_bytes(b"RIFF")
    with pytest.raises(UserError, match="Remove it: the next run makes it again"):
        made.pair(files[0])


def test_ctrl_c_keeps_what_is_finished(
    network: Identity, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files, through, calls = originals(root)[:4], reconstruction._through, iter(range(9))

    def interrupted(*arguments: object) -> Image.Image:
        if next(calls) == 2:
            raise KeyboardInterrupt
        return through(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(reconstruction, "_through", interrupted)
    with pytest.raises(KeyboardInterrupt):
        reconstruct(files, PairsConfig(), cache=tmp_path, max_pixels=MAX_PIXELS, progress=False)
    reconstruct(files, PairsConfig(), cache=tmp_path, max_pixels=MAX_PIXELS, progress=False)
    assert len(network.sizes) == 4


def test_a_cache_that_cannot_be_written_is_one_sentence(network: Identity, root: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"cannot be written .*data\.cache=DIR"):
        reconstruct(originals(root)[:1], PairsConfig(), cache=tmp_path / "file", max_pixels=MAX_PIXELS, progress=False)


def test_a_photograph_and_its_copy_change_alike(network: Identity, root: Path) -> None:
    module = module_of(root, **STRONG, **FIXED)
    assert not network.sizes  # not before the settings are checked
    module.trainer = type(
        "InTraining", (), {"training": True, "overfit_batches": 0, "fast_dev_run": False, "current_epoch": 0}
    )()
    seen = 0
    for batch in module.train_dataloader():
        torch.manual_seed(seen)
        images, labels, rows = module.on_after_batch_transfer(batch, 0)
        for place, row in enumerate(rows.tolist()):
            if row < 0:
                original = -1 - row
                assert labels[[original, place]].tolist() == [REAL, AI]
                assert module.manifest.loc[int(rows[original]), "label"] == REAL
                torch.testing.assert_close(images[place], images[original])
                seen += 1
        after = torch.rand(3)
        torch.manual_seed(seen - int((rows < 0).sum()))
        plain = module._changed(batch[0][rows >= 0].permute(0, 3, 1, 2).float() / 255)
        torch.testing.assert_close(images[rows >= 0], plain)  # as without copies
        assert torch.equal(torch.rand(3), after)
    assert seen == (module.rows("train")["label"] == REAL).sum()
    assert len(network.sizes) == seen  # no image that is held out was reconstructed


def test_the_share_of_copies_is_that_asked_for(network: Identity, root: Path) -> None:
    dataset = module_of(root, share=0.4).train_dataloader().dataset
    real = next(place for place in range(len(dataset)) if dataset.labels[place] == REAL)  # type: ignore[arg-type, attr-defined]
    draws = [turn * len(dataset) + real for turn in range(200)]  # type: ignore[arg-type]
    pixels, labels, rows = dataset.__getitems__(draws)  # type: ignore[attr-defined]
    assert len(pixels) == len(labels) == len(rows)
    assert 60 < (labels == AI).sum() < 100
    without = module_of(root, share=0.0)
    assert without.reconstruct(without.rows("train")) is None


def test_a_try_reconstructs_one_batch(network: Identity, root: Path) -> None:
    module = module_of(root)
    module.trainer = type("Trying", (), {"overfit_batches": 0, "fast_dev_run": True, "current_epoch": 0})()
    (_, labels, rows), *_ = module.train_dataloader()
    assert (rows < 0).sum() == (labels == REAL).sum() < 6
    assert len(network.sizes) < 6  # none where the cache holds them


def test_blends_lie_between_the_two() -> None:
    black, white = Image.new("RGB", (4, 4)), Image.new("RGB", (4, 4), "white")
    found = [blended(black, white, 0.3, np.random.default_rng(seed)).getpixel((0, 0))[0] for seed in range(300)]  # type: ignore[index]
    mixed = [value for value in found if value < 255]
    assert 60 < len(mixed) < 120
    assert 0.2 * 255 - 1 <= min(mixed) < 80
    assert 175 < max(mixed) <= 0.8 * 255 + 1
