"""Layouts of data sets: what a folder of images holds, which class each folder stands for, where it can be had.

One entry per layout is all that there is to add. Commands list the names without importing what reads images.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from rexnet_ai_real.labels import AI, REAL

_REAL_FOLDERS: Final = (
    *("real", "reals", "nature", "natural", "photo", "photos", "photograph", "photographs", "camera"),
    *("human", "humans", "authentic", "genuine", "realart", "real_art", "realimages", "real_images"),
)
_AI_FOLDERS: Final = (
    *("ai", "fake", "fakes", "generated", "aigenerated", "ai_generated", "ai-generated", "synthetic", "synthesized"),
    *("deepfake", "deepfakes", "aiartdata", "aiart", "ai_art", "aiimages", "ai_images", "fakeimages", "fake_images"),
)
CLASS_FOLDERS: Final = dict.fromkeys(_REAL_FOLDERS, REAL) | dict.fromkeys(_AI_FOLDERS, AI)
"""Folder names, in lower case, and the class that each stands for."""


@dataclass(frozen=True, slots=True)
class Layout:
    """One way in which a data set lies on disk."""

    expected: str
    """The folders that its root holds, in words for error messages."""
    kaggle_id: str | None = None
    """Owner and name of the data set on Kaggle, from where it is downloaded; None: it is not."""
    is_generated: bool = False
    """Whether this project draws the images itself, as `data.synthetic` says."""
    class_folders: Mapping[str, int] = field(default_factory=lambda: CLASS_FOLDERS)
    """Folder names, in lower case, and the class that each stands for."""


LAYOUTS: Final[dict[str, Layout]] = {
    "kaggle": Layout("AiArtData/AiArtData and RealArt/RealArt", "cashbowman/ai-generated-images-vs-real-images"),
    "cifake": Layout(
        "train/FAKE, train/REAL, test/FAKE and test/REAL",
        "birdy654/cifake-real-and-ai-generated-synthetic-images",
    ),
    "folder": Layout("a folder per class, such as ai and real"),
    "synthetic": Layout("ai and real", is_generated=True),
}
"""By the name that `data.name` and `python -m rexnet_ai_real.data --name` take."""
