"""Batches of images, from files every time and from prepared pixels: `python -m benchmarks.loader FOLDER...`.

What stands against it is the usual way: torchvision's ImageFolder with Pillow and the same resizing and normalising, in
one process. The candidates for keeping images are measured side by side; training uses the first.
"""

import argparse
import hashlib
import io
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.numpy import save_file
from torchvision import transforms
from torchvision.datasets.folder import default_loader

from benchmarks.images import readable_images
from benchmarks.side_by_side import table, take_turns, write_section
from rexnet_ai_real.config import DataConfig, preprocessing_of
from rexnet_ai_real.data.prepared import Original, PreparedImages, prepare_images
from rexnet_ai_real.images.limits import MAX_PIXELS
from rexnet_ai_real.images.transforms import normalise, unit_range

BATCH = 32
PREPROCESSING = preprocessing_of(DataConfig(name="folder"))
USUAL = "ImageFolder with Pillow"


def main() -> None:
    """Measure every folder given."""
    parser = argparse.ArgumentParser(description="Time the loading of images.")
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--count", type=int, default=128, help="images of each folder")
    options = parser.parse_args()
    torch.set_num_threads(1)
    for folder in options.folders:
        measure(folder, options.count)


def measure(folder: Path, count: int) -> None:
    """One section of the results."""
    files = readable_images(folder, count)
    with tempfile.TemporaryDirectory() as temporary:
        cache = Path(temporary)
        originals = [Original(file, hashlib.sha256(file.read_bytes()).hexdigest()) for file in files]
        kept = prepare_images(
            originals, PREPROCESSING, cache=cache, max_pixels=MAX_PIXELS, max_bytes=1 << 33, progress=False
        )
        things: dict[str, Callable[[], object]] = {
            USUAL: lambda: _usual(files),
            "this project, every time from the file": lambda: _prepared(
                PreparedImages(originals, PREPROCESSING, MAX_PIXELS), len(files)
            ),
            "this project, from the second epoch on (mapped pixels)": lambda: _prepared(kept, len(files)),
            "candidate: safetensors": _safetensors(kept, cache / "pixels.safetensors", len(files)),
            "candidate: JPEG 95 at the size of training": _small_jpegs(kept, len(files)),
        }
        timings = take_turns(things, items=len(files))
    size = kept.preprocessing.image_size
    text = (
        f"{len(files)} images of `{folder.name}` as normalised tensors of {size} px, batches of {BATCH}, one thread."
        "\n\n" + table(timings, USUAL)
    )
    write_section(f"Loading images: {folder.name}", text, threads=1)


def _usual(files: Sequence[Path]) -> None:
    size = PREPROCESSING.image_size
    prepare = transforms.Compose(
        [
            transforms.Resize((size, size)),
            transforms.ToTensor(),
            transforms.Normalize(PREPROCESSING.mean, PREPROCESSING.std),
        ]
    )
    for start in range(0, len(files), BATCH):
        torch.stack([prepare(default_loader(str(file))) for file in files[start : start + BATCH]])


def _prepared(images: PreparedImages, count: int) -> None:
    for start in range(0, count, BATCH):
        _normalised(images.read(range(start, min(start + BATCH, count))))


def _normalised(pixels: "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]") -> torch.Tensor:
    return normalise(unit_range(torch.from_numpy(pixels)), PREPROCESSING)


def _safetensors(kept: PreparedImages, file: Path, count: int) -> Callable[[], object]:
    save_file({"pixels": kept.read(range(count))}, file)

    def read() -> None:
        with safe_open(file, "np") as tensors:
            pixels = tensors.get_slice("pixels")
            for start in range(0, count, BATCH):
                _normalised(np.stack([pixels[row] for row in range(start, min(start + BATCH, count))]))

    return read


def _small_jpegs(kept: PreparedImages, count: int) -> Callable[[], object]:
    stored = []
    for image in kept.read(range(count)):
        memory = io.BytesIO()
        Image.fromarray(image).save(memory, "JPEG", quality=95)
        stored.append(memory.getvalue())

    def read() -> None:
        for start in range(0, count, BATCH):
            _normalised(np.stack([np.array(Image.open(io.BytesIO(data))) for data in stored[start : start + BATCH]]))

    return read


if __name__ == "__main__":
    main()
