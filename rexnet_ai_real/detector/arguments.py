"""MODEL, the argument that names a detector, and how it is run."""

import argparse
import sys
from typing import TYPE_CHECKING, Final

from rexnet_ai_real.detector.backends import BACKENDS

if TYPE_CHECKING:
    from rexnet_ai_real.detector.detector import Detector

MODEL: Final = (
    "run folder, .ckpt, multirun of folds, exported detector, or OWNER/NAME[@REVISION] of one on the Hugging Face Hub"
)


def add_detector(parser: argparse.ArgumentParser) -> None:
    """MODEL and how to run it."""
    parser.add_argument("model", metavar="MODEL", help=MODEL)
    parser.add_argument(
        "--backend",
        choices=("auto", *BACKENDS),
        default="auto",
        help="what runs an exported detector (default: auto, the first of these that it has a file for)",
    )
    parser.add_argument("--device", default="auto", help="of PyTorch: cpu, cuda, cuda:1, mps (default: the best)")


def load_detector(options: argparse.Namespace) -> "Detector":
    """The detector that the arguments of `add_detector` name; of one from the Hub, which commit it is.

    Raises:
        UserError: as `Detector.load`.
    """
    from rexnet_ai_real.detector.detector import Detector  # --help needs none of it

    detector = Detector.load(options.model, backend=options.backend, device=options.device)
    if detector.origin:
        print(f"Detector: {detector.origin}", file=sys.stderr)
    return detector
