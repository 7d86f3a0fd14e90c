"""How time and memory grow with the number of images: `python -m benchmarks.growth`.

Each step runs on 1,000, 10,000 and 100,000 generated tiny images, in a process of its own for the memory. What counts
is the exponent: 1 is linear, and n log n looks like 1.1 at these sizes.
"""

import argparse
import json
import math
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from PIL import Image

from benchmarks.side_by_side import write_section
from rexnet_ai_real.files import write_atomically
from rexnet_ai_real.markdown import markdown_table

SIZES = (1_000, 10_000, 100_000)
STEPS = (
    "manifest, first time",
    "manifest, again",
    "near-duplicate groups",
    "split",
    "bootstrap, 200 resamples",
    "predict",
)
SIDE = 12
MEMORY = "peak memory, MB"
FIGURE = Path(__file__).with_name("growth.png")


def main() -> None:
    """Measure every size in a process of its own, and write the section."""
    parser = argparse.ArgumentParser(description="Time the growth with the number of images.")
    parser.add_argument("--sizes", nargs="+", type=int, default=list(SIZES))
    parser.add_argument("--detector", type=Path, help="exported folder for the step predict; left out without it")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options.one, options.detector)))
        return
    command = [sys.executable, "-m", "benchmarks.growth"]
    command += ["--detector", str(options.detector)] if options.detector else []
    found = {}
    for size in options.sizes:
        done = subprocess.run([*command, "--one", str(size)], check=True, stdout=subprocess.PIPE, text=True)
        found[size] = json.loads(done.stdout.splitlines()[-1])
        print(size, found[size], file=sys.stderr)
    rows = []
    for step in next(iter(found.values())):
        values = [row[step] for row in found.values()]
        sizes = list(found)
        exponent = math.log(values[-1] / values[-2]) / math.log(sizes[-1] / sizes[-2])
        rows.append([step, *(f"{value:,.2f}" for value in values), f"{exponent:.2f}"])
    columns = ["", *(f"{size:,}" for size in found), "exponent"]
    table = markdown_table(columns, rows, right=range(1, len(columns)))
    draw(found, FIGURE)
    text = f"Seconds per step on generated images of {SIDE} px; the exponent is that of the last two sizes.\n\n"
    image = f"\n\n![Seconds of each step against the number of images]({FIGURE.name})"
    write_section("Growth", text + table + image, threads=2)


def draw(found: Mapping[int, Mapping[str, float]], file: Path) -> None:
    """Seconds of every step against the number of images, both in powers of ten, beside a line that is linear."""
    sizes = list(found)
    figure, axes = plt.subplots(figsize=(7, 4.2), layout="constrained")
    for step in (step for step in next(iter(found.values())) if step != MEMORY):
        axes.loglog(sizes, [found[size][step] for size in sizes], marker="o", label=step)
    slowest = max(value for step, value in found[sizes[0]].items() if step != MEMORY)
    axes.loglog(sizes, [2 * slowest * size / sizes[0] for size in sizes], color="grey", linestyle=":", label="linear")
    axes.set(xlabel="images", ylabel="seconds")
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    with write_atomically(file) as temporary:
        figure.savefig(temporary, dpi=120)
    plt.close(figure)


def measure(count: int, detector: Path | None) -> dict[str, float]:
    """Seconds of each step, and the peak of memory in MB."""
    from rexnet_ai_real.config import DataConfig
    from rexnet_ai_real.data.manifest import build_manifest, near_groups
    from rexnet_ai_real.data.sources import listing
    from rexnet_ai_real.data.split import assign_split
    from rexnet_ai_real.metrics.binary import evaluate_scores
    from rexnet_ai_real.metrics.scores import Scores

    seconds: dict[str, float] = {}

    def timed(name: str, started: float) -> None:
        seconds[name] = time.perf_counter() - started

    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary) / "images"
        _draw(root, count)
        for name in STEPS[:2]:
            started = time.perf_counter()
            listed = listing(DataConfig(name="folder", root=str(root)), root)
            manifest = build_manifest(root, listed, cache=Path(temporary) / "cache", progress=False)
            timed(name, started)
        started = time.perf_counter()
        near_groups(manifest, 4)
        timed(STEPS[2], started)
        started = time.perf_counter()
        assign_split(manifest, seed=0, val_fraction=0.15, test_fraction=0.2, fold=None, folds=5)
        timed(STEPS[3], started)
        logits = np.random.default_rng(0).normal(size=count) + manifest["label"].to_numpy()
        started = time.perf_counter()
        evaluate_scores(Scores.of(manifest["label"], logits, manifest["group"].astype(str)), resamples=200)
        timed(STEPS[4], started)
        if detector is not None:
            from rexnet_ai_real import Detector

            loaded = Detector.load(detector)
            started = time.perf_counter()
            for _ in loaded.predict(root):
                pass
            timed(STEPS[5], started)
    seconds[MEMORY] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return seconds


def _draw(root: Path, count: int) -> None:
    """Smooth noise, so that difference hashes are as far apart as those of real images."""
    random = np.random.default_rng(0)
    for label in ("ai", "real"):
        (root / label).mkdir(parents=True)
    for number in range(count):
        pixels = random.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(root / ("ai" if number % 2 else "real") / f"{number:06}.bmp")


if __name__ == "__main__":
    main()
