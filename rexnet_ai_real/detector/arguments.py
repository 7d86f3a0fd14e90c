"""MODEL, the argument that names a detector, and how it is run."""

import argparse

from rexnet_ai_real.detector.backends import BACKENDS


def add_detector(parser: argparse.ArgumentParser) -> None:
    """MODEL and how to run it."""
    parser.add_argument("model", metavar="MODEL", help="run folder, .ckpt, multirun of folds, or exported detector")
    parser.add_argument(
        "--backend",
        choices=("auto", *BACKENDS),
        default="auto",
        help="what runs an exported detector (default: auto, the first of these that it has a file for)",
    )
    parser.add_argument("--device", default="auto", help="of PyTorch: cpu, cuda, cuda:1, mps (default: the best)")
