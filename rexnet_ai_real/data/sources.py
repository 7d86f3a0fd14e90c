"""Where the images are: finds a data set's folder, downloads it where it can, lists its files with their labels."""

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final, Literal

from rexnet_ai_real.config import ConfigError, DataConfig
from rexnet_ai_real.errors import UserError
from rexnet_ai_real.images.layouts import LAYOUTS
from rexnet_ai_real.images.walk import image_files
from rexnet_ai_real.labels import AI, LABELS, REAL

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


class MissingImagesError(UserError, FileNotFoundError):
    """No images where they should be. The message says what was expected, and what to do."""


@dataclass(frozen=True, slots=True)
class Listed:
    """One file of a data set, not yet opened."""

    path: str
    """Relative to the data set's folder, with forward slashes."""
    label: int | None
    """REAL, AI, or None for a file in no class folder."""
    source: str
    """The folders around the class folder, such as a generator's name; empty where there are none."""
    subset: Subset | None
    """Where the data set's own split puts it; None where it has none."""


def locate(data: DataConfig) -> Path:
    """The folder with the images of `data`: the one configured, else the usual one, filled first where it is empty.

    Raises:
        MissingImagesError: there is none, and it cannot be downloaded.
        SyntheticError: the synthetic images cannot be made there.
    """
    layout = LAYOUTS[data.name]
    root = root_of(data)
    if layout.is_generated:
        from rexnet_ai_real.data.synthetic import make_images

        return make_images(root, count=data.synthetic.count, size=data.synthetic.size, seed=data.synthetic.seed)
    if root.exists() and not root.is_dir():
        raise MissingImagesError(f"data.root={root} is a file; the folder that holds {layout.expected} is expected")
    if holds_anything(root):
        return root
    if layout.kaggle_id is None:
        given = f"data.root={data.root}" if data.root else f"data.root is not given, so {root} is used"
        raise MissingImagesError(
            f"{given}: no such folder, or an empty one. Expected: {layout.expected} in it. "
            "Give the folder as data.root=PATH, or try the program with data=synthetic"
        )
    return _download(layout.kaggle_id, layout.expected, root)


def listing(data: DataConfig, root: Path) -> list[Listed]:
    """All files under `root`, hidden ones too, sorted by path, with the label that their folders give them.

    The class is that of the first folder, from the top, whose name is known: from `data.classes`, or from the layout.
    The other folders on the path are the source, except the names of subsets (train, val, test) and repetitions. A
    name from `data.classes` is part of the source as well, since it often is a generator's. Links to folders are
    followed, each folder once.

    Raises:
        MissingImagesError: no file lies in a class folder.
        ConfigError: data.classes names an unknown class.
    """
    layout = LAYOUTS[data.name]
    own_folders = _own_folders(data.classes)
    listed = [_listed(path, layout.class_folders, own_folders) for path in _files(root)]
    if not any(file.label is not None for file in listed):
        folders = sorted({PurePosixPath(file.path).parts[0] for file in listed if "/" in file.path})
        raise MissingImagesError(
            f"{root}: no file lies in a folder of a known class. Expected: {layout.expected}; found: "
            f"{', '.join(folders[:8]) or 'no folders'}. Name others in data.classes='{{NAME: ai, NAME: real}}'"
        )
    return listed


def _own_folders(classes: Mapping[str, str]) -> dict[str, int]:
    for folder, label in classes.items():
        if label not in LABELS:
            raise ConfigError(f"data.classes: {folder} is given the class {label!r}; expected {' or '.join(LABELS)}")
    return {folder.lower(): AI if label == LABELS[AI] else REAL for folder, label in classes.items()}


def _listed(path: str, class_folders: Mapping[str, int], own_folders: Mapping[str, int]) -> Listed:
    known = {**class_folders, **own_folders}
    folders = PurePosixPath(path).parent.parts
    class_folder = next((folder.lower() for folder in folders if folder.lower() in known), None)
    subset = next((SUBSET_FOLDERS[folder.lower()] for folder in folders if folder.lower() in SUBSET_FOLDERS), None)
    no_source = {*SUBSET_FOLDERS, class_folder} - own_folders.keys()
    source = dict.fromkeys(folder for folder in folders if folder.lower() not in no_source)
    return Listed(path, known.get(class_folder or ""), "/".join(source), subset)


def _files(root: Path) -> list[str]:
    """Paths below `root`, with forward slashes, of all that is no folder, and of folders that cannot be opened."""
    start = len(str(root))
    return sorted(file.path[start:].lstrip(os.sep).replace(os.sep, "/") for file in image_files(root))


def root_of(data: DataConfig) -> Path:
    """The folder for the images of `data`, whether it exists or not."""
    return Path(data.root or f"data/{data.name}").expanduser()


def holds_anything(root: Path) -> bool:
    """Whether `root` is a folder with something in it."""
    return root.is_dir() and any(root.iterdir())


def _download(kaggle_id: str, expected: str, root: Path) -> Path:
    """Fill `root` from Kaggle, atomically: a download that is cut off leaves nothing that passes for the data."""
    import kagglehub
    import requests

    partial = root.with_name(f".{root.name}-download")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        downloaded = Path(kagglehub.dataset_download(kaggle_id, output_dir=str(partial)))
    except Exception as error:  # kagglehub lets errors of requests, of its own and of the system through
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:160]}"
        if isinstance(error, requests.ConnectionError):
            reason = "no connection to kaggle.com"
        raise MissingImagesError(
            f"data.root={root} holds no images, and they cannot be downloaded ({reason}). Fetch "
            f"https://www.kaggle.com/datasets/{kaggle_id} by hand and unpack it so that {root} holds {expected}; "
            "or try the program without it: data=synthetic"
        ) from error
    if downloaded != partial:  # inside Kaggle's and Colab's notebooks the data is mounted elsewhere
        return downloaded
    shutil.rmtree(partial / ".complete", ignore_errors=True)  # kagglehub's own note that it has finished
    return partial.replace(root)
