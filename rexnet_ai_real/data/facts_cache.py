"""What was measured of files, kept between runs; an entry holds as long as the file's size and time of change stay."""

import hashlib
import json
import os
from dataclasses import astuple
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import PIL

from rexnet_ai_real.data.facts import ImageFacts
from rexnet_ai_real.files import write_text

_LAYOUT: Final = 1
"""Counts up when decoding, hashing or the layout of the entries change."""

Stamp = tuple[int, int]
"""Size in bytes and time of the last change in nanoseconds."""


def cache_folder() -> Path:
    """The user's cache folder for this project: under $XDG_CACHE_HOME, else under ~/.cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rexnet-ai-real"


class FactsCache:
    """Facts by path under one root, as a context: read on entry, written on the way out, also after Ctrl-C.

    It is only a cache: a file of another version, or one that cannot be read, is left aside and written anew.
    """

    def __init__(self, folder: Path, root: Path, max_pixels: int) -> None:
        """One file in `folder` per data set; entries made under another `max_pixels` or Pillow do not count."""
        self.root = root.resolve()
        name = hashlib.sha256(os.fsencode(self.root)).hexdigest()[:16]
        self.path = folder / "facts" / f"{name}.json"
        self.version = [_LAYOUT, PIL.__version__, max_pixels]
        self.entries: dict[str, tuple[Stamp, ImageFacts]] = {}
        self.changed = False

    def __enter__(self) -> Self:
        """Read what is there."""
        try:
            version, entries = json.loads(self.path.read_text(encoding="utf-8"))
            if version == self.version:
                self.entries = {
                    path: ((size, time), ImageFacts(*facts)) for path, (size, time, *facts) in entries.items()
                }
        except (OSError, ValueError, TypeError, AttributeError):
            self.entries = {}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Write, if anything is new; a folder that cannot be written to costs the cache, not the run."""
        if not self.changed:
            return
        plain = {path: [*stamp, *astuple(facts)] for path, (stamp, facts) in self.entries.items()}
        try:
            write_text(self.path, json.dumps([self.version, plain]))
        except OSError:
            return

    def stamp(self, path: str) -> Stamp | None:
        """Size and time of the file now; None where it cannot be looked at."""
        try:
            status = (self.root / path).stat()
        except OSError:
            return None
        return status.st_size, status.st_mtime_ns

    def get(self, path: str) -> ImageFacts | None:
        """The facts, if the file has not changed since they were measured."""
        entry = self.entries.get(path)
        return entry[1] if entry is not None and entry[0] == self.stamp(path) else None

    def put(self, path: str, stamp: Stamp | None, facts: ImageFacts) -> None:
        """Keep facts of a file that had `stamp` before it was read."""
        if stamp is not None:
            self.entries[path] = (stamp, facts)
            self.changed = True
