"""Labels by tables: which files a table lists, and which class each of its labels stands for."""

import logging
import os
from collections import Counter
from collections.abc import Sequence
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Final

from rexnet_ai_real.data.class_names import ClassNames, counted, settings_line, which_is_which
from rexnet_ai_real.data.listed import SHOWN, SUBSET_FOLDERS, Listed, MissingImagesError
from rexnet_ai_real.data.tables import TableRow, has_labels, is_table, read_table
from rexnet_ai_real.labels import AI, REAL

_TABLES: Final = ("train.csv", "train.tsv", "train.jsonl", "train.parquet", "labels.csv", "labels.tsv")
"""Tables looked for on top of a folder; metadata.csv and its like are looked for everywhere."""
log = logging.getLogger(__name__)


def tables_in(paths: Sequence[str], root: Path) -> list[Path]:
    """Tables of labels in a folder, by their usual names: as Hugging Face, ArtiFact and competitions write them."""
    usual = [root / path for path in paths if path in _TABLES or PurePosixPath(path).stem == "metadata"]
    return [table for table in usual if is_table(table) and has_labels(table)]


def of_tables(tables: Sequence[Path], root: Path, names: ClassNames) -> list[Listed]:
    """The files that tables list, sorted by path. Rows without a label are left out, as are labels that mean no class.

    Raises:
        MissingImagesError: a label's class is not known, a file is given both classes, or no row has a label.
        TableError: a table cannot be used.
    """
    rows = {table: read_table(table) for table in tables}
    written = {row.label for of_table in rows.values() for row in of_table}
    labels = {label: _label_of(label, names) for label in written}
    left_out = {label for label in written if not label or (names.is_own(label) and labels[label] is None)}
    unknown = [label for label in sorted(written - left_out) if labels[label] is None]
    where = ", ".join(map(str, tables))
    if unknown:
        counts = Counter(row.label for of_table in rows.values() for row in of_table if row.label in unknown)
        found = counted(counts, "row")
        missing = [label for label in (REAL, AI) if label not in labels.values()]
        raise MissingImagesError(
            f"{where}: labels whose class is not known: {found}. {which_is_which(unknown[:SHOWN], missing or [AI])}"
        )
    if {"0", "1"} & written and not (names.is_own("0") or names.is_own("1")):
        _tell_how_numbers_are_read(where)
    listed: dict[str, Listed] = {}
    for table, of_table in rows.items():
        folder = table.parent.relative_to(root)
        for row in of_table:
            if row.label not in left_out:
                file = _of_row(row, folder, labels[row.label])
                if listed.setdefault(file.path, file).label != file.label:
                    raise MissingImagesError(f"{where}: {file.path} is given both classes; correct one of its rows")
    if not listed:
        raise MissingImagesError(f"{where}: no row has a label")
    return sorted(listed.values(), key=lambda file: file.path)


@cache
def _tell_how_numbers_are_read(where: str) -> None:
    turned = settings_line({"0": AI, "1": REAL})
    log.warning("%s: label 0 is read as real, 1 as AI-generated. If it is the other way round, add %s", where, turned)


def _of_row(row: TableRow, folder: Path, label: int | None) -> Listed:
    path = os.path.normpath(folder / row.file).replace(os.sep, "/")
    folders = [folder for folder in PurePosixPath(path).parent.parts if folder not in ("..", "/")]
    part = row.part or next((folder for folder in folders if folder.casefold() in SUBSET_FOLDERS), "")
    source = row.source or "/".join(folder for folder in folders if folder.casefold() not in SUBSET_FOLDERS)
    return Listed(path, label, source, SUBSET_FOLDERS.get(part.casefold()))


def _label_of(text: str, names: ClassNames) -> int | None:
    """Of a label in a table, where 0 and 1 are real and AI-generated unless `data.classes` says otherwise."""
    if names.is_own(text):
        return names.label(text)
    return {"0": REAL, "1": AI}.get(text, names.label(text))
