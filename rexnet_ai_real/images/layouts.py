"""Layouts of data sets: what a folder of images holds, which class each folder stands for, where it can be had.

One entry per layout is all that there is to add. Commands list the names without importing what reads images.
"""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import Final

from rexnet_ai_real.labels import AI, REAL

_REAL_WORDS: Final = (
    *("real", "nature", "natural", "photo", "photograph", "camera", "human", "authentic", "genuine"),
    *("notai", "nonai", "notfake", "nonfake"),
)
_AI_WORDS: Final = (
    *("ai", "aigen", "aigenerated", "aimade", "genai", "fake", "generated", "synthetic", "synthesized", "deepfake"),
    *("artificial",),
)
_NOUNS: Final = (
    *("", "s", "image", "images", "img", "imgs", "picture", "pictures", "pic", "pics", "photo", "photos"),
    *("photograph", "photographs", "face", "faces", "art", "artdata", "artwork", "artworks", "data", "dataset"),
    *("sample", "samples"),
)
CLASS_FOLDERS: Final[Mapping[str, int]] = {word + noun: REAL for word, noun in product(_REAL_WORDS, _NOUNS)} | {
    word + noun: AI for word, noun in product(_AI_WORDS, _NOUNS)
}
"""Folder names, as `plain_name` writes them, and the class that each stands for. Numbers alone are never guessed."""


def plain_name(folder: str) -> str:
    """A folder's name without what spellings differ in: case, spaces, underscores, hyphens, dots, a leading number.

    "AI Generated-Images" is "aigeneratedimages", "0_real" is "real"; "0" stays "0", and "2024_photos" "2024photos".
    """
    name = unicodedata.normalize("NFC", folder).casefold()
    return re.sub(r"[\s_.\-]+", "", re.sub(r"^\d{1,2}[\s_.\-]+(?=\S)", "", name))


@dataclass(frozen=True, slots=True)
class Layout:
    """One way in which a data set lies on disk."""

    expected: str
    """The folders that its root holds, in words for error messages."""
    kaggle_id: str | None = None
    """Owner and name of the data set on Kaggle, from where it is downloaded; None: it is not."""
    is_generated: bool = False
    """Whether this project draws the images itself, as `data.synthetic` says."""
    reads_tables: bool = False
    """Whether the labels may stand in a table: `data.root` may be one, and one inside is used if no folder is known."""
    has_roots: bool = False
    """Whether it is several folders or tables, each a collection: `data.roots` names them, and `data.root` their common
    parent, if that has moved since."""
    class_folders: Mapping[str, int] = field(default_factory=lambda: CLASS_FOLDERS)
    """Folder names, as `plain_name` writes them, and the class that each stands for."""


LAYOUTS: Final[dict[str, Layout]] = {
    "kaggle": Layout("AiArtData/AiArtData and RealArt/RealArt", "cashbowman/ai-generated-images-vs-real-images"),
    "cifake": Layout(
        "train/FAKE, train/REAL, test/FAKE and test/REAL",
        "birdy654/cifake-real-and-ai-generated-synthetic-images",
    ),
    "folder": Layout("a folder per class, such as ai and real", reads_tables=True),
    "collections": Layout("the collections of data.roots", reads_tables=True, has_roots=True),
    "synthetic": Layout("ai and real", is_generated=True),
}
"""By the name that `data.name` and `python -m rexnet_ai_real.data --name` take."""
