"""Rows as text, one record each: CSV and JSON lines, appended record by record. An incomplete last one is recognised.

In CSV, what a spreadsheet would take for a formula is made harmless (`cli.cells`); JSON is exact. Names that are not
valid UTF-8 keep their bytes: in CSV as they are (read with errors="surrogateescape"), in JSON as lone surrogates,
which Python's `os.fsencode` converts back.
"""

import csv
import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

from rexnet_ai_real.cli.cells import harmless_path, harmless_text
from rexnet_ai_real.predict.row import Row


class Format(Protocol):
    """A way to write rows as text."""

    def header(self, columns: Sequence[str]) -> bytes:
        """What stands before the first record."""

    def record(self, row: Row) -> bytes:
        """One row, with its end."""

    def is_whole(self, record: bytes) -> bool:
        """Whether these bytes, which end with a line break, are a complete record, not only its beginning."""

    def is_beginning(self, piece: bytes, columns: Sequence[str]) -> bool:
        """Whether these bytes can be the beginning of one record, which a kill during writing leaves behind."""

    def parse(self, record: bytes, columns: Sequence[str]) -> Row:
        """The row of a whole record, all values as text or as JSON has them.

        Raises:
            ValueError: it is not a record.
        """


class Csv:
    """Every text is quoted, numbers are not; an empty field is a missing number."""

    def header(self, columns: Sequence[str]) -> bytes:
        """The names of the columns."""
        return self._line(columns)

    def record(self, row: Row) -> bytes:
        """As `Format.record`."""
        return self._line([_harmless(name, value) for name, value in row.items()])

    def is_whole(self, record: bytes) -> bool:
        """Quotes inside a text are doubled: an odd number means that a text continues after the line break."""
        return record.count(b'"') % 2 == 0

    def is_beginning(self, piece: bytes, columns: Sequence[str]) -> bool:
        """As `Format.is_beginning`; after a missing quote, rows run into each other and have too many fields."""
        try:
            found = list(csv.reader(io.StringIO(piece.decode("utf-8", "surrogateescape"), newline="")))
        except csv.Error:
            return False
        return piece.startswith(b'"') and len(found) == 1 and len(found[0]) <= len(columns)

    def parse(self, record: bytes, columns: Sequence[str]) -> Row:
        """As `Format.parse`."""
        text = record.decode("utf-8", "surrogateescape")
        try:
            values = next(csv.reader(io.StringIO(text, newline=""), strict=True), [])
        except csv.Error as error:
            raise ValueError(str(error)) from error
        return dict(zip(columns, values, strict=True))

    def _line(self, values: Sequence[Any]) -> bytes:
        line = io.StringIO(newline="")
        csv.writer(line, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n").writerow(
            ["" if value is None else value for value in values]
        )
        return line.getvalue().encode("utf-8", "surrogateescape")


def _harmless(name: str, value: object) -> object:
    if not isinstance(value, str):
        return value
    return harmless_path(value) if name == "path" else harmless_text(value)


class JsonLines:
    """An object per line, in ASCII."""

    def header(self, columns: Sequence[str]) -> bytes:
        """None."""
        return b""

    def record(self, row: Row) -> bytes:
        """As `Format.record`."""
        return json.dumps(row).encode("ascii") + b"\n"

    def is_whole(self, record: bytes) -> bool:
        """Line breaks inside texts are escaped."""
        return True

    def is_beginning(self, piece: bytes, columns: Sequence[str]) -> bool:
        """As `Format.is_beginning`."""
        start = f'{{"{columns[0]}": "'.encode("ascii")
        return piece[: len(start)] == start[: len(piece)]

    def parse(self, record: bytes, columns: Sequence[str]) -> Row:
        """As `Format.parse`."""
        row = json.loads(record)
        if not isinstance(row, dict) or tuple(row) != tuple(columns):
            raise ValueError(f"expected an object with {', '.join(columns)}")
        return row


CSV: Final = Csv()
JSON_LINES: Final = JsonLines()


LONGEST: Final = 1 << 17
"""Most bytes of a record; real ones have 100 to 10,000. In a damaged file the search for an end stops here."""


def whole_records(path: Path, form: Format) -> Iterator[tuple[int, bytes]]:
    """Each record of a file, the header too, with the offset where it ends; stops at the first incomplete record."""
    record, end = b"", 0
    with path.open("rb") as file:
        while line := file.readline(LONGEST + 1):
            record += line
            if line.endswith(b"\n") and form.is_whole(record):
                end += len(record)
                yield end, record
                record = b""
            elif len(record) > LONGEST:
                return
