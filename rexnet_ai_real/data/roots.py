"""The folders and tables of `data.roots`: patterns filled in, what cannot be together refused, their common parent."""

import os
from collections.abc import Sequence
from glob import glob, has_magic
from itertools import pairwise
from pathlib import Path

from rexnet_ai_real.data.listed import MissingImagesError
from rexnet_ai_real.data.tables import is_table

EXAMPLE = "data.roots='[one,two,\"more/*\"]'"


def collection_roots(roots: Sequence[str]) -> list[Path]:
    """What `data.roots` names, absolute and sorted. A pattern stands for folders, or for tables if it ends like one.

    Raises:
        MissingImagesError: none is named, one is not there, a pattern fits nothing, or two hold the same files.
    """
    if not roots:
        raise MissingImagesError(f"data.roots names no collection; expected folders or tables: {EXAMPLE}")
    found = sorted(path for root in roots for path in _matching(root))
    _refuse_overlap(found)
    return found


def common_parent(roots: Sequence[Path]) -> Path:
    """The folder that paths of several collections start from.

    Raises:
        MissingImagesError: they are on different drives.
    """
    try:
        return Path(os.path.commonpath([root.parent for root in roots]))
    except ValueError as error:
        raise MissingImagesError("data.roots: collections on different drives have no common parent folder") from error


def _matching(root: str) -> list[Path]:
    path = Path(root).expanduser().absolute()
    if has_magic(root) and not path.exists():
        matches = [Path(match) for match in glob(str(path))]
        paths = [match for match in matches if match.is_dir() or (is_table(match) and is_table(path))]
        if not paths:
            raise MissingImagesError(f"data.roots: {root} fits no folder; expected what is there, such as {EXAMPLE}")
        return [Path(os.path.normpath(path)) for path in paths]
    if not (path.is_dir() or (path.is_file() and is_table(path))):
        state = "is neither a folder nor a table (.csv, .tsv, .jsonl, .parquet)" if path.exists() else "does not exist"
        raise MissingImagesError(f"data.roots: {root} {state}; expected folders or tables: {EXAMPLE}")
    return [Path(os.path.normpath(path))]


def _refuse_overlap(roots: Sequence[Path]) -> None:
    """Stop where images would count twice."""
    # Sorted by their parts, whatever lies inside a folder comes right after it.
    for (outer, first), (inner, second) in pairwise(sorted((root.resolve(), root) for root in roots)):
        if inner == outer:
            raise MissingImagesError(f"data.roots: {second} is named twice ({first}); name it once")
        if inner.is_relative_to(outer):
            raise MissingImagesError(f"data.roots: {second} lies inside {first}; name one of them")
