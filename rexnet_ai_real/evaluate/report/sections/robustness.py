"""Does it survive what happens to images on their way: compression, resizing, blur, cropping, sharing."""

from dataclasses import replace
from typing import Any, Final

import pandas as pd

from rexnet_ai_real.evaluate.audits.robustness import CELL_METRICS, Robustness, summarise_robustness
from rexnet_ai_real.evaluate.corruptions import CORRUPTIONS, NONE
from rexnet_ai_real.evaluate.report.document import Cell, Findings, Paragraph, Risk, Table
from rexnet_ai_real.evaluate.report.evaluation import Evaluation
from rexnet_ai_real.evaluate.report.robustness_figures import curves_figure, heat_figure
from rexnet_ai_real.evaluate.report.section_entry import SectionEntry
from rexnet_ai_real.figures import styled
from rexnet_ai_real.metrics.bootstrap import Estimate

_RATES: Final = ("recall", "specificity")
"""Measured at the chosen threshold."""


def findings(evaluation: Evaluation) -> Findings:
    """Accuracy, AUROC, TPR and TNR at the fixed threshold under every corruption."""
    part, settings = evaluation.sample, evaluation.settings
    raw = evaluation.logits(part, CORRUPTIONS, "Corrupted images")
    labels, groups = part.rows["label"], part.rows["group"].astype(str)
    at_half, at_threshold = (
        summarise_robustness(labels, logits, groups, threshold=0.5, resamples=settings.resamples, seed=settings.seed)
        for logits in (part.calibrated(raw), part.margins(raw))
    )
    rates = at_threshold.table[at_threshold.table["metric"].isin(_RATES)]
    found = replace(at_half, table=pd.concat([at_half.table[~at_half.table["metric"].isin(_RATES)], rates]))
    words = (
        f"Each of {len(part):,} {part.title} undergoes every corruption at full size, before it is resized for "
        "the network. Both classes undergo the same corruptions. Accuracy is measured at P(AI) 0.5, TPR and TNR at the "
        "chosen threshold: a lower TPR means that more AI images are missed, a lower TNR that more real images are "
        f"called AI.{evaluation.sample_words}"
    )
    with styled():
        heat, curves = heat_figure(found.table), curves_figure(found.table)
    return Findings(
        found.finding,
        (
            Paragraph(words),
            evaluation.gallery.add(heat, "robustness_table", "Accuracy under every corruption; the worst is framed."),
            evaluation.gallery.add(curves, "robustness_curves", "AUROC, TPR and TNR by severity, with 95% bands."),
            _table(found.table),
        ),
        _plain(found.table),
        _risks(found),
    )


SECTION: Final = SectionEntry(
    "robustness",
    "Does it survive compression, resizing and sharing?",
    findings,
    costly="corruptions",
    untested=Risk(0.1, "whether it survives compression and resizing"),
)


def _table(table: pd.DataFrame) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for corruption in CORRUPTIONS:
        cells = table[table["corruption"] == corruption.name].set_index("metric")
        rows.append((corruption.title, *(_estimate(cells.loc[metric]) for metric in CELL_METRICS)))
    caption = "Every corruption: accuracy at P(AI) 0.5, TPR and TNR at the threshold."
    return Table(("Corruption", "Accuracy", "AUROC", "TPR", "TNR"), tuple(rows), caption, bars=1, folded=True)


def _estimate(cell: "pd.Series[Any]") -> Estimate:
    return Estimate(float(cell["value"]), float(cell["low"]), float(cell["high"]))


def _plain(table: pd.DataFrame) -> dict[str, Any]:
    found: dict[str, Any] = {"n": int(table["n"].iloc[0])}
    for _, cell in table.iterrows():
        found.setdefault(cell["corruption"], {})[cell["metric"]] = _estimate(cell).plain()
    return found


def _risks(found: Robustness) -> tuple[Risk, ...]:
    accuracy = found.table[found.table["metric"] == "accuracy"].set_index("corruption")
    worst, before = accuracy.loc[found.worst.name], accuracy.loc[NONE.name]
    if not worst["drop_low"] > 0:
        return ()
    words = (
        f"under {found.worst.title} its accuracy falls from {before['value']:.1%} to {worst['value']:.1%} "
        f"(loss {worst['drop']:.1%}, 95% interval {worst['drop_low']:.1%} to {worst['drop_high']:.1%})"
    )
    return (Risk(float(worst["drop"]), words),)
