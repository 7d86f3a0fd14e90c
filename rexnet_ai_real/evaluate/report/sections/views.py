"""Would the detector rank better if it saw more of each image: its views, each alone and averaged."""

from typing import Any, Final

from rexnet_ai_real.evaluate.part import Part
from rexnet_ai_real.evaluate.report.document import Cell, Findings, Paragraph, Signed, Table
from rexnet_ai_real.evaluate.report.evaluation import Evaluation
from rexnet_ai_real.evaluate.report.formatting import signed
from rexnet_ai_real.evaluate.report.section_entry import SectionEntry
from rexnet_ai_real.evaluate.rivals.function import FunctionEngine
from rexnet_ai_real.images.preprocessing import VIEWS, Preprocessing, are_views
from rexnet_ai_real.metrics.comparison import Comparison, Predictions, compare
from rexnet_ai_real.metrics.scores import FloatArray

Views = tuple[str, ...]


def findings(evaluation: Evaluation) -> Findings:
    """AUROC and accuracy of each view alone and of their averages, and the change against what the detector does."""
    if isinstance(evaluation.detector().engine, FunctionEngine):
        return Findings("A function takes whole files, so it cannot be shown one view of an image at a time.")
    part, own = evaluation.sample, evaluation.detector().preprocessing.views
    rows = _measured_views(evaluation.detector().preprocessing)
    logits = {
        view: part.calibrated(evaluation.logits_of_view(part, view, f"View: {view}"))
        for view in dict.fromkeys(view for views in rows for view in views)
    }
    now = _named(part, logits, own)
    found = {views: _compared(evaluation, _named(part, logits, views), now) for views in rows}
    words = (
        f"Each of {len(part):,} {part.title} is judged in several views: the frame as it is prepared for the network, "
        "its centre pixel by pixel (native), and the frame mirrored (flip); logits of several are averaged. Accuracy "
        "is at P(AI) 0.5, and the change is that of AUROC, paired by image, against what the detector does now "
        f"({_title(own)}). To take views up for a trained network, evaluate it again with them, views=[frame,...]: its "
        "operating point must be fitted anew. The best of several looks a little better here than it is."
        f"{evaluation.sample_words}"
    )
    metrics = {"n": len(part), "own": list(own), "views": {"+".join(v): _plain(v, c) for v, c in found.items()}}
    return Findings(_finding(found, own), (Paragraph(words), _table(found, own)), metrics)


SECTION: Final = SectionEntry(
    "views",
    "Would it rank better with more views of each image?",
    findings,
    costly="views",
)


def _measured_views(preprocessing: Preprocessing) -> list[Views]:
    """Each view alone, the averages that a detector can have, and its own; a frame that is native is no other view."""
    frame, *more = [view for view in VIEWS if view != "native" or preprocessing.resize != "native"]
    averages = [(frame, "flip"), (frame, "native"), (frame, *more)]
    found = [(frame,), *((view,) for view in more), *(views for views in averages if {*views} <= {frame, *more})]
    return list({frozenset(views): views for views in [*found, preprocessing.views]}.values())


def _named(part: Part, logits: dict[str, FloatArray], views: Views) -> Predictions:
    mean: FloatArray = sum(logits[view] for view in views) / len(views)  # type: ignore[assignment]
    return Predictions.of(part.rows["path"].tolist(), part.rows["label"], mean, part.rows["group"].astype(str))


def _compared(evaluation: Evaluation, views: Predictions, now: Predictions) -> Comparison:
    return compare(views, now, resamples=evaluation.settings.resamples, seed=evaluation.settings.seed)


def _table(found: dict[Views, Comparison], own: Views) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for views, comparison in found.items():
        auroc, is_own = comparison.differences["auroc"], set(views) == set(own)
        change: Cell = "as now" if is_own else Signed(auroc.difference)
        rows.append((_title(views), auroc.a, change, comparison.differences["accuracy"].a, len(views)))
    columns = ("Views", "AUROC", "change", "Accuracy", "times as long")
    return Table(columns, tuple(rows), "Each view alone, and averages of views.")


def _finding(found: dict[Views, Comparison], own: Views) -> str:
    """The best of the averages that a detector can have; native or flip alone is none."""
    others = {v: c.differences["auroc"] for v, c in found.items() if are_views(v) and set(v) != set(own)}
    defined = {views: auroc for views, auroc in others.items() if auroc.difference.defined}
    if not defined:
        return f"AUROC cannot be measured ({next(iter(others.values())).difference.reason})."
    best = max(defined, key=lambda views: defined[views].difference.value)
    change = defined[best].difference
    if not change.low > 0:
        return (
            f"No other choice of views is shown to rank better than the present one ({_title(own)}); the best, "
            f"{_title(best)}, changes AUROC by {signed(change)}."
        )
    return f"With {_title(best)} it ranks better: AUROC {signed(change)}, at {len(best) / len(own):.2g} times the time."


def _title(views: Views) -> str:
    return " + ".join(views)


def _plain(views: Views, comparison: Comparison) -> dict[str, Any]:
    auroc, accuracy = (comparison.differences[name] for name in ("auroc", "accuracy"))
    return {
        **{"auroc": auroc.a.plain(), "change": auroc.difference.plain()},
        **{"accuracy": accuracy.a.plain(), "cost": len(views)},
    }
