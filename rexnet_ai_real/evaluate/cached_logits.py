"""Logits of images under many corruptions, kept on disk piece by piece, so that an interrupted evaluation continues."""

import hashlib
import os
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache as cache_calls
from pathlib import Path
from typing import Any, Final
from zipfile import BadZipFile

import numpy as np
import PIL
from PIL.Image import Image
from rich.markup import escape
from rich.progress import Progress, TaskID

from rexnet_ai_real.errors import UserError
from rexnet_ai_real.evaluate.corruptions import VERSION, Corruption
from rexnet_ai_real.evaluate.part import LabelledImage
from rexnet_ai_real.files import write_atomically
from rexnet_ai_real.images.decode import UnreadableImage, decode
from rexnet_ai_real.metrics.scores import FloatArray
from rexnet_ai_real.progress import progress_bar

Prepare = Callable[[Image, LabelledImage, Corruption], Any]
Predict = Callable[[Iterable[Any]], FloatArray]

# Images per cached piece: 16 x 47 predictions are lost at most, some ten seconds of work on two cores.
_PIECE: Final = 16
# Prepared images that may wait for the network: two batches of 32, 40 MB at 224 px.
_AHEAD: Final = 64


class BadLogits(UserError, ValueError):
    """A detector that gives no logits, or none that are numbers."""


def corrupted_logits(
    images: Sequence[LabelledImage],
    predict: Predict,
    *,
    fingerprint: str,
    cache: Path,
    corruptions: Sequence[Corruption],
    prepare: Prepare,
    workers: int | None,
    max_pixels: int,
    enough: int | None = None,
    progress: bool,
    title: str = "Corrupted images",
) -> FloatArray:
    """Logits of every image under every corruption, (images, corruptions). Each image is decoded once.

    Args:
        images: at least one.
        predict: takes what `prepare` gives, lazily and in order; returns one logit of "AI-generated" for each, (n,).
        fingerprint: of weights and preprocessing; predictions are kept under it.
        cache: folder of finished predictions; an interrupted call continues from there. What is damaged there is
            predicted again; where nothing can be written, a line on stderr says so once, and the work goes on.
        corruptions: what is done to each image. They depend on its sha256 only.
        prepare: from a corrupted RGB image, the image that it was and what was done to it, to what `predict` takes;
            runs in the worker threads. Up to 64 of its results wait for `predict`, so it should make large images
            small.
        workers: threads that decode, corrupt and prepare ahead of the network; None: one per core.
        max_pixels: most pixels that an image may have.
        enough: as in `decode`.
        progress: show a bar on stderr, with `title` beside it.
        title: of the bar.

    Raises:
        UnreadableImage: an image cannot be decoded; the message begins with its path.
        ChangedImage: a file holds another image than its digest says.
        BadLogits: `predict` returned the wrong number of logits or non-finite ones.
    """
    pieces = [images[start : start + _PIECE] for start in range(0, len(images), _PIECE)]
    found: list[FloatArray] = []
    pool = ThreadPoolExecutor(workers or os.cpu_count() or 1, thread_name_prefix="corruption")
    try:
        with progress_bar(shown=progress) as bar:
            task = bar.add_task(escape(title), total=len(images) * len(corruptions))
            for piece in pieces:
                kept = cache / f"{_digest(piece, corruptions, fingerprint)}.npz"
                table = _read(kept, (len(piece), len(corruptions)))
                if table is None:
                    stream = _stream(piece, corruptions, prepare, pool, max_pixels, enough)
                    table = _checked(predict(_counted(stream, bar, task)), piece, corruptions)
                    _write(kept, table)
                else:
                    bar.advance(task, len(piece) * len(corruptions))
                found.append(table)
    finally:  # on Ctrl-C too: finished pieces are on disk, waiting work is dropped
        pool.shutdown(cancel_futures=True)
    return np.concatenate(found)


def _stream(
    images: Sequence[LabelledImage],
    corruptions: Sequence[Corruption],
    prepare: Prepare,
    pool: ThreadPoolExecutor,
    max_pixels: int,
    enough: int | None,
) -> Iterator[Any]:
    """Every image under every corruption, in order, made by the pool ahead of the reader.

    Threads suffice: Pillow's filters and codecs and NumPy's noise run outside the interpreter lock. The pool takes work
    in order, so a decode has always begun before the first corruption waits for it.
    """
    pending: deque[Future[Any]] = deque()
    for image in images:
        decoded = pool.submit(_decoded, image, max_pixels, enough)
        for corruption in corruptions:
            pending.append(pool.submit(_corrupted, decoded, corruption, image, prepare))
            if len(pending) == _AHEAD:
                yield pending.popleft().result()
    while pending:
        yield pending.popleft().result()


def _counted(stream: Iterator[Any], bar: Progress, task: TaskID) -> Iterator[Any]:
    for item in stream:
        yield item
        bar.advance(task)


def _decoded(image: LabelledImage, max_pixels: int, enough: int | None) -> Image:
    data = image.read()
    try:
        return decode(data, max_pixels=max_pixels, enough=enough)
    except UnreadableImage as problem:
        raise UnreadableImage(f"{image.path}: {problem}") from problem


def _read(file: Path, shape: tuple[int, int]) -> FloatArray | None:
    """Finished predictions of this shape; None where there are none, or the file is damaged."""
    try:
        with file.open("rb") as stream, np.load(stream) as kept:  # a zip archive: its checksum is tested
            table = kept["logits"]
    except (OSError, ValueError, EOFError, KeyError, BadZipFile):
        return None
    return table if table.shape == shape and table.dtype == np.float64 and np.isfinite(table).all() else None


def _write(file: Path, table: FloatArray) -> None:
    try:
        with write_atomically(file) as temporary:
            np.savez(temporary, logits=table)
    except OSError as error:
        _warn(file.parent, (error.strerror or type(error).__name__).lower())


@cache_calls
def _warn(folder: Path, reason: str) -> None:
    """Once for each folder."""
    print(
        f"Predictions cannot be kept in {folder} ({reason}): the evaluation goes on, and would start anew if stopped.",
        file=sys.stderr,
    )


def _corrupted(decoded: "Future[Image]", corruption: Corruption, image: LabelledImage, prepare: Prepare) -> Any:
    return prepare(corruption(decoded.result(), image.sha256), image, corruption)


def _checked(logits: FloatArray, images: Sequence[LabelledImage], corruptions: Sequence[Corruption]) -> FloatArray:
    """Logits (n,) of the stream -> (images, corruptions), float64."""
    flat = np.asarray(logits, dtype=np.float64)
    shape = (len(images), len(corruptions))
    if flat.shape != (shape[0] * shape[1],):
        raise BadLogits(f"predict returned logits of shape {flat.shape} for {shape[0] * shape[1]} images")
    table = flat.reshape(shape)
    broken = np.argwhere(~np.isfinite(table))
    if broken.size:
        row, column = broken[0]
        raise BadLogits(
            f"the logit of {images[row].path} under {corruptions[column].name} is {table[row, column]}; a trained "
            "detector gives finite logits: look at its weights and at the precision that it runs in"
        )
    return table


def _digest(images: Sequence[LabelledImage], corruptions: Sequence[Corruption], fingerprint: str) -> str:
    """Everything that the logits depend on; Pillow's version stands for its codecs and filters."""
    parts = [fingerprint, str(VERSION), PIL.__version__, *(corruption.name for corruption in corruptions)]
    return hashlib.sha256("\0".join([*parts, "", *(image.sha256 for image in images)]).encode()).hexdigest()
