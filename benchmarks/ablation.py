"""What each ingredient brings: `python -m benchmarks.ablation 'Baseline=FOLDER' 'and AdamW=FOLDER' ...`.

Each FOLDER is that of a multirun of folds (`+sweep=folds`, or `data.split_by=collection` for collections left out), and
each row is set against the row above it. A name given again adds a further seed, or the other kind of multirun, to its
row. The tables are written into docs/ablation.md between marks; what stands around them stays.
"""

import argparse
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

import pandas as pd
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.marked import write_between_marks
from benchmarks.paired_rows import HOME, MEAN, Measured, abroad, at_home, step
from rexnet_ai_real.cli.ending import ending
from rexnet_ai_real.errors import UserError
from rexnet_ai_real.markdown import markdown_table
from rexnet_ai_real.metrics.bootstrap import Estimate
from rexnet_ai_real.models.factory import build
from rexnet_ai_real.progress import track
from rexnet_ai_real.runs.folds import out_of_fold
from rexnet_ai_real.runs.identify import Folds, identify

FILE: Final = Path("docs/ablation.md")
OPENING: Final = ("", "folds", "seeds", "images")
"""The first columns of every table."""
HEADINGS: Final = {"accuracy": "accuracy", "f1": "F1", "auroc": "AUROC"}
KINDS: Final = {"group": "Cross-validation", "collection": "Left-out collections", "source": "Left-out generators"}
"""What a multirun holds out whole (`data.split_by`), and the heading of its table."""
TEXT: Final = (
    "Each image is predicted once, by the network that held it out. In brackets: 95 % intervals from resampling "
    "images, near-duplicates together; ± is the standard deviation over seeds. A change is against the row above, on "
    "the images that both rows have, paired: the same images are drawn for both. An interval that holds 0 shows no "
    "effect."
)
ABROAD: Final = (
    "AUROC of what was left out of the training as a whole, in the mean and of the worst. What has one class is held "
    "against the left-out images of the other class."
)
COST: Final = (
    "Training: all folds of a multirun, on the machine that trained, in the mean over a row's multiruns. The rest is "
    "of one network and one image; the networks of five folds together take five times as much."
)


@dataclass(frozen=True)
class Multirun:
    """The folds of one seed."""

    predictions: pd.DataFrame
    """Out of fold, see `runs.folds`."""
    split_by: str
    """What was held out whole: group, collection or source."""
    seconds: float
    """Of all trainings."""
    config: Mapping[str, Any]
    """Of the first job."""
    folds: str
    """How many are finished: "5", or "3 of 5"."""


@dataclass
class Row:
    """One line of the tables."""

    name: str
    """What was added."""
    runs: list[Multirun] = field(default_factory=list)

    def seeds(self, kind: str) -> list[Multirun]:
        """Those of one of KINDS."""
        return [run for run in self.runs if run.split_by == kind]


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the multiruns and write the tables."""
    parser = argparse.ArgumentParser(description="Write the ablation tables.")
    parser.add_argument("rows", nargs="+", metavar="NAME=FOLDER", help="a row's name and the folder of its multirun")
    parser.add_argument("--out", type=Path, default=FILE, help="Markdown to write into (default: %(default)s)")
    parser.add_argument("--part", default="ablation", help="name of the marks in it (default: %(default)s)")
    parser.add_argument("--resamples", type=int, default=2000, help="of the bootstrap (default: %(default)s)")
    options = parser.parse_args(arguments)
    with ending():
        rows = read_rows(options.rows)
        text = tables(rows, resamples=options.resamples)
        write_between_marks(options.out, options.part, text, title="Ablation")
        print(text)


def read_rows(named: Sequence[str]) -> list[Row]:
    """The rows in the order in which their names come first.

    Args:
        named: NAME=FOLDER each.

    Raises:
        UserError: not of that form, or the folder holds no multirun of folds.
    """
    rows: dict[str, Row] = {}
    for text in track(named, "Reading multiruns", len(named), shown=sys.stderr.isatty()):
        name, equals, folder = text.rpartition("=")
        if not (name and equals and folder):
            raise UserError(f"{text}: expected NAME=FOLDER, such as 'and AdamW=outputs/adamw/2026-11-22_10-00-00'")
        rows.setdefault(name, Row(name)).runs.append(read_multirun(Path(folder)))
    return list(rows.values())


def read_multirun(folder: Path) -> Multirun:
    """The finished folds of one multirun.

    Raises:
        UserError: it is none.
    """
    found = identify(folder)
    if not isinstance(found, Folds):
        raise UserError(
            f"{folder} is no multirun of folds: give the folder that +sweep=folds or +sweep=collections made"
        )
    jobs, config = found.finished, found.finished[0].config
    count = int(config["data"]["folds"])
    return Multirun(
        predictions=out_of_fold(jobs),
        split_by=config["data"].get("split_by", "group"),
        seconds=sum(float(job.metrics["seconds"]) for job in jobs),
        config=config,
        folds=str(count) if len(jobs) == count else f"{len(jobs)} of {count}",
    )


def tables(rows: Sequence[Row], *, resamples: int = 2000) -> str:
    """All tables that the multiruns allow, in Markdown."""
    parts = [TEXT]
    for kind, heading in KINDS.items():
        if chosen := [row for row in rows if row.seeds(kind)]:
            made = _home(chosen, resamples) if kind == "group" else _abroad(chosen, kind, resamples)
            parts += [f"## {heading}", *made]
    parts += ["## Cost", COST, _cost_table(rows)]
    parts.append("`python -m benchmarks.ablation NAME=FOLDER ...` writes these tables.")
    return "\n\n".join(parts)


def _home(rows: Sequence[Row], resamples: int) -> list[str]:
    columns = [*OPENING, *HEADINGS.values(), "change of AUROC", "change of accuracy"]
    measured = _stepwise(rows, "group", partial(at_home, resamples=resamples), ("auroc", "accuracy"))
    lines = [[*opening, *(_value(found, name) for name in HOME), *changes] for opening, found, changes in measured]
    return [markdown_table(columns, lines, right=range(2, 4))]


def _abroad(rows: Sequence[Row], kind: str, resamples: int) -> list[str]:
    columns = [*OPENING, f"{kind}s", "mean AUROC", "worst AUROC", "worst", "change of the mean"]
    lines = []
    for opening, found, changes in _stepwise(rows, kind, partial(abroad, by=kind, resamples=resamples), (MEAN,)):
        worst = found.worst
        cells = [str(len(found.names) - 1), _value(found, MEAN), _value(found, worst), worst]
        lines.append([*opening, *cells, *changes])
    return [ABROAD, markdown_table(columns, lines, right=range(2, 5))]


def _stepwise(
    rows: Sequence[Row],
    kind: str,
    measure: Callable[[Sequence[pd.DataFrame], Sequence[str]], Measured],
    of: Sequence[str],
) -> list[tuple[list[str], Measured, list[str]]]:
    """Opening cells, metrics on all images, and changes of the metrics `of` against the row above, of each row."""
    tables = [[run.predictions for run in row.seeds(kind)] for row in rows]
    images = [_common(seeds) for seeds in tables]
    made: list[tuple[list[str], Measured, list[str]]] = []
    for k in track(range(len(rows)), "Resampling", len(rows), shown=sys.stderr.isatty()):
        found = measure(tables[k], images[k])
        changes = ["–"] * len(of)
        shared = sorted(set(images[k]) & set(images[k - 1])) if k else []
        if shared:
            pair, note = (found, made[-1][1]), ""
            if not len(shared) == len(images[k]) == len(images[k - 1]):  # a resample is one of certain images
                pair, note = (
                    (measure(tables[k], shared), measure(tables[k - 1], shared)),
                    f" (of {len(shared):,} images)",
                )
            changes = [_signed(step(*pair, name)) + note for name in of]
        made.append((_opening(rows[k], kind, found), found, changes))
    return made


def _common(seeds: Sequence[pd.DataFrame]) -> list[str]:
    """Paths that every seed predicted, sorted.

    Raises:
        UserError: there are none.
    """
    common = sorted(set.intersection(*(set(table["path"]) for table in seeds)))
    if not common:
        raise UserError("the seeds of one row predicted different images: give multiruns over the same images")
    return common


def _opening(row: Row, kind: str, measured: Measured) -> list[str]:
    seeds = row.seeds(kind)
    folds = ", ".join(dict.fromkeys(run.folds for run in seeds))
    return [row.name, folds, str(len(seeds)), f"{len(measured.images):,}"]


def _value(measured: Measured, name: str) -> str:
    found, spread = measured.estimate(name), measured.spread(name)
    return f"{found}" + ("" if spread is None else f" ± {spread:.3f}")


def _signed(found: Estimate) -> str:
    return f"{found.value:+.3f} [{found.low:+.3f}, {found.high:+.3f}]"


def _cost_table(rows: Sequence[Row]) -> str:
    lines = []
    for row in rows:
        minutes = statistics.mean(run.seconds for run in row.runs) / 60
        config = row.runs[0].config
        parameters, products = network_cost(config)
        size = config["data"]["image_size"]
        lines.append([row.name, f"{minutes:,.0f}", str(size), f"{parameters / 1e6:.2f} M", f"{products / 1e9:.2f} G"])
    columns = ["", "training, minutes", "px", "parameters", "multiplications"]
    return markdown_table(columns, lines, right=range(1, 5))


def network_cost(config: Mapping[str, Any]) -> tuple[int, int]:
    """Parameters of a run's network, and the multiplications (with an addition each) that one image takes.

    Args:
        config: of the run.
    """
    model, size = config["model"], int(config["data"]["image_size"])
    wanted = {key: model[key] for key in ("library", "width", "depth", "dropout", "drop_path")}
    sized: dict[str, Any] = {"image_size": size} if model["library"] == "timm" else {}
    with torch.device("meta"):  # shapes alone: neither memory nor time
        network = build(model["name"], **wanted, **sized).eval()
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            network(torch.empty(1, 3, size, size))
    return sum(parameter.numel() for parameter in network.parameters()), counter.get_total_flops() // 2


if __name__ == "__main__":
    main()
