"""Writing files atomically, so that a kill at any moment leaves the old file or the new one; the user's cache."""

import csv
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


def cache_folder() -> Path:
    """Where this project keeps what it can make again: on Linux under $XDG_CACHE_HOME, else under ~/.cache."""
    from platformdirs import user_cache_path  # predicting with an exported detector does without it

    return user_cache_path("rexnet-ai-real", appauthor=False)


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
