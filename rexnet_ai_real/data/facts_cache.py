"""Facts measured from files, kept between runs; an entry is valid while the file's size and time of change stay."""

import hashlib
import json
import os
from dataclasses import astuple
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import PIL

from rexnet_ai_real.data.facts import ImageFacts
from rexnet_ai_real.files import warn_of_cache, write_text

_FORMAT: Final = 2
"""Raised when decoding, hashing or the format of the entries change."""

Stamp = tuple[int, int]
"""Size in bytes and time of the last change in nanoseconds."""


class FactsCache:
    """Facts by path under one root, as a context: read on entry, written on the way out, also after Ctrl-C.

    A cache file of another version, one that cannot be read, and one whose checksum does not fit are ignored and
    replaced. The file is a JSON list: version, entries, SHA-256 of all text before it.
    """

    def __init__(self, folder: Path, root: Path, max_pixels: int) -> None:
        """One file in `folder` per data set; entries of another `max_pixels` or version of Pillow are ignored."""
        self.root = root.resolve()
        name = hashlib.sha256(os.fsencode(self.root)).hexdigest()[:16]
        self.folder = folder
        self.path = folder / "facts" / f"{name}.json"
        self.version = [_FORMAT, PIL.__version__, max_pixels]
        self.entries: dict[str, tuple[Stamp, ImageFacts]] = {}
        self.changed = False

    def __enter__(self) -> Self:
        """Read the entries kept by earlier runs."""
        try:
            text = self.path.read_text(encoding="utf-8")
            version, entries, _ = json.loads(text)
            if version == self.version and _signed(text[: text.rindex(", ")]) == text:
                self.entries = {
                    path: ((size, time), ImageFacts(*facts)) for path, (size, time, *facts) in entries.items()
                }
        except (OSError, ValueError, TypeError, AttributeError):
            self.entries = {}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Write, if anything is new. Where that is impossible, the run goes on without the cache, and says so."""
        if not self.changed:
            return
        plain = {path: [*stamp, *astuple(facts)] for path, (stamp, facts) in self.entries.items()}
        try:
            write_text(self.path, _signed(json.dumps([self.version, plain]).removesuffix("]")))
        except OSError as error:
            warn_of_cache(self.folder, error)

    def stamp(self, path: str) -> Stamp | None:
        """Size and time of change of the file now; None if they cannot be read."""
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


def _signed(text: str) -> str:
    """The beginning of a JSON list, ended with its checksum."""
    return f'{text}, "{hashlib.sha256(text.encode()).hexdigest()}"]'
