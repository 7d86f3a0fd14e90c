"""Labels in a table: a file name and a label in each row, as CSV, TSV, JSON Lines or Parquet."""

import csv
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final

from rexnet_ai_real.errors import UserError
from rexnet_ai_real.regular_file import NotRegular, check_regular

SUFFIXES: Final = (".csv", ".tsv", ".jsonl", ".parquet")

_FILE: Final = (
    *("file_name", "filename", "image_path", "img_path", "file_path", "filepath", "path", "file"),
    *("image", "img", "image_name"),
)
_ONE_MEANS: Final = {
    **dict.fromkeys(("is_ai", "is_fake", "is_generated", "is_ai_generated", "ai", "fake", "ai_generated"), "ai"),
    **dict.fromkeys(("is_real", "is_human", "real"), "real"),
}
"""Columns whose name says what 1 means; 0 is the other class."""
_LABEL: Final = ("label", "labels", "class", "target", "y", *_ONE_MEANS)
_SOURCE: Final = ("source", "generator", "model", "method")
_PART: Final = ("part", "split", "subset", "set")
"""Names of columns, the likeliest first; case, spaces and hyphens do not matter."""


class TableError(UserError, ValueError):
    """A table that cannot be used. The message names it, and what was expected."""


@dataclass(frozen=True, slots=True)
class TableRow:
    """One image as a table describes it; `source` and `part` are empty where the table has no such column."""

    file: PurePosixPath
    """As written, relative to the table's folder or absolute."""
    label: str
    source: str
    part: str


def is_table(path: Path) -> bool:
    """Whether a path looks like a table, by its suffix."""
    return path.suffix.lower() in SUFFIXES


def has_labels(table: Path) -> bool:
    """Whether a table names files and labels; False for one that cannot be read."""
    try:
        columns = _columns(table)
        return bool(_present(_FILE, columns) and _present(_LABEL, columns))
    except TableError:
        return False


def read_table(table: Path) -> list[TableRow]:
    """All rows.

    Where several columns may name the file, the first whose files exist is taken.

    Raises:
        TableError: it cannot be read, lacks a column, or none of its files exists.
    """
    columns = _columns(table)
    if not columns:
        raise TableError(f"{table} has no rows")
    files, labels = _present(_FILE, columns), _present(_LABEL, columns)
    if not files or not labels:
        what = "column with file names" if not files else "column with labels"
        raise TableError(
            f"{table} has no {what}. Expected: file_name and label (optional: source, part); "
            f"found: {', '.join(columns)}"
        )
    label, source, part = (_present(names, columns)[:1] for names in (_LABEL, _SOURCE, _PART))
    wanted = [*files, *label, *source, *part]
    records = list(_records(table, wanted))
    file = _file_column(table, files, records)
    one = _ONE_MEANS.get(_plain(label[0]), "")
    return [
        TableRow(
            _path(record[file]),
            _label(record[label[0]], one),
            *(_text(record[column[0]]) if column else "" for column in (source, part)),
        )
        for record in records
        if _text(record[file])
    ]


def _file_column(table: Path, files: Sequence[str], records: Sequence[Mapping[str, Any]]) -> str:
    for column in files:
        if any((table.parent / _path(record[column])).is_file() for record in records):
            return column
    if isinstance(records[0][files[0]], Mapping):
        raise TableError(f"{table} holds the images themselves: save them as files, and name those in the table")
    first = table.parent / _path(records[0][files[0]])
    raise TableError(
        f"{table}: none of its {len(records):,} files exists. Column {files[0]!r} is read as paths relative to the "
        f"table's folder, the first as {first}. Move the table beside the images, or write their paths in it"
    )


def _columns(table: Path) -> list[str]:
    """Names of the columns; none where there are no rows."""
    if table.suffix.lower() == ".parquet":
        parquet = _parquet(table)
        return list(parquet.schema_arrow.names) if parquet.metadata.num_rows else []
    return list(next(_rows(table), {}))


def _records(table: Path, wanted: Sequence[str]) -> Iterator[dict[str, Any]]:
    if table.suffix.lower() == ".parquet":
        for batch in _parquet(table).iter_batches(columns=list(wanted)):
            yield from batch.to_pylist()
        return
    for row in _rows(table):
        yield {column: row.get(column) for column in wanted}


def _parquet(table: Path) -> Any:
    try:
        import pyarrow
        import pyarrow.parquet
    except ModuleNotFoundError as error:
        raise TableError(f"{table}: reading Parquet needs pyarrow: pip install 'rexnet-ai-real[parquet]'") from error
    try:
        check_regular(table.stat())
        return pyarrow.parquet.ParquetFile(table)
    except (OSError, NotRegular, pyarrow.ArrowInvalid) as error:
        raise TableError(f"{table} cannot be read: {' '.join(str(error).split())[:160]}") from error


def _rows(table: Path) -> Iterator[dict[str, Any]]:
    try:
        check_regular(table.stat())
        with table.open("rb") as file:
            encoding = "utf-16" if file.read(2) in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
        # surrogateescape: file names that are no valid UTF-8 keep their bytes
        with table.open(encoding=encoding, errors="surrogateescape", newline="") as text:
            if table.suffix.lower() == ".jsonl":
                yield from (_object(line) for line in text if line.strip())
                return
            header = text.readline()
            text.seek(0)
            yield from csv.DictReader(text, delimiter=max((",", ";", "\t"), key=header.count))
    except (OSError, ValueError, NotRegular, RecursionError, csv.Error) as error:
        raise TableError(f"{table} cannot be read: {' '.join(str(error).split())[:160]}") from error


def _object(line: str) -> dict[str, Any]:
    row = json.loads(line)
    if not isinstance(row, dict):
        raise ValueError(f'each line has to be like {{"file_name": ..., "label": ...}}, not {line[:40]!r}')
    return row


def _present(names: Sequence[str], columns: Iterable[str]) -> list[str]:
    """Those of the columns that carry one of the names, the likeliest first."""
    known = {_plain(column): column for column in columns if isinstance(column, str)}
    return [known[name] for name in names if name in known]


def _plain(column: str) -> str:
    return column.strip().casefold().replace(" ", "_").replace("-", "_")


def _path(value: Any) -> PurePosixPath:
    return PurePosixPath(_text(value).replace("\\", "/"))


def _text(value: Any) -> str:
    return "" if value is None else str(value).strip()


def _label(value: Any, one: str) -> str:
    """A label as text, with 0 and 1 for truth values, or the class itself where it is known what `one` means."""
    text = _text(value)
    text = {"true": "1", "false": "0", "1.0": "1", "0.0": "0"}.get(text.casefold(), text.removesuffix(".0"))
    zero = {"ai": "real", "real": "ai"}.get(one)
    return {"1": one, "0": zero}.get(text) or text
