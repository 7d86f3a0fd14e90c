"""What each ingredient brings: `python -m benchmarks.ablation 'Baseline=FOLDER' 'and AdamW=FOLDER' ...`.

Each FOLDER is that of a multirun of folds (`+sweep=folds`, or `data.split_by=collection` for collections left out), and
each row is set against the row above it. A name given again adds a further seed, or the other kind of multirun, to its
row. The tables are written into docs/ablation.md between marks; what stands around them stays.
"""

import argparse
import json
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.marked import write_between_marks
from benchmarks.paired_rows import HOME, MEAN, Measured, abroad, at_home, groups_of, step
from rexnet_ai_real.cli.ending import ending
from rexnet_ai_real.config import DataConfig, ModelConfig
from rexnet_ai_real.errors import UserError
from rexnet_ai_real.images.tiers import REDELIVERIES, TIERS
from rexnet_ai_real.markdown import markdown_table
from rexnet_ai_real.metrics.bootstrap import Estimate
from rexnet_ai_real.metrics.left_out import RANKED_AGAINST
from rexnet_ai_real.models.factory import build
from rexnet_ai_real.progress import track
from rexnet_ai_real.runs.folds import out_of_fold, split_by
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
ABROAD: Final = f"AUROC of what was left out of training as a whole, in the mean and of the worst. {RANKED_AGAINST}."
DELIVERY: Final = (
    "The same images as they are, from the web and from a messenger: accuracy at one threshold for all, that of the "
    "worst tier (see the report of `rexnet_ai_real.evaluate`, here of a row's first multirun that has one), and the "
    "paired change of the worse of the last two against the images as they are."
)
COST: Final = (
    "Training: all folds of a multirun, on the machine that trained, the mean over seeds. The rest is of one network "
    "and one image, with all its views; the networks of five folds together take five times as much."
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
    tiers: Mapping[str, Any]
    """Figures of each delivery tier, of its report; empty without one."""


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
        split_by=split_by(jobs[0]),
        seconds=sum(float(job.metrics["seconds"]) for job in jobs),
        config=config,
        folds=str(count) if len(jobs) == count else f"{len(jobs)} of {count}",
        tiers=_tiers(folder),
    )


def _tiers(folder: Path) -> Mapping[str, Any]:
    file = folder / "report" / "metrics.json"
    report: Mapping[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    tiers: Mapping[str, Any] = report.get("delivery", {}).get("tiers", {})
    return tiers


def tables(rows: Sequence[Row], *, resamples: int = 2000) -> str:
    """All tables that the multiruns allow, in Markdown."""
    parts = [TEXT]
    for kind, heading in KINDS.items():
        if chosen := [row for row in rows if row.seeds(kind)]:
            made = _home(chosen, resamples) if kind == "group" else _abroad(chosen, kind, resamples)
            parts += [f"## {heading}", *made, *_delivery(chosen, kind)]
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
    measure: Callable[[Sequence[pd.DataFrame], Sequence[str], "pd.Series[str]"], Measured],
    of: Sequence[str],
) -> list[tuple[list[str], Measured, list[str]]]:
    """Opening cells, metrics on all images, and changes of the metrics `of` against the row above, of each row."""
    tables = [[run.predictions for run in row.seeds(kind)] for row in rows]
    images = [_common(seeds) for seeds in tables]
    made: list[tuple[list[str], Measured, list[str]]] = []
    for k in track(range(len(rows)), "Resampling", len(rows), shown=sys.stderr.isatty()):
        groups = groups_of(tables[k][0])
        found = measure(tables[k], images[k], groups)
        changes = ["–"] * len(of)
        shared = sorted(set(images[k]) & set(images[k - 1])) if k else []
        if shared:
            same = len(shared) == len(images[k]) == len(images[k - 1])
            note = "" if same else f" (of {len(shared):,} images)"
            pair = (found, made[-1][1])
            if not (same and np.array_equal(pair[0].groups, pair[1].groups)):  # a resample is one of certain groups
                pair = (measure(tables[k], shared, groups), measure(tables[k - 1], shared, groups))
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


def _delivery(rows: Sequence[Row], kind: str) -> list[str]:
    """Accuracy of each tier; nothing where no row has a report."""
    found = [next((run.tiers for run in row.seeds(kind) if run.tiers), {}) for row in rows]
    if not any(found):
        return []
    lines = []
    for row, tiers in zip(rows, found, strict=True):
        accuracies = {name: _read(tiers.get(name, {}).get("accuracy")) for name in TIERS}
        worst = min(REDELIVERIES, key=lambda tier: accuracies[tier.name].value).name
        change = _read(tiers.get(worst, {}).get("change"))
        cells = [str(accuracy) if accuracy.defined else "–" for accuracy in accuracies.values()]
        lines.append([row.name, *cells, _signed(change) if change.defined else "–"])
    return [DELIVERY, markdown_table(["", *TIERS, "change of the worst"], lines)]


def _read(plain: Mapping[str, Any] | None) -> Estimate:
    """What `Estimate.plain` wrote."""
    if plain is None or plain["value"] is None:
        return Estimate.undefined("not measured")
    value, low, high = (np.nan if plain[key] is None else float(plain[key]) for key in ("value", "low", "high"))
    return Estimate(value, low, high)


def _cost_table(rows: Sequence[Row]) -> str:
    kinds = {kind: heading for kind, heading in KINDS.items() if any(row.seeds(kind) for row in rows)}
    lines = []
    for row in rows:
        spent = [[run.seconds / 60 for run in row.seeds(kind)] for kind in kinds]
        minutes = [f"{statistics.mean(seeds):,.0f}" if seeds else "–" for seeds in spent]
        config = row.runs[0].config
        parameters, products = network_cost(config)
        size = str(_setting(config, "data", "image_size"))
        lines.append([row.name, *minutes, size, f"{parameters / 1e6:.2f} M", f"{products / 1e9:.2f} G"])
    trained = [f"{heading.lower()}, minutes" for heading in kinds.values()]
    columns = ["", *trained, "px", "parameters", "multiplications"]
    return markdown_table(columns, lines, right=range(1, len(columns)))


def network_cost(config: Mapping[str, Any]) -> tuple[int, int]:
    """Parameters of a run's network, and the multiplications (with an addition each) that one image takes.

    Args:
        config: of the run; runs of older versions lack settings, which are at their defaults.
    """
    size, views = int(_setting(config, "data", "image_size")), len(_setting(config, "data", "views"))
    keys = ("library", "width", "depth", "dropout", "drop_path")
    wanted = {key: _setting(config, "model", key) for key in keys}
    sized: dict[str, Any] = {"image_size": size} if wanted["library"] == "timm" else {}
    with torch.device("meta"):  # shapes alone: neither memory nor time
        network = build(config["model"]["name"], **wanted, **sized).eval()
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            network(torch.empty(1, 3, size, size))
    parameters = sum(parameter.numel() for parameter in network.parameters())
    return parameters, views * counter.get_total_flops() // 2


def _setting(config: Mapping[str, Any], section: str, key: str) -> Any:
    """A setting of a run, or its default where the run is of a version that did not have it."""
    defaults = {"data": DataConfig, "model": ModelConfig}[section]()
    return config[section].get(key, getattr(defaults, key))


if __name__ == "__main__":
    main()
