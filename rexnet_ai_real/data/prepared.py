"""Images prepared once: decoded, resized to what training needs, and kept as raw pixels that every epoch reads.

The cache has a folder for each size, resize rule and interpolation. It holds blocks of images: `<name>.npy`, the pixels
(n, side, side, 3), and `<name>.json`, the SHA-256 of the files that they came from and of the pixels themselves. The
name is a hash of the former, and the JSON is written last: a run that is killed leaves complete blocks, two runs that
build at once write the same bytes, and folds share everything.

The cache may be damaged, emptied or out of reach at any moment: then images are decoded from their files again. Blocks
are read, not mapped into memory, since a mapped file that is cut short kills the process (SIGBUS).
"""

import contextlib
import errno
import hashlib
import io
import json
import logging
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

import numpy as np
import PIL

from rexnet_ai_real.files import warn_of_cache, write_atomically, write_text
from rexnet_ai_real.images.decode import UnreadableImage, file_bytes
from rexnet_ai_real.images.preprocessing import Pixels, Preprocessing, read_pixels
from rexnet_ai_real.progress import progress_bar

_FORMAT: Final = 1
"""Raised when decoding, resizing or the format of the blocks change."""
_BLOCK_BYTES: Final = 64 << 20
"""Of a block: few files, and little work lost when a run is killed."""
_ABANDONED: Final = 24 * 3600
"""Seconds after which a temporary file counts as left behind by a run that was killed."""

Made = TypeVar("Made")

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Original:
    """An image file and the SHA-256 of its bytes."""

    path: Path
    sha256: str

    def read(self, make: Callable[[bytes], Made]) -> Made:
        """What `make` gives for the bytes of the file.

        Raises:
            UnreadableImage: it has changed or vanished since it was listed; the message names it.
        """
        try:
            with file_bytes(self.path) as data:
                made = make(data)
                sha256 = hashlib.sha256(data).hexdigest()
        except UnreadableImage as error:
            raise UnreadableImage(f"{self.path} was readable when the run began, and is no longer: {error}") from error
        if sha256 != self.sha256:
            raise UnreadableImage(
                f"{self.path} is not the image that it was when the data set was read (its SHA-256 differs). "
                "Put the old one back, or give the command again: it reads the data set anew"
            )
        return made


class _Block:
    """A file of prepared images. It is checked when it is opened, and again if it was changed since."""

    def __init__(self, path: Path, shas: Sequence[str], digest: str) -> None:
        self.path = path
        self.shas = shas
        self.digest = digest
        self._checked: tuple[int, int, int] | None = None

    def is_whole(self) -> bool:
        """Whether the pixels are those that were written; reading them also brings them into memory."""
        try:
            with self.path.open("rb") as file:
                self._checked = _state(file.fileno())
                return hashlib.file_digest(file, "sha256").hexdigest() == self.digest
        except OSError:
            return False

    @property
    def nbytes(self) -> int:
        """Of the file."""
        return self._checked[0] if self._checked else 0

    def read(self, row: int, image: Pixels) -> bool:
        """Fill `image` with the pixels of one image; False if the block is damaged or gone."""
        try:
            with self.path.open("rb", buffering=0) as file:
                if _state(file.fileno()) != self._checked and not self.is_whole():
                    return False
                file.seek((row - len(self.shas)) * image.nbytes, os.SEEK_END)  # the pixels end the file
                return file.readinto(image.data) == image.nbytes
        except OSError:
            return False


def _state(descriptor: int) -> tuple[int, int, int]:
    """What changes when a file is written to or replaced."""
    status = os.fstat(descriptor)
    return status.st_size, status.st_mtime_ns, status.st_ino


class PreparedImages:
    """Prepared pixels of image files, by their position in the list; made and kept by `prepare_images`."""

    def __init__(self, originals: Sequence[Original], preprocessing: Preprocessing, max_pixels: int) -> None:
        """Without blocks every image is read from its file; `prepare_images` adds them."""
        self.originals = originals
        self.preprocessing = preprocessing
        self.max_pixels = max_pixels
        self._positions: dict[str, tuple[_Block, int]] = {}

    def read(self, rows: Sequence[int]) -> Pixels:
        """Pixels (n, side, side, 3) of the images with these numbers.

        Raises:
            UnreadableImage: a file that is not kept has changed or vanished; the message names it.
        """
        side = self.preprocessing.image_size
        pixels = np.empty((len(rows), side, side, 3), np.uint8)
        for row, image in zip(rows, pixels, strict=True):
            block, position = self._positions.get(self.originals[row].sha256, (None, 0))
            if block is not None and not block.read(position, image):
                self._drop(block)
                block = None
            if block is None:
                image[:] = self._from_file(row)
        return pixels

    @property
    def kept(self) -> int:
        """How many of the images come from blocks, not from their files."""
        return sum(original.sha256 in self._positions for original in self.originals)

    def subset(self, originals: Sequence[Original]) -> "PreparedImages":
        """Other images from the same blocks; those that are not in them are read from their files."""
        subset = PreparedImages(originals, self.preprocessing, self.max_pixels)
        subset._positions = self._positions
        return subset

    def _from_file(self, row: int) -> Pixels:
        return self.originals[row].read(lambda data: read_pixels(data, self.preprocessing, max_pixels=self.max_pixels))

    def _add(self, block: _Block) -> None:
        self._positions |= {sha: (block, row) for row, sha in enumerate(block.shas)}

    def _drop(self, damaged: _Block) -> None:
        log.warning("The cache file %s was damaged or removed: its images are decoded again", damaged.path)
        for sha in damaged.shas:
            if self._positions.get(sha, (None, 0))[0] is damaged:
                del self._positions[sha]


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

    Ctrl-C keeps the finished blocks. A damaged block is made again. Where the cache cannot be written, a warning says
    so once, and what is not kept is read from its file each time.

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
    """
    prepared = PreparedImages(originals, preprocessing, max_pixels)
    if max_bytes <= 0:
        return prepared
    folder = cache / "prepared" / _key(preprocessing)
    wanted = {original.sha256: row for row, original in reversed(list(enumerate(originals)))}
    kept = [block for block in _kept_blocks(folder) if wanted.keys() & set(block.shas) and block.is_whole()]
    for block in kept:
        prepared._add(block)
        _mark_as_used(block)
    missing = [row for sha, row in sorted(wanted.items(), key=lambda item: item[1]) if sha not in prepared._positions]
    size = preprocessing.image_size**2 * 3
    room = max_bytes - sum(block.nbytes for block in kept)
    missing = missing[: max(room, 0) // size]
    if missing:
        try:
            _make_room(cache / "prepared", max_bytes - len(missing) * size, {block.path for block in kept})
            _build(prepared, missing, folder, max(1, _BLOCK_BYTES // size), workers or os.cpu_count() or 1, progress)
        except OSError as error:
            warn_of_cache(cache, error)
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
                prepared._add(_write_block(folder, shas, pixels))
    finally:  # on Ctrl-C too: images that wait are dropped
        pool.shutdown(cancel_futures=True)


def _write_block(folder: Path, shas: Sequence[str], pixels: Pixels) -> _Block:
    path = folder / f"{hashlib.sha256(''.join(shas).encode()).hexdigest()[:32]}.npy"
    # The digest is that of the pixels in memory, not of what a full or failing disk made of them.
    written = io.BytesIO()
    np.save(written, pixels)
    block = _Block(path, shas, hashlib.sha256(written.getbuffer()).hexdigest())
    with write_atomically(path) as temporary:
        temporary.write_bytes(written.getbuffer())
    if not block.is_whole():
        raise OSError(errno.EIO, "what was written reads differently", str(path))
    write_text(path.with_suffix(".json"), json.dumps({"pixels": block.digest, "images": list(shas)}))
    return block


def _kept_blocks(folder: Path) -> list[_Block]:
    kept = []
    for index in sorted(folder.glob("*.json")):
        try:
            plain = json.loads(index.read_text())
            kept.append(_Block(index.with_suffix(".npy"), [str(sha) for sha in plain["images"]], plain["pixels"]))
        except (OSError, ValueError, KeyError, TypeError):  # damaged, or removed by another run at this moment
            continue
    return kept


def _mark_as_used(block: _Block) -> None:
    with contextlib.suppress(OSError):  # of another user, or on a disk that is for reading only
        os.utime(block.path.with_suffix(".json"))


def _make_room(folder: Path, max_bytes: int, in_use: set[Path]) -> None:
    """Remove what killed runs left, and the least recently used blocks until the others fit; never those `in_use`."""
    for left in folder.glob("*/.*"):
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime > _ABANDONED:
                left.unlink()
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


def _key(preprocessing: Preprocessing) -> str:
    parts: list[object] = [
        _FORMAT,
        PIL.__version__,
        preprocessing.image_size,
        preprocessing.resize,
        preprocessing.interpolation,
    ]
    if "native" in preprocessing.views:  # its frames come from images that are decoded at their full size
        parts.append("full")
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]
