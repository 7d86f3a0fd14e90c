"""The file that results go to: refused where it exists, gone on with where --resume says so, whole after every row.

CSV and JSON lines are written as they come. Parquet and the gallery can only be written at the end: until then the rows
lie beside them in `NAME.partial`, as JSON lines, from which --resume goes on.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from rexnet_ai_real.errors import UserError
from rexnet_ai_real.predictions.records import CSV, JSON_LINES, Format, whole_records
from rexnet_ai_real.predictions.row import Row

SUFFIXES: Final = (".csv", ".jsonl", ".parquet", ".html")


class Known:
    """The paths that an output already holds, 8 bytes each: half a million are 4 MB."""

    def __init__(self, digests: NDArray[np.uint64]) -> None:
        """`digests` of the paths, in any order."""
        self.digests = np.sort(digests)

    def __len__(self) -> int:
        return len(self.digests)

    def __contains__(self, path: str) -> bool:
        digest = _digest(path)
        place = int(np.searchsorted(self.digests, digest))
        return place < len(self.digests) and bool(self.digests[place] == digest)


class Output:
    """An open file of results, as a context."""

    def __init__(self, path: Path, columns: Sequence[str], *, resume: bool) -> None:
        """Open `path`, whose suffix chooses the format.

        Args:
            path: .csv, .jsonl, .parquet or .html.
            columns: of every row, in order.
            resume: go on with what is there, if anything is.

        Raises:
            UserError: an unknown suffix, a file in the way, one of other columns, or a place that cannot be written to.
        """
        if path.suffix not in SUFFIXES:
            raise UserError(f"--output {path}: expected a name that ends in {', '.join(SUFFIXES)}")
        self.path = path
        self.columns = tuple(columns)
        self.form: Format = CSV if path.suffix == ".csv" else JSON_LINES
        self.is_finished_later = path.suffix in (".parquet", ".html")
        self.records = path.with_name(f"{path.name}.partial") if self.is_finished_later else path
        if self.is_finished_later and path.exists():
            raise UserError(f"{path} is there already and cannot be added to: remove it, or give another name")
        if self.records.exists() and not resume:
            raise UserError(f"{self.records} is there already: --resume goes on with it; or give another name")
        with _told(self.records):
            self.records.parent.mkdir(parents=True, exist_ok=True)
            self.known = Known(self._mend()) if self.records.exists() else Known(np.empty(0, np.uint64))
            self._file = self.records.open("ab", buffering=0)
            if not self._file.tell():
                self._file.write(self.form.header(self.columns))

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
        record = self.form.record(row)
        with _told(self.records):
            written = self._file.write(record)
            if written != len(record):  # part of it fitted: the next attempt says why not all
                self._file.write(record[written:])

    def finish(self, convert: "Callable[[Path, Path], None]") -> None:
        """With all rows written: make the Parquet file or the gallery from them, whole or not at all.

        Args:
            convert: from the JSON lines at its first argument to the file at its second.
        """
        if self.is_finished_later:
            with _told(self.path):
                convert(self.records, self.path)
                self.records.unlink()

    def _mend(self) -> NDArray[np.uint64]:
        """Cut a torn record off, and give the digests of the paths that are there."""
        digests, end = _Growing(), 0
        for number, (place, record) in enumerate(whole_records(self.records, self.form)):
            if number == 0 and (header := self.form.header(self.columns)):
                if record != header:
                    raise UserError(
                        f"{self.records} has other columns than {', '.join(self.columns)}: give another name"
                    )
            else:
                try:
                    digests.append(_digest(str(self.form.parse(record, self.columns)["path"])))
                except ValueError as error:
                    raise UserError(
                        f"{self.records} holds a line that is no result of this command ({error}): give another name"
                    ) from error
            end = place
        os.truncate(self.records, end)
        return digests.array


class _Growing:
    """Numbers in an array that doubles when it is full."""

    def __init__(self) -> None:
        self._array, self._count = np.empty(1024, np.uint64), 0

    def append(self, value: np.uint64) -> None:
        if self._count == len(self._array):
            self._array = np.concatenate([self._array, np.empty_like(self._array)])
        self._array[self._count] = value
        self._count += 1

    @property
    def array(self) -> NDArray[np.uint64]:
        return self._array[: self._count]


def _digest(path: str) -> np.uint64:
    return np.uint64(int.from_bytes(blake2b(os.fsencode(path), digest_size=8).digest(), "little"))


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        raise UserError(
            f"{path} cannot be written ({reason}). The rows written before are kept: mend it and add --resume"
        ) from error
