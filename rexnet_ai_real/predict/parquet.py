"""Rows from JSON lines to Parquet and back, a row group at a time."""

import json
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Final

from rexnet_ai_real.cli.passed_over import MADE_BY
from rexnet_ai_real.errors import UserError
from rexnet_ai_real.files import write_atomically
from rexnet_ai_real.predict.records import JSON_LINES
from rexnet_ai_real.predict.row import COLUMNS, Row, readable

ROW_GROUP: Final = 10_000
_NUMBERS: Final = ("probability", "logit")


def check_parquet() -> None:
    """Stop before any work if the library is missing.

    Raises:
        UserError: names what to install.
    """
    try:
        import pyarrow  # noqa: F401
    except ImportError as error:
        raise UserError("--output .parquet needs pyarrow: pip install 'rexnet-ai-real[parquet]'") from error


def to_parquet(records: Path, path: Path) -> None:
    """Write a Parquet file, atomically; missing texts and numbers are null.

    Text in Parquet is UTF-8: other bytes in a name are written as backslash escapes.
    """
    import pyarrow
    from pyarrow import parquet

    with records.open("rb") as file, write_atomically(path) as temporary:
        first = file.readline()
        names = tuple(json.loads(first)) if first else COLUMNS
        types = [(name, pyarrow.float64() if name in _NUMBERS else pyarrow.string()) for name in names]
        schema = pyarrow.schema(types, metadata={"made by": MADE_BY})
        file.seek(0)
        with parquet.ParquetWriter(temporary, schema) as writer:
            while lines := list(islice(file, ROW_GROUP)):
                rows = [_with_nulls(json.loads(line)) for line in lines]
                writer.write_table(pyarrow.Table.from_pylist(rows, schema=schema))


def from_parquet(path: Path, records: Path, columns: Sequence[str]) -> None:
    """The inverse of `to_parquet`, except that the escapes of names that are not UTF-8 stay.

    Raises:
        UserError: not a Parquet file, or one with other columns.
    """
    import pyarrow
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path) as file, write_atomically(records) as temporary, temporary.open("wb") as lines:
            if file.schema_arrow.names != list(columns):
                raise UserError(f"{path} has other columns than {', '.join(columns)}: give another name")
            for batch in file.iter_batches(ROW_GROUP):
                lines.writelines(JSON_LINES.record(_with_texts(row)) for row in batch.to_pylist())
    except pyarrow.ArrowException as error:
        raise UserError(f"{path} is not a Parquet file: give another name") from error


def _with_nulls(row: Row) -> Row:
    return {name: value if name in _NUMBERS else readable(value) or None for name, value in row.items()}


def _with_texts(row: Row) -> Row:
    return {name: value if name in _NUMBERS else value or "" for name, value in row.items()}
