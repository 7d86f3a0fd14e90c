"""An exported detector against timm's model in PyTorch: `python -m benchmarks.inference DETECTOR`.

Logits of prepared pixels, in batches of 32 and one by one, for every backend that the folder holds.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import timm
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.side_by_side import table, take_turns, write_section
from rexnet_ai_real import Detector
from rexnet_ai_real.detector.backends import BACKENDS

USUAL = "timm in PyTorch, float32, NCHW, eager"
BATCHES = 4


def main() -> None:
    """Measure, and write the section."""
    parser = argparse.ArgumentParser(description="Time inference.")
    parser.add_argument("detector", type=Path, help="folder that export wrote")
    options = parser.parse_args()
    detectors = {
        backend: Detector.load(options.detector, backend=backend)
        for backend, entry in BACKENDS.items()
        if (options.detector / entry.file).is_file()
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
        if batch > 1:
            parts.append(_roofline(usual, size, {name: timing.rate for name, timing in timings.items()}))
    text = "Prepared pixels in, logits out; the detectors' time includes normalising.\n\n" + "\n\n".join(parts)
    write_section("Inference", text, threads=torch.get_num_threads())


def _roofline(network: nn.Module, size: int, rates: dict[str, float]) -> str:
    """What share of the machine's measured peak is reached: products of large matrices, and copies of memory."""
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        network(torch.randn(1, 3, size, size))
    work = counter.get_total_flops() / 1e9
    weights = 4 * sum(parameter.numel() for parameter in network.parameters()) / 1e6
    single, half = _peak(torch.float32), _peak(torch.bfloat16)
    lines = [
        f"| {name} | {rate * work:,.0f} | {rate * work / single:.0%} | {rate * work / half:.0%} |"
        for name, rate in rates.items()
    ]
    return (
        f"One image is {work:.2f} GFLOP (a product and a sum count as two); the weights are {weights:.0f} MB. "
        f"Measured peaks: {single:,.0f} GFLOP/s in float32, {half:,.0f} in bfloat16 (product of 4096 x 4096 matrices), "
        f"{_copying():.0f} GB/s copied.\n\n| | GFLOP/s | of the peak in float32 | in bfloat16 |\n|---|---:|---:|---:|\n"
        + "\n".join(lines)
    )


def _peak(dtype: torch.dtype, side: int = 4096) -> float:
    a, b = torch.randn(side, side).to(dtype), torch.randn(side, side).to(dtype)
    return 2 * side**3 / 1e9 / _fastest(lambda: a @ b)


def _copying(megabytes: int = 512) -> float:
    source = torch.zeros(megabytes << 20, dtype=torch.uint8)
    target = torch.empty_like(source)
    return 2 * source.numel() / 1e9 / _fastest(lambda: target.copy_(source))  # read and written


def _fastest(run: Callable[[], object], rounds: int = 5) -> float:
    taken = []
    for _ in range(rounds):
        started = time.perf_counter()
        run()
        taken.append(time.perf_counter() - started)
    return min(taken)


def _usual(network: nn.Module, batch: int, size: int, batches: int) -> Callable[[], None]:
    images = torch.randn(batch, 3, size, size)

    def run() -> None:
        with torch.inference_mode():
            for _ in range(batches):
                network(images)

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
