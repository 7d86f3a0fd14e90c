"""Does it hold on other collections: the metrics of each, and of its sources."""

from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from rexnet_ai_real.errors import UserError
from rexnet_ai_real.evaluate.part import Part, measure
from rexnet_ai_real.evaluate.report.document import Block, Cell, Findings, Paragraph, Risk, Table
from rexnet_ai_real.evaluate.report.evaluation import Evaluation
from rexnet_ai_real.evaluate.report.formatting import percent
from rexnet_ai_real.evaluate.report.plots import interval_figure
from rexnet_ai_real.evaluate.report.section_entry import SectionEntry
from rexnet_ai_real.evaluate.report.sections.groups import groups_of
from rexnet_ai_real.evaluate.report.sections.metrics import metrics_of
from rexnet_ai_real.evaluate.subject import read_collection
from rexnet_ai_real.metrics.binary import Metrics
from rexnet_ai_real.metrics.bootstrap import FEW, Estimate


def findings(evaluation: Evaluation) -> Findings:
    """Metrics of every folder in settings.others; one that cannot be read does not cost the others."""
    own, own_chosen = evaluation.measured
    found: list[tuple[Part, Metrics, Metrics]] = []
    failures: list[str] = []
    names = _names(evaluation.settings.others)
    for name, folder in names.items():
        try:
            data = replace(evaluation.settings.data, name="folder", root=folder)
            part = evaluation.predicted(read_collection(data, name, evaluation.subject.learned))
            settings = evaluation.settings
            found.append((part, *measure(part, resamples=settings.resamples, seed=settings.seed)))
            evaluation.collections.append(part)
        except (UserError, ValueError, OSError) as error:
            failures.append(f"{name}: {error}")
    found.sort(key=lambda each: (not each[1].auroc.defined, each[1].auroc.value))
    blocks: list[Block] = []
    risks: list[Risk] = []
    metrics: dict[str, Any] = {}
    if found:
        own_title = f"{evaluation.part.title} (its own)" if evaluation.subject.held_out else evaluation.part.title
        overview = [(own_title, own, own_chosen), *((p.title, half, chosen) for p, half, chosen in found)]
        blocks += [_whose(evaluation), _table(overview), *_figure(evaluation, overview)]
    for part, at_half, chosen in found:
        groups = groups_of(part, resamples=evaluation.settings.resamples, seed=evaluation.settings.seed)
        blocks += [Paragraph(f"The groups of {part.title}:"), *groups.blocks] if groups.blocks else []
        metrics[part.name] = metrics_of(at_half, chosen) | groups.metrics
        risks += [*_drop(own, at_half, part), *(Risk(r.size, f"on {part.name}, {r.words}") for r in groups.risks)]
    return Findings(
        _finding(own, found),
        tuple(blocks),
        metrics,
        tuple(risks),
        "; ".join(failures) or None,
        _worst(found),
    )


SECTION: Final = SectionEntry(
    "collections",
    "Does it hold on other collections?",
    findings,
    needs="others",
    by_images=True,
    untested=Risk(0.3, "whether it holds beyond the collection that it was trained on (others=[PATH,...])"),
)


def _names(folders: list[str]) -> dict[str, str]:
    """A name for each folder: its last part, with the one above where that is taken or used by the report itself."""
    named: dict[str, str] = {}
    for folder in folders:
        path = Path(folder).expanduser().resolve()
        taken = {*named, "test", "out_of_fold"}
        name = next(n for n in (path.name, f"{path.parent.name}/{path.name}", str(path)) if n not in taken)
        named[name] = str(path)
    return named


def _finding(own: Metrics, found: list[tuple[Part, Metrics, Metrics]]) -> str:
    ranked = [(part, at_half.auroc) for part, at_half, _ in found if at_half.auroc.defined]
    if not ranked or not own.auroc.defined:
        return "No AUROC could be measured on any of them."
    part, worst = min(ranked, key=lambda pair: pair[1].value)
    chance = " It is not shown to be better than chance there." if worst.low <= 0.5 else ""
    words = f"its AUROC is {worst}, against {own.auroc} on the collection that it was trained on.{chance}"
    return f"On {part.title} {words}" if len(ranked) == 1 else f"Worst on {part.title}: {words}"


def _worst(found: list[tuple[Part, Metrics, Metrics]]) -> str:
    """For the opening: the worst collection that is large enough."""
    large = [(part, half) for part, half, _ in found if half.n >= FEW and half.auroc.defined]
    if not large:
        return ""
    part, half = large[0]
    which = f"The worst of {len(large)} other collections is" if len(large) > 1 else "On the other collection,"
    return f"{which} {part.name}: AUROC {half.auroc}, {percent(half.accuracy)} correct."


def _whose(evaluation: Evaluation) -> Paragraph:
    who = "The detector is applied, with its operating point unchanged,"
    if evaluation.subject.is_cross_validation:
        who = "The average of the networks of all folds is applied, with the operating point that is stored with them,"
    return Paragraph(
        f"{who} to images from elsewhere. Where a collection has a test set of its own, only that is used. Images that "
        "the detector was trained on, and near-duplicates of them, are left out."
    )


def _table(overview: list[tuple[str, Metrics, Metrics]]) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for name, half, chosen in overview:
        counts = f"{half.n_ai:,} + {half.n_real:,}"
        rows.append((name, counts, half.auroc, half.accuracy, chosen.recall, chosen.specificity, half.ece))
    columns = ("Images", "AI + real", "AUROC", "Accuracy at 0.5", "TPR at threshold", "TNR at threshold", "ECE")
    caption = "The same detector and the same threshold on every row; after the first, the lowest AUROC first."
    return Table(columns, tuple(rows), caption, bars=2)


def _figure(evaluation: Evaluation, overview: list[tuple[str, Metrics, Metrics]]) -> list[Block]:
    rows = {name.partition(" (without")[0]: half.auroc for name, half, _ in overview}
    figure = interval_figure(rows, "AUROC", chance=0.5)
    return [evaluation.gallery.add(figure, "collections", "AUROC here and elsewhere; the dashed line is chance.")]


def _drop(own: Metrics, elsewhere: Metrics, part: Part) -> list[Risk]:
    if not (own.auroc.defined and elsewhere.auroc.defined):
        return []
    drop = own.auroc.value - elsewhere.auroc.value
    if elsewhere.auroc.high >= own.auroc.value:  # within what its size leaves open
        return []
    kept = Estimate(elsewhere.auroc.value, elsewhere.auroc.low, elsewhere.auroc.high)
    chance = ", not shown to be better than chance" if kept.low <= 0.5 else ""
    return [Risk(drop, f"on {part.title} its AUROC falls from {own.auroc.value:.3f} to {kept}{chance}")]
