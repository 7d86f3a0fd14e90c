"""Files: what may be read, the user's cache, and writing atomically.

A kill at any moment leaves the old file or the new one.
"""

import csv
import logging
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from rexnet_ai_real.regular_file import NotRegular, check_regular

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)


def cache_folder(chosen: str | None = None) -> Path:
    """Where this project keeps what it can make again: as `data.cache` says, else where the system wants it.

    On Linux that is under $XDG_CACHE_HOME, else under ~/.cache.
    """
    if chosen:
        return Path(chosen).expanduser()
    from platformdirs import user_cache_path  # predicting with an exported detector does without it

    return user_cache_path("rexnet-ai-real", appauthor=False)


def warn_of_cache(folder: Path, error: OSError) -> None:
    """Say, once in a process, that nothing is kept in a cache folder, and how to have another one."""
    _warn_of_cache(folder, (error.strerror or type(error).__name__).lower())


@cache
def _warn_of_cache(folder: Path, reason: str) -> None:
    log.warning(
        "The cache %s cannot be written (%s): images are read from their files each time. "
        "Another folder: data.cache=DIR (with `python -m rexnet_ai_real.data`: --cache DIR)",
        folder,
        reason,
    )


def claim_folder(wanted: Path) -> Path:
    """Create a folder that was not there before: `wanted`, else the first free one of wanted-2, wanted-3, ..."""
    wanted.parent.mkdir(parents=True, exist_ok=True)
    for number in count(1):
        folder = wanted if number == 1 else wanted.with_name(f"{wanted.name}-{number}")
        try:
            folder.mkdir()
        except FileExistsError:
            continue
        return folder
    raise AssertionError("count() does not end")


class NotPlain(ValueError):
    """What lies at a path is no regular file, or is empty or too large; the message says which, without the path."""


def require_plain(path: Path, most: int | None = None) -> int:
    """The size in bytes of a regular file, at least one. Links are followed.

    Opening a pipe waits for its other end, a device may never end, and files of /proc, which claim to be empty, may do
    either.

    Args:
        path: a file that a stranger may have made.
        most: bytes that it may have.

    Raises:
        NotPlain: something else lies there.
        OSError: nothing lies there, or it cannot be asked.
    """
    found = path.stat()
    try:
        check_regular(found)
    except NotRegular as reason:
        raise NotPlain(str(reason)) from reason
    if not found.st_size:
        raise NotPlain("an empty file")
    if most is not None and found.st_size > most:
        raise NotPlain(f"{found.st_size:,} bytes, where at most {most:,} are expected")
    return found.st_size


@contextmanager
def write_atomically(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; when the block ends without an error, that file replaces `path`.

    The temporary name keeps the suffix, by which many writers choose the format. Parent folders are created.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=path.suffix, dir=path.parent)
    os.close(descriptor)
    temporary = Path(name)
    try:
        yield temporary
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8, atomically."""
    with write_atomically(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_csv(path: Path, table: "pd.DataFrame") -> None:
    """Write a table without its index, atomically. File names that are not valid UTF-8 keep their bytes."""
    with write_atomically(path) as temporary:
        # All text is quoted: with minimal quoting, Python before 3.13 leaves a carriage return in a name unquoted.
        table.to_csv(temporary, index=False, encoding="utf-8", errors="surrogateescape", quoting=csv.QUOTE_NONNUMERIC)


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current
