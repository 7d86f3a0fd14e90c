"""Where the images are: finds a data set's folder, downloads it where it can, lists its files with their labels."""

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final, Literal

from rexnet_ai_real.config import ConfigError, DataConfig
from rexnet_ai_real.errors import UserError
from rexnet_ai_real.labels import AI, LABELS, REAL

Part = Literal["train", "val", "test"]

KAGGLE_IDS: Final = {
    "kaggle": "cashbowman/ai-generated-images-vs-real-images",
    "cifake": "birdy654/cifake-real-and-ai-generated-synthetic-images",
}
EXPECTED: Final = {
    "kaggle": "AiArtData/AiArtData and RealArt/RealArt",
    "cifake": "train/FAKE, train/REAL, test/FAKE and test/REAL",
    "folder": "a folder per class, such as ai and real",
    "synthetic": "ai and real",
}

_REAL_NAMES: Final = (
    *(
        "real",
        "reals",
        "nature",
        "natural",
        "photo",
        "photos",
        "photograph",
        "photographs",
        "camera",
        "human",
        "humans",
    ),
    *("authentic", "genuine", "realart", "real_art", "realimages", "real_images"),
)
_AI_NAMES: Final = (
    *("ai", "fake", "fakes", "generated", "aigenerated", "ai_generated", "ai-generated", "synthetic", "synthesized"),
    *("deepfake", "deepfakes", "aiartdata", "aiart", "ai_art", "aiimages", "ai_images", "fakeimages", "fake_images"),
)
CLASS_NAMES: Final = dict.fromkeys(_REAL_NAMES, REAL) | dict.fromkeys(_AI_NAMES, AI)
"""Folder names, in lower case, and the class that each stands for."""

PART_NAMES: Final[Mapping[str, Part]] = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}


class MissingImagesError(UserError, FileNotFoundError):
    """No images where they should be. The message says what was expected, and what to do."""


@dataclass(frozen=True, slots=True)
class Listed:
    """One file of a data set, not yet looked into."""

    path: str
    """Relative to the data set's folder, with forward slashes."""
    label: int | None
    """REAL, AI, or None for a file in no class folder."""
    source: str
    """The folders around the class folder, such as a generator's name; empty where there are none."""
    part: Part | None
    """The data set's own split, if it has one."""


def locate(data: DataConfig) -> Path:
    """The folder with the images of `data`: the one configured, else the usual one, filled first where it is empty.

    Raises:
        MissingImagesError: there is none, and it cannot be downloaded.
    """
    if data.name == "synthetic":
        from rexnet_ai_real.data.synthetic import make_images

        root = Path(data.root or "data/synthetic").expanduser()
        return make_images(root, count=data.synthetic.count, size=data.synthetic.size, seed=data.synthetic.seed)
    root = Path(data.root or f"data/{data.name}").expanduser()
    if root.exists() and not root.is_dir():
        raise MissingImagesError(f"data.root={root} is a file; the folder that holds {EXPECTED[data.name]} is expected")
    if _holds_anything(root):
        return root
    if data.name not in KAGGLE_IDS:
        given = f"data.root={data.root}" if data.root else f"data.root is not given, and stands for {root}"
        raise MissingImagesError(
            f"{given}: no such folder, or an empty one. Expected: {EXPECTED[data.name]} in it. "
            "Give the folder as data.root=PATH, or try the program with data=synthetic"
        )
    return _download(data.name, root)


def listing(data: DataConfig, root: Path) -> list[Listed]:
    """All files under `root`, hidden ones too, sorted by path, with the label that their folders give them.

    The class is that of the first folder, from the top, that has a known name (in `data.classes` or CLASS_NAMES).
    The other folders on the way are the source, but for parts (train, val, test) and repetitions; a name from
    `data.classes` is a source as well, since it often is a generator's. Links to folders are followed, each once.

    Raises:
        MissingImagesError: no file lies in a class folder.
        ConfigError: data.classes names an unknown class.
    """
    own_names = _own_names(data.classes)
    listed = [_listed(path, own_names) for path in _files(root)]
    if not any(file.label is not None for file in listed):
        folders = sorted({PurePosixPath(file.path).parts[0] for file in listed if "/" in file.path})
        raise MissingImagesError(
            f"{root}: no file lies in a folder of a known class. Expected: {EXPECTED[data.name]}; found: "
            f"{', '.join(folders[:8]) or 'no folders'}. Name others in data.classes='{{NAME: ai, NAME: real}}'"
        )
    return listed


def _own_names(classes: Mapping[str, str]) -> dict[str, int]:
    for folder, label in classes.items():
        if label not in LABELS:
            raise ConfigError(f"data.classes: {folder} is said to be {label!r}; {' or '.join(LABELS)} is expected")
    return {folder.lower(): AI if label == LABELS[AI] else REAL for folder, label in classes.items()}


def _listed(path: str, own_names: dict[str, int]) -> Listed:
    names = CLASS_NAMES | own_names
    folders = PurePosixPath(path).parent.parts
    class_folder = next((folder.lower() for folder in folders if folder.lower() in names), None)
    part = next((PART_NAMES[folder.lower()] for folder in folders if folder.lower() in PART_NAMES), None)
    unsaid = {*PART_NAMES, class_folder} - own_names.keys()
    source = dict.fromkeys(folder for folder in folders if folder.lower() not in unsaid)
    return Listed(path, names.get(class_folder or ""), "/".join(source), part)


def _files(root: Path) -> list[str]:
    """Paths of everything under `root` that is no folder, and of folders that cannot be opened."""
    found: list[str] = []
    seen: set[tuple[int, int]] = set()
    waiting = [""]
    while waiting:
        folder = waiting.pop()
        try:
            status = os.stat(root / folder)
            if (status.st_dev, status.st_ino) in seen:  # a link back up, or a second link to the same folder
                continue
            seen.add((status.st_dev, status.st_ino))
            with os.scandir(root / folder) as entries:
                ordered = sorted(entries, key=lambda entry: entry.name)
        except OSError:
            found.append(folder)
            continue
        for entry in ordered:
            path = f"{folder}/{entry.name}" if folder else entry.name
            (waiting if os.path.isdir(entry) else found).append(path)  # entry.is_dir() raises for a link to itself
    return sorted(found)


def _holds_anything(root: Path) -> bool:
    return root.is_dir() and any(root.iterdir())


def _download(name: str, root: Path) -> Path:
    """Fill `root` from Kaggle, whole or not at all: a download cut off leaves nothing that passes for the data."""
    import kagglehub
    import requests

    handle = KAGGLE_IDS[name]
    partial = root.with_name(f".{root.name}-download")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        downloaded = Path(kagglehub.dataset_download(handle, output_dir=str(partial)))
    except Exception as error:  # kagglehub lets errors of requests, of its own and of the system through
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:160]}"
        if isinstance(error, requests.ConnectionError):
            reason = "no connection to kaggle.com"
        raise MissingImagesError(
            f"data.root={root} holds no images, and they cannot be downloaded ({reason}). Fetch "
            f"https://www.kaggle.com/datasets/{handle} by hand and unpack it so that {root} holds {EXPECTED[name]}; "
            "or try the program without it: data=synthetic"
        ) from error
    if downloaded != partial:  # inside Kaggle's and Colab's notebooks the data is mounted elsewhere
        return downloaded
    shutil.rmtree(partial / ".complete", ignore_errors=True)  # kagglehub's own note that it has finished
    return partial.replace(root)
