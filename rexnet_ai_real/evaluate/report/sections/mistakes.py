"""Where is it surely wrong: the most confident mistakes of each kind, as pictures."""

from dataclasses import dataclass, replace
from typing import Any, Final

import pandas as pd

from rexnet_ai_real.errors import UserError
from rexnet_ai_real.evaluate.part import Part
from rexnet_ai_real.evaluate.report.document import Block, Findings, Paragraph, Table
from rexnet_ai_real.evaluate.report.evaluation import Evaluation
from rexnet_ai_real.evaluate.report.mistakes_sheet import Tile, mistakes_sheet
from rexnet_ai_real.evaluate.report.section_entry import SectionEntry
from rexnet_ai_real.images.contact_sheet import thumbnail
from rexnet_ai_real.images.decode import decode_then
from rexnet_ai_real.labels import AI, LABELS, REAL
from rexnet_ai_real.progress import track

SHOWN: Final = 24
"""Pictures of each kind: four rows."""


@dataclass(frozen=True, slots=True)
class _Kind:
    key: str
    """In metrics.json, and in the names of figures."""
    title: str
    plural: str
    """For sentences."""
    truth: int


_KINDS: Final = (
    _Kind("false_alarms", "False alarms", "real images called AI", REAL),
    _Kind("missed", "Missed AI images", "AI images called real", AI),
)


def findings(evaluation: Evaluation) -> Findings:
    """A contact sheet and a list of each kind, at the threshold."""
    part = evaluation.part
    rows = part.rows.assign(
        margin=part.margins(part.logits), probability=part.scores.probabilities, origin=_origins(part)
    )
    blocks: list[Block] = []
    metrics: dict[str, Any] = {}
    counts = []
    for kind in _KINDS:
        called_ai = rows["margin"] >= 0
        mistakes = rows[(rows["label"] == kind.truth) & (called_ai == (kind.truth == REAL))]
        surest = mistakes.loc[mistakes["margin"].abs().sort_values(ascending=False, kind="stable").index]
        surest = surest.drop_duplicates("group").head(SHOWN)
        counts.append(f"{len(mistakes):,} {kind.plural}")
        metrics[kind.key] = {"n": len(mistakes), "surest": _plain(surest)}
        if len(surest):
            blocks += [*_pictures(evaluation, kind, surest, len(mistakes)), _table(kind, surest)]
    if blocks:
        words = "Below are those furthest from the threshold, the surest first, one of each group of near-duplicates. "
        blocks.insert(0, Paragraph(f"{words}Look at what they have in common, and for labels that are wrong."))
    return Findings(f"At the threshold there are {' and '.join(counts)}.", tuple(blocks), metrics)


SECTION: Final = SectionEntry("mistakes", "Where is it surely wrong?", findings)


def _origins(part: Part) -> "pd.Series[str]":
    """Collection and source of each image; empty where neither is named."""
    return (part.rows["collection"] + "/" + part.rows["source"]).str.strip("/")


def _pictures(evaluation: Evaluation, kind: _Kind, surest: pd.DataFrame, total: int) -> list[Block]:
    tiles, reasons = [], []
    try:
        images = replace(evaluation.part, rows=surest).images()
    except UserError as error:  # the whole folder is gone
        return [Paragraph(f"{kind.title} cannot be shown as pictures: {error}.")]
    facts = zip(images, surest["probability"].tolist(), surest["origin"].tolist(), strict=True)
    for image, probability, origin in track(facts, kind.title, len(images)):
        try:
            shown = decode_then(thumbnail, image.read(), max_pixels=evaluation.settings.data.max_pixels)
            tiles.append(Tile(shown, probability, origin, image.path.name))
        except UserError as error:  # gone, or another image by now
            reasons.append(str(error))
    blocks: list[Block] = []
    if tiles:
        about = f"{len(tiles)} of {total:,}, the surest first"
        sheet = mistakes_sheet(f"{kind.title}: {kind.plural}", about, LABELS[kind.truth], tiles)
        caption = f"{kind.title}: {kind.plural}, {about}. Below each: P(AI), where it comes from, its name."
        blocks.append(evaluation.gallery.add_sheet(sheet, kind.key, caption))
    if reasons:
        blocks.append(
            Paragraph(f"{len(reasons)} of the {len(images)} surest cannot be shown any more; the first: {reasons[0]}.")
        )
    return blocks


def _table(kind: _Kind, surest: pd.DataFrame) -> Table:
    rows = tuple(zip(surest["path"].tolist(), surest["origin"].tolist(), surest["probability"].tolist(), strict=True))
    return Table(("Image", "From", "P(AI)"), rows, f"{kind.title}, the surest first.", folded=True)


def _plain(surest: pd.DataFrame) -> list[dict[str, Any]]:
    columns = ("path", "source", "collection", "probability")
    rows = zip(*(surest[column].tolist() for column in columns), strict=True)
    return [dict(zip(columns, row, strict=True)) for row in rows]
