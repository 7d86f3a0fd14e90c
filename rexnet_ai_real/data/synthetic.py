"""The synthetic data set: a folder of scenes from a seed, half "photographed", half "generated", drawn in seconds.

It stands in for real data only to show that everything works without a download. It says nothing about how well a
detector does on real images: its two classes are nothing but the two simulations in `scenes`. File format and file size
have one distribution for both classes, so that only the pixels tell them apart.
"""

import json
import os
import re
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from PIL import Image, PngImagePlugin

from rexnet_ai_real.data.scenes import render
from rexnet_ai_real.errors import UserError
from rexnet_ai_real.labels import LABELS
from rexnet_ai_real.progress import track

VERSION: Final = 1  # raised whenever the images change, so that folders of an older version are made again
RECIPE: Final = "Recipe"  # the text chunk of each PNG that holds what it was made from


class SyntheticError(UserError, ValueError):
    """The synthetic images cannot be made: an impossible setting, or a folder that holds something else."""


def make_images(
    root: Path, *, count: int = 600, size: int = 96, seed: int = 0, workers: int | None = None, progress: bool = True
) -> Path:
    """Fill `root` with `real/NNNNN.png` and `ai/NNNNN.png`, `count` in all, `size` x `size` px each; return `root`.

    The same `count`, `size` and `seed` give the same images. A folder that holds them already is left as it is; one
    made from other values, or without one of its images, is made again. The folder is created atomically: an
    interruption leaves nothing incomplete, and several processes may ask for the same folder at once.

    Args:
        root: folder to fill.
        count: images of both classes together, an even number.
        size: side in pixels, an even number, at least 32.
        seed: another seed, other images; not negative.
        workers: threads that draw; None: one per core.
        progress: show a progress bar on stderr.

    Raises:
        SyntheticError: count, size or seed is impossible, or `root` holds other files, which are left alone.
    """
    if count < 2 or count % 2:
        raise SyntheticError(f"count={count}: an even number of images is expected, half of them for each class")
    if size < 32 or size % 2:
        raise SyntheticError(f"size={size}: an even number of pixels is expected, at least 32")
    if seed < 0:
        raise SyntheticError(f"seed={seed}: a number that is not negative is expected")
    recipe = json.dumps({"version": VERSION, "count": count, "size": size, "seed": seed})
    if _is_made(root, recipe, count):
        return root
    _check_replaceable(root)
    target = root.resolve()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{target.name}-", dir=target.parent) as folder:
            made, old = Path(folder, "made"), Path(folder, "old")
            _write_images(made, recipe, count, size, seed, workers, progress)
            if target.exists() and not _is_made(target, recipe, count):
                target.rename(old)
            made.rename(target)
    except OSError as error:
        if not _is_made(root, recipe, count):  # else another process was faster
            raise SyntheticError(
                f"The synthetic images cannot be made in {root}: {error}. "
                "Name a folder whose parent folder can be written to, on a disk with room"
            ) from error
    return root


def _names(count: int) -> list[str]:
    return [f"{index:05d}.png" for index in range(count // 2)]


def _is_made(root: Path, recipe: str, count: int) -> bool:
    names = _names(count)
    return all(
        (root / label).is_dir()
        and set(names).issubset(os.listdir(root / label))
        and _recipe(root / label / names[0]) == recipe
        for label in LABELS
    )


def _recipe(file: Path) -> str | None:
    try:
        with Image.open(file) as image:
            return image.info.get(RECIPE)
    except OSError:
        return None


def _check_replaceable(root: Path) -> None:
    """Only a folder that holds nothing but synthetic images may be replaced."""
    if not root.exists():
        return
    foreign = root if root.is_file() else next(filter(_is_foreign, sorted(root.rglob("*"))), None)
    if foreign:
        raise SyntheticError(
            f"The synthetic images cannot be made in {root}: {foreign} is not one of them, and is left alone. "
            "Name a new or an empty folder, such as data.root=data/synthetic-2"
        )


def _is_foreign(path: Path) -> bool:
    if path.is_dir() and not path.is_symlink():
        return path.name not in LABELS
    return not re.fullmatch(r"\d{5,}\.png", path.name) or _recipe(path) is None


def _write_images(
    root: Path, recipe: str, count: int, size: int, seed: int, workers: int | None, progress: bool
) -> None:
    text = PngImagePlugin.PngInfo()
    text.add_text(RECIPE, recipe)
    for label in LABELS:
        (root / label).mkdir(parents=True)

    def write(number: int) -> None:
        index, label = divmod(number, len(LABELS))
        image = Image.fromarray(render(label, index, size=size, seed=seed))
        # Not compressed, so that every file has the same number of bytes: a smooth image would make a smaller one.
        image.save(root / LABELS[label] / f"{index:05d}.png", compress_level=0, pnginfo=text)

    pool = ThreadPoolExecutor(workers or os.cpu_count())
    try:
        written = pool.map(write, range(count))
        for _ in track(written, "Drawing images", count, shown=progress, transient=False):
            pass
    finally:
        pool.shutdown(cancel_futures=True)
