"""An exported detector against timm's model in PyTorch: `python -m benchmarks.inference DETECTOR`.

Logits of prepared pixels, in batches of 32 and one by one, for every backend that the folder holds.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import timm
import torch
from torch import nn

from benchmarks.side_by_side import table, take_turns, write_section
from rexnet_ai_real import Detector
from rexnet_ai_real.engines import BACKENDS

USUAL = "timm in PyTorch, float32, NCHW, eager"
BATCHES = 4


def main() -> None:
    """Measure, and write the section."""
    parser = argparse.ArgumentParser(description="Time inference.")
    parser.add_argument("detector", type=Path, help="folder that export wrote")
    options = parser.parse_args()
    detectors = {
        backend: Detector.load(options.detector, backend=backend)
        for backend, (file, _) in BACKENDS.items()
        if (options.detector / file).is_file()
    }
    size = next(iter(detectors.values())).preprocessing.image_size
    usual = timm.create_model("rexnet_100", num_classes=2).eval()
    parts = []
    for batch, batches in ((32, BATCHES), (1, 32)):
        pixels = np.random.default_rng(0).integers(0, 256, (batch, size, size, 3), dtype=np.uint8)
        things = {USUAL: _usual(usual, batch, size, batches)}
        things |= {name: _engine(detector, pixels, batches) for name, detector in detectors.items()}
        timings = take_turns(things, items=batch * batches)
        parts.append(f"Batches of {batch}:\n\n{table(timings, USUAL)}")
    text = "Prepared pixels in, logits out; the detectors' time includes normalising.\n\n" + "\n\n".join(parts)
    write_section("Inference", text, threads=torch.get_num_threads())


def _usual(network: nn.Module, batch: int, size: int, batches: int) -> Callable[[], None]:
    pictures = torch.randn(batch, 3, size, size)

    def run() -> None:
        with torch.inference_mode():
            for _ in range(batches):
                network(pictures)

    return run


def _engine(
    detector: Detector, pixels: "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]", batches: int
) -> Callable[[], None]:
    def run() -> None:
        for _ in range(batches):
            detector.engine.logits(pixels)

    return run


if __name__ == "__main__":
    main()
