"""MODEL, the argument that may name a detector, and how it is run."""

import argparse
import mimetypes
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rexnet_ai_real.cli.patterns import is_pattern
from rexnet_ai_real.detector.backends import BACKENDS
from rexnet_ai_real.errors import UserError

if TYPE_CHECKING:
    from rexnet_ai_real.detector.detector import Detector
    from rexnet_ai_real.detector.worth import Worth

MODEL: Final = (
    "run folder, .ckpt, multirun of folds or seeds, exported detector, or OWNER/NAME[@REVISION] of one on the Hugging "
    "Face Hub"
)
EXPORTED: Final = (
    "exported detector that holds onnx-int8 (default: the detector that comes with this program, which is called ready)"
)
USAGE: Final = "%(prog)s [options] [MODEL] PATHS..."
"""Of a command that takes the detector that comes with this program where none is named."""
CHOICE: Final = (
    f"Where the first of PATHS is a detector, it is the MODEL ({MODEL}); otherwise the detector that comes with this "
    "program answers, which is called ready."
)
TRACES: Final = (*(backend.file for backend in BACKENDS.values()), "checkpoints", "manifest.csv")
"""In a folder, signs of a detector."""
_ARCHIVE: Final = b"PK\x03\x04"
"""Begins a checkpoint, whatever its name."""


def add_detector(parser: argparse.ArgumentParser) -> None:
    """How a detector is run."""
    parser.add_argument(
        "--backend",
        choices=("auto", *BACKENDS),
        default="auto",
        help="what runs an exported detector (default: auto, the first of these that it has a file for)",
    )
    parser.add_argument("--device", default="auto", help="of PyTorch: cpu, cuda, cuda:1, mps (default: the best)")


def model_and_images(arguments: Sequence[str]) -> tuple[str | None, list[str]]:
    """What MODEL and PATHS together stand for: the name of a detector, None for the one that comes along, and images.

    Raises:
        UserError: no image is given, or the first argument is neither there nor a name, or a part of a detector.
    """
    from rexnet_ai_real.detector.ready import NAME

    first, *rest = arguments
    if not _names_a_detector(first):
        return None, list(arguments)
    if not rest:
        if not os.path.lexists(first) and first != NAME:
            raise UserError(
                f"{first} does not exist here. If it is a detector, such as one on the Hugging Face Hub, give images "
                "after it"
            )
        raise UserError(f"{first} is taken for the detector: give images after it")
    return None if first == NAME and not os.path.lexists(first) else first, rest


def _names_a_detector(argument: str) -> bool:
    from rexnet_ai_real.detector.hub import FILES, hub_name  # NumPy too: --help needs none of it
    from rexnet_ai_real.detector.ready import NAME
    from rexnet_ai_real.runs.folder import RunFolder
    from rexnet_ai_real.runs.identify import DETECTOR_FILE, EXPECTED, is_a_detector

    if argument == "-" or is_pattern(argument):
        return False
    path = Path(argument)
    if os.path.isdir(argument):
        if is_a_detector(path):
            return True
        if trace := next((name for name in TRACES if (path / name).exists()), None):
            raise UserError(
                f"{argument} holds {trace}, but neither {DETECTOR_FILE} nor {RunFolder(path).config_file.name}: it "
                "looks like a detector that is not complete, and not like a folder of images. Put the missing file "
                "back, or give the images in it one by one"
            )
        return False
    if os.path.isfile(argument):
        return path.suffix in FILES or _is_archive(path)
    if os.path.lexists(argument):
        return False
    is_image = str(mimetypes.guess_type(argument, strict=False)[0]).startswith("image/")
    if not is_image and (argument == NAME or path.suffix in FILES or hub_name(path)):
        return True
    raise UserError(f"{argument} does not exist: {EXPECTED}, or images")


def _is_archive(file: Path) -> bool:
    try:
        with file.open("rb") as opened:
            return opened.read(len(_ARCHIVE)) == _ARCHIVE
    except OSError:  # the row of an image says why
        return False


def load_detector(options: argparse.Namespace) -> tuple["Detector", "Worth"]:
    """The detector that `options.model` names, and what it is worth. Says first which one answers, where that is news.

    Raises:
        UserError: as `Detector.load`.
    """
    from rexnet_ai_real.detector.detector import Detector  # --help needs none of it
    from rexnet_ai_real.detector.ready import FOLDER
    from rexnet_ai_real.detector.worth import Worth

    detector = Detector.load(options.model, backend=options.backend, device=options.device)
    worth = Worth.of(detector.description, Path(options.model or FOLDER))
    if options.model is None:
        name = f"{worth.name}. It comes" if worth.name else "the one that comes"
        print(f"Detector: {name} with this program.", " ".join(worth.sentences), sep="\n", file=sys.stderr)
    elif detector.origin:
        print(f"Detector: {detector.origin}", file=sys.stderr)
    return detector, worth
