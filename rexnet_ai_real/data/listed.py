"""A file of a data set with what is known of it before it is opened: class, source, subset."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from rexnet_ai_real.errors import UserError

Subset = Literal["train", "val", "test"]

SUBSET_FOLDERS: Final[Mapping[str, Subset]] = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}
"""Folder names, in lower case, and the data set's own subset that each stands for."""


SHOWN: Final = 12
"""Folders, labels or files that a message names."""


class MissingImagesError(UserError, FileNotFoundError):
    """No images where they should be. The message says what was expected, and what to do."""


class AmbiguousFolders(MissingImagesError):
    """The folders on one path name both classes, such as human/ai/1.jpg. The message says how to choose."""


@dataclass(frozen=True, slots=True)
class Listed:
    """One file of a data set, not yet opened."""

    path: str
    """Relative to the data set's folder, with forward slashes."""
    label: int | None
    """REAL, AI, or None for a file in no class folder."""
    source: str
    """The folders around the class folder, such as a generator's name, or what a table says; may be empty."""
    subset: Subset | None
    """Where the data set's own split puts it; None where it has none."""
    collection: str = ""
    """Which of several collections it is from: the path of its root, see `data/roots.py`; empty where there is one."""
