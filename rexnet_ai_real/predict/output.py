"""The file of results: an existing one is refused, or continued with --resume; it is valid after every row.

CSV and JSON lines are written row by row. Parquet and the gallery can only be written at the end: until then the rows
lie beside them in `NAME.partial`, as JSON lines, from which --resume continues.
"""

import os
from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from rexnet_ai_real.cli.cells import harmless_path
from rexnet_ai_real.cli.lock import lock
from rexnet_ai_real.errors import UserError
from rexnet_ai_real.predict.records import CSV, JSON_LINES, LONGEST, Format, whole_records
from rexnet_ai_real.predict.row import Row, readable
from rexnet_ai_real.predict.summary import Summary

SUFFIXES: Final = (".csv", ".jsonl", ".parquet", ".html")


class Known:
    """The paths that an output already holds, 8 bytes each: half a million are 4 MB."""

    def __init__(self, digests: NDArray[np.uint64]) -> None:
        """`digests` of the paths, in any order."""
        self.digests = np.sort(digests)

    def __len__(self) -> int:
        return len(self.digests)

    def __contains__(self, path: str) -> bool:
        digest = np.uint64(_digest(path))
        position = int(np.searchsorted(self.digests, digest))
        return position < len(self.digests) and bool(self.digests[position] == digest)


class Output:
    """An open file of results, as a context manager."""

    def __init__(self, path: Path, columns: Sequence[str], detector: str, *, resume: bool) -> None:
        """Open `path`, whose suffix chooses the format.

        Args:
            path: .csv, .jsonl, .parquet or .html.
            columns: of every row, in order.
            detector: its name in every row.
            resume: continue an existing file.

        Raises:
            UserError: an unknown suffix, an existing file, one with other columns or of another detector, one that
                another process writes, or a folder that cannot be written to.
        """
        check_suffix(path)
        self.path = path
        self.columns = tuple(columns)
        self.detector = detector
        self.form: Format = CSV if path.suffix == ".csv" else JSON_LINES
        self.is_finished_later = path.suffix in (".parquet", ".html")
        self.records = path.with_name(f"{path.name}.partial") if self.is_finished_later else path
        self.summary = Summary()
        """Of the rows that were there."""
        for present in (self.path, self.records):
            if os.path.lexists(present) and not resume:
                raise UserError(f"{present} exists already: continue it with --resume, or give another name")
        with _explained_write_errors(self.records):
            self.records.parent.mkdir(parents=True, exist_ok=True)
            if self.is_finished_later and self.path.exists() and not self.records.exists():
                self._reopen()
            self._file = self.records.open("ab", buffering=0)
            try:
                lock(self._file, self.records)
                self.known = Known(self._repair())
                self._end = self._file.seek(0, os.SEEK_END)
                if not self._end:
                    self._append(self.form.header(self.columns))
            except BaseException:
                self._file.close()
                raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def write(self, row: Row) -> None:
        """Append one row; it is in the file when this returns.

        Raises:
            UserError: the disk is full or gone; the rows before are kept.
        """
        with _explained_write_errors(self.records):
            self._append(self.form.record(row))

    def is_own(self, path: str) -> bool:
        """Whether `path` is a file that is written here: the output may lie in the folder that is scanned."""
        own = next((file for file in (self.path, self.records) if file.name == os.path.basename(path)), None)
        try:
            return own is not None and os.path.samefile(own, path)
        except OSError:  # one of them is not there
            return False

    def finish(self, convert: "Callable[[Path, Path], None]") -> None:
        """Make the Parquet file or the gallery from the rows, atomically, once all are written.

        Args:
            convert: reads JSON lines from its first argument and writes the file at its second.
        """
        if self.is_finished_later:
            with _explained_write_errors(self.path):
                convert(self.records, self.path)
                self.records.unlink()

    def _append(self, record: bytes) -> None:
        left = memoryview(record)
        try:
            while left:  # a disk that is nearly full takes a part
                left = left[self._file.write(left) :]
        except OSError:
            self._file.truncate(self._end)
            raise
        self._end += len(record)

    def _reopen(self) -> None:
        """Read the rows of a finished file back into JSON lines, so that more can be added."""
        if self.path.suffix != ".parquet":
            raise UserError(f"{self.path} exists already and cannot be continued: remove it, or give another name")
        from rexnet_ai_real.predict.parquet import from_parquet

        from_parquet(self.path, self.records, self.columns)

    def _repair(self) -> NDArray[np.uint64]:
        """Cut an incomplete last record off, and return the digests of the paths in the file.

        Only what can be the beginning of one record is cut off: a file that is damaged elsewhere, or was not written
        by this command, is left as it is.
        """
        digests, end = array("Q"), 0
        header = self.form.header(self.columns)
        for offset, record in whole_records(self.records, self.form):
            if header and not end:
                self._check(record == header, f"has other columns than {', '.join(self.columns)}")
            else:
                digests.append(_digest(self._checked(record)["path"]))
            end = offset
        with self.records.open("rb") as file:
            file.seek(end)
            torn = file.read(LONGEST + 1)
        if torn:
            begins = self.form.is_beginning(torn, self.columns) if end or not header else header.startswith(torn)
            self._check(
                begins and len(torn) <= LONGEST, f"is damaged from byte {end:,} on, or not written by this command"
            )
            os.truncate(self.records, end)
        return np.array(digests, np.uint64)

    def _checked(self, record: bytes) -> Row:
        try:
            row = self.form.parse(record, self.columns)
            readable(row["path"])
        except (ValueError, TypeError) as error:
            reason = " ".join(str(error).split())[:120]
            raise UserError(
                f"{self.records} holds a line that this command did not write ({reason}): give another name"
            ) from error
        self._check(
            row["detector"] == self.detector,
            f"holds results of detector {row['detector']}, and this one is {self.detector}",
        )
        self.summary.add(row)
        return row

    def _check(self, holds: bool, otherwise: str) -> None:
        if not holds:
            raise UserError(f"{self.records} {otherwise}: give another name")


def check_suffix(path: Path) -> None:
    """Stop before any work if the suffix is unknown, or the library for it is missing.

    Raises:
        UserError: names what is possible, or what to install.
    """
    if path.suffix not in SUFFIXES:
        raise UserError(f"--output {path}: expected a name that ends in {', '.join(SUFFIXES)}")
    if path.suffix == ".parquet":
        from rexnet_ai_real.predict.parquet import check_parquet

        check_parquet()


def _digest(path: str) -> int:
    # Of the readable form, the only one that Parquet can hold, and the harmless one, which CSV holds.
    return int.from_bytes(blake2b(harmless_path(readable(path)).encode(), digest_size=8).digest(), "little")


@contextmanager
def _explained_write_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        raise UserError(
            f"{path} cannot be written ({reason}). The rows written so far are kept: solve this, then add --resume"
        ) from error
