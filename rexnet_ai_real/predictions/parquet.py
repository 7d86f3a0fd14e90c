"""Rows from JSON lines to Parquet, a row group at a time."""

import json
from itertools import islice
from pathlib import Path
from typing import Final

from rexnet_ai_real.errors import UserError
from rexnet_ai_real.files import write_atomically
from rexnet_ai_real.predictions.row import PROVENANCE, Row, readable

ROW_GROUP: Final = 10_000


def check_parquet() -> None:
    """Stop before any work where the library is missing.

    Raises:
        UserError: names what to install.
    """
    try:
        import pyarrow  # noqa: F401
    except ImportError as error:
        raise UserError("--output .parquet needs pyarrow: pip install 'rexnet-ai-real[parquet]'") from error


def to_parquet(records: Path, path: Path) -> None:
    """Write a Parquet file, whole or not at all; missing texts and numbers are null.

    Parquet's text is UTF-8: bytes of a name that are not, are written as backslash escapes.
    """
    import pyarrow
    from pyarrow import parquet

    numbers = {"probability", "logit"}
    with records.open("rb") as file, write_atomically(path) as temporary:
        first = file.readline()
        names = tuple(json.loads(first)) if first else ("path", "label", "probability", "logit", "error")
        types = [(name, pyarrow.float64() if name in numbers else pyarrow.string()) for name in names]
        schema = pyarrow.schema(types)
        file.seek(0)
        with parquet.ParquetWriter(temporary, schema) as writer:
            while lines := list(islice(file, ROW_GROUP)):
                rows = [_clean(json.loads(line)) for line in lines]
                writer.write_table(pyarrow.Table.from_pylist(rows, schema=schema))


def _clean(row: Row) -> Row:
    texts = {"path", "label", "error", *PROVENANCE}
    return {name: (readable(value) or None) if name in texts else value for name, value in row.items()}
