r"""More collections, generators or images: what pays? `python -m benchmarks.learning_curve --train ... --test ...`.

    python -m benchmarks.learning_curve --train DATA/kaggle DATA/wild/* --test DATA/aiornot DATA/generators \
        --steps 300 -- +experiment=transfer

Nested subsets of the collections of --train are trained on, each for the same number of steps, and judged on those of
--test, which no subset holds. Finished trainings are kept and an interrupted one is resumed, so that the same command
goes on. --dry shows what it would train. Writes docs/learning_curve.md (between marks) and docs/learning_curve.png.
"""

import argparse
import hashlib
import json
import math
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pandas as pd

from benchmarks.curve_fit import Curve, draw
from benchmarks.marked import write_between_marks
from benchmarks.paired_rows import MEAN, Measured, abroad, groups_of
from benchmarks.subsets import AXES, Subset, read_collections, subsets, write_list
from rexnet_ai_real.cli.arguments import positive
from rexnet_ai_real.cli.ending import ending
from rexnet_ai_real.data.manifest import read_manifest
from rexnet_ai_real.errors import UserError
from rexnet_ai_real.markdown import markdown_table
from rexnet_ai_real.metrics.bootstrap import Estimate
from rexnet_ai_real.metrics.left_out import RANKED_AGAINST
from rexnet_ai_real.runs.folder import RunFolder
from rexnet_ai_real.runs.record import override

FILE: Final = Path("docs/learning_curve.md")
VAL_FRACTION: Final = 0.15
TEXT: Final = (
    "AUROC abroad is the mean over collections that no training holds. One network judges them all: they are one fold. "
    f"{RANKED_AGAINST}. Every training takes the same number of steps. The line is error = a + b "
    "log10(size), by least squares; in brackets 95 % intervals from resampling test images, near-duplicates together, "
    "which leave out how much one training differs from the next. A collection that does not name its generators "
    "counts as one."
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Train what is missing, and write the page."""
    parser = argparse.ArgumentParser(description="Measure learning curves over many collections.")
    parser.add_argument(
        "--train", nargs="+", type=Path, required=True, metavar="FOLDER", help="collections to learn from"
    )
    parser.add_argument("--test", nargs="+", type=Path, required=True, metavar="FOLDER", help="collections to judge by")
    parser.add_argument("--axes", nargs="+", choices=AXES, default=list(AXES), help="what grows (default: all)")
    parser.add_argument("--images", type=positive, default=400, help="images where their number is held fixed (400)")
    parser.add_argument("--points", type=positive, default=4, help="subsets of each curve (default: 4)")
    parser.add_argument("--seeds", type=positive, default=1, help="trainings of each subset (default: 1)")
    parser.add_argument("--steps", type=positive, default=300, help="optimizer steps of each training (default: 300)")
    parser.add_argument("--batch", type=positive, default=32, help="images of a step (default: 32)")
    parser.add_argument("--work", type=Path, default=Path("outputs/learning_curve"), help="folder of lists and runs")
    parser.add_argument("--out", type=Path, default=FILE, help="page to write (default: %(default)s)")
    parser.add_argument("--dry", action="store_true", help="show the plan and what it costs, and train nothing")
    parser.add_argument("settings", nargs="*", help="further settings of training, after --")
    options = parser.parse_args(arguments)
    with ending("The same command goes on."):
        overlap = {path.resolve() for path in options.train} & {path.resolve() for path in options.test}
        if overlap:
            raise UserError(
                f"{overlap.pop()} is in --train and in --test: a collection is either learned from or judged by"
            )
        pool, test = read_collections(options.train), read_collections(options.test)
        planned = {
            axis: subsets(pool, axis, count=options.images, points=options.points)
            for axis in dict.fromkeys(options.axes)
        }
        print(plan(planned, options.steps, options.batch, options.seeds))
        if options.dry:
            return
        runs = {
            axis: [
                [
                    train(subset, test, options.work, seed, options.steps, options.batch, options.settings)
                    for seed in range(options.seeds)
                ]
                for subset in chosen
            ]
            for axis, chosen in planned.items()
        }
        curves = {}
        for axis, chosen in planned.items():
            # The groups of one manifest for all points: others may join test images by way of a training image.
            groups = groups_of(read_manifest(runs[axis][0][0].manifest_file))
            points = [measure(of_subset, test, groups) for of_subset in runs[axis]]
            curves[axis] = Curve(tuple(subset.size for subset in chosen), tuple(points))
        figure = options.out.with_suffix(".png")
        draw(curves, figure)
        write_between_marks(options.out, "learning curve", page(planned, curves, figure.name), title="Learning curve")


def length(images: int, steps: int, batch: int) -> tuple[int, int]:
    """Epochs, and the most batches of each, that come nearest to a number of steps.

    Args:
        images: of the list, validation among them.
        steps: wanted.
        batch: images of a step.
    """
    there = max(1, math.ceil(images * (1 - VAL_FRACTION) / batch))
    epochs = max(1, round(steps / there))
    return epochs, min(there, round(steps / epochs))


def plan(planned: dict[str, list[Subset]], steps: int, batch: int, seeds: int) -> str:
    """The trainings as a table, with the images that they take through the network."""
    rows, total = [], 0
    for subset in (subset for chosen in planned.values() for subset in chosen):
        epochs, batches = length(len(subset.images), steps, batch)
        cost = epochs * batches * batch
        total += cost * seeds
        counts = [subset.images["collection"].nunique(), _generators(subset), len(subset.images)]
        rows.append([subset.name, *map(str, counts), str(epochs), str(epochs * batches), f"{cost:,}"])
    columns = ["", "collections", "generators", "images", "epochs", "steps", "images through the network"]
    trainings = len(rows) * seeds
    table = markdown_table(columns, rows, right=range(1, len(columns)))
    return f"{table}\n\n{trainings} trainings, {total:,} images through the network in all"


def train(
    subset: Subset, test: pd.DataFrame, work: Path, seed: int, steps: int, batch: int, settings: Sequence[str]
) -> RunFolder:
    """The run of one subset and seed: as it is where it is finished, resumed where it was interrupted.

    Its folder's name says which images and settings it is of, so that others are trained anew.

    Raises:
        UserError: the training failed.
    """
    epochs, batches = length(len(subset.images), steps, batch)
    paths = [*subset.images["path"], *test["path"]]
    digest = hashlib.sha256(json.dumps([paths, steps, batch, list(settings)]).encode()).hexdigest()[:8]
    table, run = work / "lists" / f"{subset.name}-{digest}.csv", RunFolder(work / f"{subset.name}-{digest}-seed{seed}")
    if run.metrics_file.is_file():
        return run
    write_list(table, subset.images, test)
    if run.last_checkpoint.is_file():
        where = override("resume", str(run.path))
    else:
        shutil.rmtree(run.path, ignore_errors=True)  # ended before its first epoch did
        where = override("output_dir", str(run.path))
    command = [
        *(sys.executable, "-m", "rexnet_ai_real.train", "data=folder"),
        *(*settings, override("data.root", str(table)), where, f"seed={seed}", "figures=false"),
        *(f"data.batch_size={batch}", f"data.val_fraction={VAL_FRACTION}", f"trainer.max_epochs={epochs}"),
        *(f"trainer.limit_train_batches={batches}", f"early_stopping.patience={epochs}"),
    ]
    print(f"{subset.name}, seed {seed}: {epochs} epochs of {batches} steps", file=sys.stderr)
    if subprocess.run(command, check=False).returncode:
        raise UserError(
            f"{subset.name}, seed {seed}: the training failed, as it says above; the same command goes on there"
        )
    return run


def measure(runs: Sequence[RunFolder], test: pd.DataFrame, groups: "pd.Series[str]") -> Measured:
    """AUROC of each collection of the test, in the mean over runs.

    Args:
        runs: trainings of one subset.
        test: as `read_collections` gives it.
        groups: near-duplicate group of each path.
    """
    names = test.set_index("path")["collection"]
    tables = []
    for run in runs:
        rows = pd.read_csv(run.predictions_file, keep_default_na=False)
        rows = rows[rows["split"] == "test"]
        tables.append(rows.assign(fold=0, collection=names.loc[rows["path"]].to_numpy()))
    images = sorted(set.intersection(*(set(table["path"]) for table in tables)))
    return abroad(tables, images, groups, by="collection")


def page(planned: dict[str, list[Subset]], curves: dict[str, Curve], figure: str) -> str:
    """The tables, in Markdown."""
    points, fits = [], []
    for axis, curve in curves.items():
        for subset, found in zip(planned[axis], curve.measured, strict=True):
            counts = [subset.images["collection"].nunique(), _generators(subset), len(subset.images)]
            worst = found.worst
            auroc = [str(found.estimate(MEAN)), f"{found.estimate(worst).value:.3f} ({worst})"]
            points.append([axis, *map(str, counts), *auroc])
        slope, now, more = curve.per_decade, curve.predicted(curve.sizes[-1]), curve.predicted(10 * curve.sizes[-1])
        shown = f"{slope.value:+.3f} [{slope.low:+.3f}, {slope.high:+.3f}]"
        fits.append([axis, f"{curve.sizes[0]} to {curve.sizes[-1]}", shown, _auroc(now), _auroc(more)])
    grown = ["what grows", "collections", "generators", "images", "AUROC abroad", "worst collection"]
    fitted = [
        "what grows",
        "from",
        "error with ten times as much",
        "AUROC at the largest, by the line",
        "at ten times it",
    ]
    return "\n\n".join(
        [
            TEXT,
            f"![Error abroad against collections, generators and images]({figure})",
            markdown_table(grown, points, right=range(1, 4)),
            markdown_table(fitted, fits),
            "`python -m benchmarks.learning_curve` writes this page.",
        ]
    )


def _generators(subset: Subset) -> int:
    return int(subset.images.loc[subset.images["label"] == 1, "generator"].nunique())


def _auroc(error: Estimate) -> str:
    """Of an error that a line gives, which may leave the range of errors."""
    value, low, high = (min(max(1 - e, 0.0), 1.0) for e in (error.value, error.high, error.low))
    return f"{value:.3f} [{low:.3f}, {high:.3f}]"


if __name__ == "__main__":
    main()
