"""Texts in the cells of CSV files, made harmless: a spreadsheet runs what begins with = + - @ as a formula."""

import os
from typing import Final

_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n")


def harmless_path(path: str) -> str:
    """A path that names the same file, and that no spreadsheet takes for a formula: =1.jpg becomes ./=1.jpg."""
    return f".{os.sep}{path}" if path.startswith(_FORMULA) else path


def harmless_text(text: str) -> str:
    """A text that no spreadsheet takes for a formula: an apostrophe is put before its first letter."""
    return f"'{text}" if text.startswith(_FORMULA) else text
