"""Image files one after the other, however many: folders walked as they are read, work done ahead by threads."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path


@dataclass(frozen=True, slots=True)
class ImageFile:
    """A file that may be an image, or a folder that could not be looked into."""

    path: str
    """As given; in a folder, the folder as given and the way from there."""
    error: str | None = None
    """Why the folder could not be opened."""


def image_files(paths: str | Path | Iterable[str | Path]) -> Iterator[ImageFile]:
    """Every file given, and every file under every folder given, hidden ones too, in order.

    Whether it holds an image is for the decoder to say, since names lie. A folder's entries come sorted by name;
    links to folders are followed, each folder once. Only the names of the folders on the way are in memory.
    """
    for path in [paths] if isinstance(paths, str | Path) else paths:
        given = os.fspath(path)
        yield from _below(given, set()) if os.path.isdir(given) else [ImageFile(given)]


def _below(folder: str, seen: set[tuple[int, int]]) -> Iterator[ImageFile]:
    # A stack of its own instead of recursion: chains of folders can be deeper than Python's calls.
    waiting = [iter([folder])]
    while waiting:
        path = next(waiting[-1], None)
        if path is None:
            waiting.pop()
        elif not os.path.isdir(path):
            yield ImageFile(path)
        else:
            try:
                status = os.stat(path)
                if (status.st_dev, status.st_ino) in seen:  # a link back up, or a second link to the same folder
                    continue
                seen.add((status.st_dev, status.st_ino))
                names = sorted(os.listdir(path))
            except OSError as error:
                yield ImageFile(path, f"cannot be opened: {(error.strerror or type(error).__name__).lower()}")
            else:
                waiting.append(map(partial(os.path.join, path), names))
