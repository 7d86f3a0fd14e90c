"""Any function in Python as a detector: the path of an image -> its probability of being AI-generated."""

import hashlib
import importlib
import inspect
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile, TemporaryDirectory
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rexnet_ai_real.detector.description import UNCALIBRATED, Description
from rexnet_ai_real.detector.detector import Detector
from rexnet_ai_real.errors import UserError, one_line
from rexnet_ai_real.evaluate.cached_logits import corrupted_logits
from rexnet_ai_real.evaluate.corruptions import NONE, Corruption
from rexnet_ai_real.evaluate.part import LabelledImage
from rexnet_ai_real.images.preprocessing import LARGEST, Pixels, Preprocessing
from rexnet_ai_real.metrics.scores import FloatArray

CLIP: Final = 1e-6
"""Probabilities nearer to 0 or 1 have these log-odds: those of 0 and 1 are infinite."""
_UNUSED: Final = Preprocessing(LARGEST, "squash", "bilinear", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
"""A function reads files, and prepares them itself."""


class NoFunction(UserError, ValueError):
    """The name stands for no function that can be called."""


class BadAnswer(UserError, ValueError):
    """The function failed on an image, or what it returned is no probability."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One image as the function gets it."""

    file: Path
    words: str
    """Which image it is, for messages."""
    is_temporary: bool
    """Whether it was written for this one question."""


@dataclass(frozen=True, eq=False)
class FunctionEngine:
    """Calls the function for each image, one after the other: it may bear no more."""

    name: str
    """MODULE:FUNCTION."""
    function: Callable[[str], Any]
    source: str | None
    """SHA-256 over the files that define it; None where there are none, so that its answers cannot be kept."""
    backend: str = "python"
    device: str = "cpu"

    def logits(self, images: Pixels) -> NDArray[np.float32]:
        """As `Engine.logits`, each image as a PNG of its pixels."""
        with TemporaryDirectory() as folder:
            files = [_png(Image.fromarray(image), Path(folder)) for image in images]
            asked = [Asked(file, f"image {number}", True) for number, file in enumerate(files)]
            return self.answers(asked).astype(np.float32)

    def logits_and_maps(self, images: Pixels) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """As `Engine.logits_and_maps`.

        Raises:
            UserError: always, since a function has no such map.
        """
        raise UserError(f"python:{self.name} gives {len(images)} probabilities, and no class-activation map")

    def answers(self, asked: Iterable[Asked]) -> FloatArray:
        """The log-odds of each image, (n,); temporary files are removed.

        Raises:
            BadAnswer: as `answer`.
        """
        found = []
        for each in asked:
            found.append(self.answer(each))
            if each.is_temporary:
                each.file.unlink(missing_ok=True)
        return np.array(found, dtype=np.float64)

    def answer(self, asked: Asked) -> float:
        """The log-odds of one image.

        Raises:
            BadAnswer: the function raised an error, or returned something else than a number from 0 to 1.
        """
        try:
            probability = float(self.function(str(asked.file)))
        except Exception as error:  # whatever it raises
            raise BadAnswer(
                one_line(
                    f"python:{self.name} failed on {asked.words} ({type(error).__name__}: {error}): it must take the "
                    "path of an image and return the probability that it is AI-generated, a number from 0 to 1"
                )
            ) from error
        if not 0 <= probability <= 1:  # NaN is not, either
            raise BadAnswer(
                f"python:{self.name} returned {probability} for {asked.words}: expected the probability that it is "
                "AI-generated, a number from 0 to 1"
            )
        clipped = np.clip(probability, CLIP, 1 - CLIP)
        return float(np.log(clipped / (1 - clipped)))


def open_function(name: str) -> Detector:
    """MODULE:FUNCTION, imported from the current folder or the environment, as a detector.

    Raises:
        NoFunction: there is no such module or function, or the module cannot be imported.
    """
    module_name, _, function_name = name.partition(":")
    if not (all(part.isidentifier() for part in module_name.split(".")) and function_name.isidentifier()):
        raise NoFunction(f"python:{name}: expected python:MODULE:FUNCTION, such as python:my_detector:probability")
    folder = str(Path.cwd())
    if folder not in sys.path:  # as with python -m, and it stays: a function may import when it is called
        sys.path.insert(0, folder)
    try:
        module = importlib.import_module(module_name)
    except Exception as error:  # whatever the module does when it is imported
        raise NoFunction(
            one_line(
                f"python:{name}: {module_name} cannot be imported ({type(error).__name__}: {error}). Start from "
                "the folder that holds it, and with the Python that has what it needs"
            )
        ) from error
    function = getattr(module, function_name, None)
    if not callable(function):
        raise NoFunction(f"python:{name}: {module_name} has no function {function_name}")
    source = _source(module.__file__, function)
    fingerprint = hashlib.sha256(f"{name} {source}".encode()).hexdigest()
    description = Description({"name": name}, 1, _UNUSED, UNCALIBRATED, {}, fingerprint)
    return Detector(FunctionEngine(name, function, source), description)


def function_logits(
    engine: FunctionEngine,
    images: Sequence[LabelledImage],
    *,
    corruptions: Sequence[Corruption],
    cache: Path,
    fingerprint: str,
    **settings: Any,
) -> FloatArray:
    """As `corrupted_logits`, of a function. Images as they are are given as they lie there, with their metadata.

    Among corrupted ones they are not: there each, also the untouched one, is a PNG of its pixels in a temporary folder,
    so that they differ in nothing else.

    Args:
        engine: calls the function.
        images: at least one.
        corruptions: what is done to each image.
        cache: not used where it is not known what defines the function.
        fingerprint: of the function.
        settings: others of `corrupted_logits`.

    Raises:
        BadAnswer: the function failed, or returned no probability; the message names the image.
    """
    are_files = tuple(corruptions) == (NONE,)
    with TemporaryDirectory(prefix="rexnet-ai-real-") as folder:
        temporary = Path(folder)

        def prepare(image: Image.Image, of: LabelledImage, corruption: Corruption) -> Asked:
            if are_files:
                return Asked(of.path.absolute(), str(of.path), False)
            return Asked(_png(image, temporary), f"{of.path} under {corruption.name}", True)

        return corrupted_logits(
            images,
            engine.answers,
            fingerprint=fingerprint,
            cache=cache if engine.source else temporary,
            corruptions=corruptions,
            prepare=prepare,
            enough=1 if are_files else None,  # decoded only to see whether it is an image
            **settings,
        )


def _png(image: Image.Image, folder: Path) -> Path:
    with NamedTemporaryFile(dir=folder, suffix=".png", delete=False) as file:
        image.save(file, "PNG", compress_level=1)  # read once: speed counts, and not size
    return Path(file.name)


def _source(module: str | None, function: Callable[..., Any]) -> str | None:
    """SHA-256 over the module that was named and over the one where the function stands; None without source."""
    try:
        files = {Path(str(module)), Path(str(inspect.getsourcefile(inspect.unwrap(function))))}
        return hashlib.sha256(b"\0".join(file.read_bytes() for file in sorted(files))).hexdigest()
    except (OSError, TypeError):
        return None
