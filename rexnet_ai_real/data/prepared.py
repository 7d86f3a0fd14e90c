"""Images prepared once: decoded, resized to what training needs, and kept as raw pixels that every epoch maps.

The cache has a folder for each size, resize rule and interpolation. It holds blocks of images: `<name>.npy`, the pixels
(n, side, side, 3), and `<name>.json`, the SHA-256 of the files that they came from and of the pixels themselves. The
name is a hash of the former, and the JSON is written last: a run that is killed leaves complete blocks, two runs that
build at once write the same bytes, and folds share everything.
"""

import hashlib
import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import PIL

from rexnet_ai_real.files import write_atomically, write_text
from rexnet_ai_real.images.decode import UnreadableImage
from rexnet_ai_real.images.preprocessing import Pixels, Preprocessing, read_pixels
from rexnet_ai_real.progress import progress_bar

_FORMAT: Final = 1
"""Raised when decoding, resizing or the format of the blocks change."""
_BLOCK_BYTES: Final = 64 << 20
"""Of a block: few files, and little work lost when a run is killed."""


@dataclass(frozen=True, slots=True)
class Original:
    """An image file and the SHA-256 of its bytes."""

    path: Path
    sha256: str


class PreparedImages:
    """Prepared pixels of image files, by their position in the list; made and kept by `prepare_images`."""

    def __init__(self, originals: Sequence[Original], preprocessing: Preprocessing, max_pixels: int) -> None:
        """Without blocks every image is read from its file; `prepare_images` adds them."""
        self.originals = originals
        self.preprocessing = preprocessing
        self.max_pixels = max_pixels
        self._blocks: list[Pixels] = []
        self._positions: dict[str, tuple[int, int]] = {}

    def read(self, rows: Sequence[int]) -> Pixels:
        """Pixels (n, side, side, 3) of the images with these numbers.

        Raises:
            UnreadableImage: a file that is not kept has changed or vanished; the message names it.
        """
        side = self.preprocessing.image_size
        pixels = np.empty((len(rows), side, side, 3), np.uint8)
        for row, image in zip(rows, pixels, strict=True):
            position = self._positions.get(self.originals[row].sha256)
            image[:] = self._from_file(row) if position is None else self._blocks[position[0]][position[1]]
        return pixels

    @property
    def kept(self) -> int:
        """How many of the images come from blocks, not from their files."""
        return sum(original.sha256 in self._positions for original in self.originals)

    def subset(self, originals: Sequence[Original]) -> "PreparedImages":
        """Other images from the same blocks; those that are not in them are read from their files."""
        subset = PreparedImages(originals, self.preprocessing, self.max_pixels)
        subset._blocks, subset._positions = self._blocks, self._positions
        return subset

    def _from_file(self, row: int) -> Pixels:
        original = self.originals[row]
        try:
            return read_pixels(original.path, self.preprocessing, max_pixels=self.max_pixels)
        except UnreadableImage as error:
            raise UnreadableImage(
                f"{original.path} was readable when the run began, and is no longer: {error}"
            ) from error

    def _open(self, block: Path, shas: Sequence[str]) -> None:
        self._positions |= {sha: (len(self._blocks), row) for row, sha in enumerate(shas)}
        self._blocks.append(np.load(block, mmap_mode="r"))


def prepare_images(
    originals: Sequence[Original],
    preprocessing: Preprocessing,
    *,
    cache: Path,
    max_pixels: int,
    max_bytes: int,
    workers: int | None = None,
    progress: bool = True,
) -> PreparedImages:
    """Open what is kept of these images, prepare the rest in parallel, and keep it.

    Ctrl-C keeps the finished blocks. A damaged block is made again.

    Args:
        originals: the images; the same content under two paths is kept once.
        preprocessing: its size, resize rule and interpolation matter here.
        cache: folder in which to keep pixels.
        max_pixels: an image with more cannot be read.
        max_bytes: that all blocks together may take there, of every size; the least recently used are removed first.
            Images for which there is no room are read from their files each time.
        workers: threads that decode; None: one per core.
        progress: show a progress bar on stderr.

    Raises:
        UnreadableImage: a file changed or vanished; the message names it.
        OSError: the cache folder cannot be written.
    """
    prepared = PreparedImages(originals, preprocessing, max_pixels)
    if max_bytes <= 0:
        return prepared
    folder = cache / "prepared" / _key(preprocessing)
    wanted = {original.sha256: row for row, original in reversed(list(enumerate(originals)))}
    for kept in _kept_blocks(folder):
        if wanted.keys() & set(kept.shas) and kept.is_whole():
            prepared._open(kept.block, kept.shas)
            os.utime(kept.block.with_suffix(".json"))
    missing = [row for sha, row in sorted(wanted.items(), key=lambda item: item[1]) if sha not in prepared._positions]
    size = preprocessing.image_size**2 * 3
    room = max_bytes - sum(block.nbytes for block in prepared._blocks)
    missing = missing[: max(room, 0) // size]
    if missing:
        _make_room(cache / "prepared", max_bytes - len(missing) * size, {Path(b.filename) for b in _maps(prepared)})
        _build(prepared, missing, folder, max(1, _BLOCK_BYTES // size), workers or os.cpu_count() or 1, progress)
    return prepared


def _build(
    prepared: PreparedImages, rows: Sequence[int], folder: Path, block_rows: int, workers: int, progress: bool
) -> None:
    side = prepared.preprocessing.image_size
    pool = ThreadPoolExecutor(workers, thread_name_prefix="prepare")
    try:
        with progress_bar(shown=progress, transient=True) as bar:
            task = bar.add_task("Preparing images", total=len(rows))
            for start in range(0, len(rows), block_rows):
                batch = rows[start : start + block_rows]
                pixels = np.empty((len(batch), side, side, 3), np.uint8)
                for position, image in enumerate(pool.map(prepared._from_file, batch)):
                    pixels[position] = image
                    bar.advance(task)
                shas = [prepared.originals[row].sha256 for row in batch]
                prepared._open(_write_block(folder, shas, pixels), shas)
    finally:  # on Ctrl-C too: images that wait are dropped
        pool.shutdown(cancel_futures=True)


def _write_block(folder: Path, shas: Sequence[str], pixels: Pixels) -> Path:
    block = folder / f"{hashlib.sha256(''.join(shas).encode()).hexdigest()[:32]}.npy"
    with write_atomically(block) as temporary:
        np.save(temporary, pixels)
    write_text(block.with_suffix(".json"), json.dumps({"pixels": _digest(block), "images": list(shas)}))
    return block


@dataclass(frozen=True, slots=True)
class _Kept:
    """A block as its index describes it."""

    block: Path
    shas: list[str]
    digest: str

    def is_whole(self) -> bool:
        """Whether the pixels are those that were written; reading them also brings them into memory."""
        try:
            return self.digest == _digest(self.block)
        except OSError:
            return False


def _kept_blocks(folder: Path) -> list[_Kept]:
    kept = []
    for index in sorted(folder.glob("*.json")):
        try:
            plain = json.loads(index.read_text())
            kept.append(_Kept(index.with_suffix(".npy"), [str(sha) for sha in plain["images"]], plain["pixels"]))
        except (OSError, ValueError, KeyError, TypeError):  # damaged, or removed by another run at this moment
            continue
    return kept


def _digest(block: Path) -> str:
    with block.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _make_room(folder: Path, max_bytes: int, in_use: set[Path]) -> None:
    """Remove the least recently used blocks until the others fit; never those of this run."""
    blocks = []
    for index in folder.glob("*/*.json"):
        try:
            blocks.append((index.stat().st_mtime, index, index.with_suffix(".npy").stat().st_size))
        except OSError:
            continue
    total = sum(size for _, _, size in blocks)
    for _, index, size in sorted(blocks):
        if total <= max_bytes:
            return
        if index.with_suffix(".npy") not in in_use:
            index.unlink(missing_ok=True)  # first, so that no run finds an index without its pixels
            index.with_suffix(".npy").unlink(missing_ok=True)
            total -= size


def _maps(prepared: PreparedImages) -> list[Any]:
    return [block for block in prepared._blocks if isinstance(block, np.memmap)]


def _key(preprocessing: Preprocessing) -> str:
    parts = [_FORMAT, PIL.__version__, preprocessing.image_size, preprocessing.resize, preprocessing.interpolation]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]
