"""Patterns of paths with *, ?, [] and **: matched as the folders are read, sorted by name, nothing named twice."""

import glob
import os
from collections.abc import Iterator
from fnmatch import fnmatchcase

from rexnet_ai_real.images.walk import is_system_file, names_once

_ANY_DEPTH = "**"


def is_pattern(path: str) -> bool:
    """Whether a path stands for others: it holds a wildcard, and there is no file of exactly that name."""
    return glob.has_magic(path) and not os.path.lexists(path)


def matching(pattern: str) -> Iterator[str]:
    """Files and folders that fit, lazily and in order. What lies below a folder that fits is not named again.

    As in a shell, * and ** pass over hidden names; they also pass over what macOS and Windows put into folders, such as
    Thumbs.db. Folders that cannot be opened on the way are named themselves, so
    that their turn comes to be reported. Each folder is looked into once, so that links in a circle end.
    """
    names = pattern.split(os.sep)
    fixed = next(at for at, name in enumerate(names) if glob.has_magic(name))
    start, parts = "".join(name + os.sep for name in names[:fixed]), [name for name in names[fixed:] if name]
    begun = _reached({0}, parts)
    if len(parts) in begun:  # "holiday/**" is the folder itself
        yield start.rstrip(os.sep) or start or os.curdir
        return
    seen: set[tuple[int, int]] = set()
    waiting = [_entries(start, begun, parts, seen)]
    while waiting:  # folders can be deeper than Python's calls
        path, positions = next(waiting[-1], (None, frozenset()))
        if path is None:
            waiting.pop()
        elif len(parts) in positions:
            if parts[-1] != _ANY_DEPTH or os.path.isdir(path):  # "*/**" are the folders, which hold the rest
                yield path
        elif positions and os.path.isdir(path):
            waiting.append(_entries(path + os.sep, positions, parts, seen))


def _entries(
    folder: str, positions: frozenset[int], parts: list[str], seen: set[tuple[int, int]]
) -> Iterator[tuple[str, frozenset[int]]]:
    """What a folder holds, each with the positions in the pattern that its name leads to from `positions`."""
    try:
        names = names_once(folder or os.curdir, seen)
    except OSError:
        if os.path.isdir(folder):
            yield folder.rstrip(os.sep), frozenset({len(parts)})
        return
    for name in names:
        onward = {at if parts[at] == _ANY_DEPTH else at + 1 for at in positions if _fits(name, parts[at])}
        yield folder + name, _reached(onward, parts)


def _reached(positions: set[int], parts: list[str]) -> frozenset[int]:
    """The positions themselves, and those behind every ** that may stand for no folder at all."""
    found = set(positions)
    for at, part in enumerate(parts):
        if at in found and part == _ANY_DEPTH:
            found.add(at + 1)
    return frozenset(found)


def _fits(name: str, part: str) -> bool:
    if name.startswith(".") and not part.startswith("."):
        return False
    if glob.has_magic(part) and is_system_file(name):
        return False
    return part == _ANY_DEPTH or fnmatchcase(name, part)
