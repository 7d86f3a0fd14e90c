"""The files below given paths, one after the other, however many: each folder is read when its turn comes."""

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_SYSTEM_NAMES: Final = frozenset({".ds_store", ".localized", "__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini"})


@dataclass(frozen=True, slots=True)
class ImageFile:
    """A file that may be an image, or a folder that cannot be opened."""

    path: str
    """As given; for a file in a folder, the folder as given and the path from there."""
    error: str | None = None
    """Why the folder cannot be opened."""


def is_system_file(path: str) -> bool:
    """Whether a file or folder has a name that macOS and Windows give to their own notes: .DS_Store, ._*, Thumbs.db."""
    name = os.path.basename(path)
    return name.startswith("._") or name.lower() in _SYSTEM_NAMES


def image_files(
    paths: str | Path | Iterable[str | Path],
    *,
    is_passed_over: Callable[[str], bool] = lambda path: False,
    on_empty: Callable[[str], None] = lambda folder: None,
) -> Iterator[ImageFile]:
    """Every file given, and every file under every folder given, hidden ones too, in order.

    Whether a file holds an image is for the decoder to say, since names lie. A folder's entries come sorted by name.
    Links to folders are followed, each folder once. Only the names in the folders on the current path are in memory.

    Args:
        paths: files and folders.
        is_passed_over: asked of every file and folder inside a folder; what it is true of is left out.
        on_empty: called with each folder given that gives no file.
    """
    for path in [paths] if isinstance(paths, str | Path) else paths:
        given = os.fspath(path)
        if not os.path.isdir(given):
            yield ImageFile(given)
            continue
        is_empty = True
        for file in _below(given, set(), is_passed_over):
            is_empty = False
            yield file
        if is_empty:
            on_empty(given)


def names_once(folder: str, seen: set[tuple[int, int]]) -> list[str]:
    """The names in a folder, sorted; none where `seen` holds the folder already, so that links in a circle end.

    Args:
        folder: to look into.
        seen: device and inode of the folders looked into so far; this one is added.

    Raises:
        OSError: it cannot be opened.
    """
    status = os.stat(folder)
    identity = (status.st_dev, status.st_ino)
    if identity in seen:
        return []
    seen.add(identity)
    return sorted(os.listdir(folder))


def _below(folder: str, seen: set[tuple[int, int]], is_passed_over: Callable[[str], bool]) -> Iterator[ImageFile]:
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
                names = names_once(path, seen)
            except OSError as error:
                yield ImageFile(path, f"cannot be opened: {(error.strerror or type(error).__name__).lower()}")
            else:
                waiting.append(_kept(path, names, is_passed_over))


def _kept(folder: str, names: list[str], is_passed_over: Callable[[str], bool]) -> Iterator[str]:
    paths = (os.path.join(folder, name) for name in names)
    return (path for path in paths if not is_passed_over(path))
