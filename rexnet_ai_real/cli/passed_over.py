"""Files inside folders that get no answer: those of the operating system, and results that a command left there."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Final

from rexnet_ai_real.images.walk import is_system_file
from rexnet_ai_real.regular_file import NotRegular, open_regular

MADE_BY: Final = "rexnet-ai-real predict"
"""What galleries and Parquet files of results hold, so that they are recognised."""
TABLE, OVERLAYS, SHEET = "explained.csv", "overlays", "contact_sheet_"
"""In a folder of explanations: its table, the folder of its images, and how the names of its contact sheets begin."""
_TABLE_START: Final = b'"path","label","probability"'
_FAR: Final = 1 << 16
"""Bytes at the beginning or end of a file that are searched."""


@dataclass
class PassedOver:
    """Says which files are passed over, and counts them."""

    system: int = 0
    results: int = 0
    empty: list[str] = field(default_factory=list)
    """Folders given that hold nothing else."""

    def __call__(self, path: str) -> bool:
        """Whether a file or folder is passed over; it is counted if it is."""
        is_system, is_results = is_system_file(path), is_result(path)
        self.system += is_system
        self.results += is_results and not is_system
        return is_system or is_results

    def remarks(self) -> Iterator[str]:
        """What to say of them, a line each."""
        if self.system:
            yield f"Passed over: files of the operating system, such as .DS_Store, Thumbs.db and ._*: {self.system:,}"
        if self.results:
            yield f"Passed over: files and folders that predict or explain wrote earlier: {self.results:,}"
        for folder in self.empty:
            yield f"{folder} holds no files: nothing to judge there."


def is_result(path: str) -> bool:
    """Whether predict or explain wrote a file, or a folder of images, by its name and content."""
    folder, name = os.path.split(path)
    if name in (TABLE, OVERLAYS) or (name.startswith(SHEET) and name.endswith(".png")):
        return _holds_explanations(folder)
    suffix = os.path.splitext(name.removesuffix(".partial"))[1]
    if suffix not in (".csv", ".jsonl", ".parquet", ".html"):
        return False
    try:
        with open_regular(Path(path)) as file:
            if suffix == ".parquet" and not name.endswith(".partial"):
                file.seek(max(0, os.path.getsize(path) - _FAR))
            piece = file.read(_FAR)
    except (OSError, ValueError, NotRegular):
        return False
    if name.endswith(".partial") or suffix == ".jsonl":
        return piece.startswith(b'{"path": "') and b'", "label": "' in piece
    return piece.startswith(_TABLE_START) if suffix == ".csv" else MADE_BY.encode() in piece


@lru_cache(maxsize=64)
def _holds_explanations(folder: str) -> bool:
    try:
        with open_regular(Path(folder, TABLE)) as file:
            return file.read(len(_TABLE_START)) == _TABLE_START
    except (OSError, ValueError, NotRegular):
        return False
