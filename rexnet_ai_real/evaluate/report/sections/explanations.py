"""Do the heat maps explain the verdicts: deletion and insertion against two priors, and a network of random weights."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from torch import Tensor

from rexnet_ai_real.evaluate.audits.explanations import PRIORS, ExplanationAudit, evaluate_explanations
from rexnet_ai_real.evaluate.audits.heat_probe import DIRECTIONS, EXACT, ORDERS
from rexnet_ai_real.evaluate.part import Part
from rexnet_ai_real.evaluate.report.document import Cell, Findings, Paragraph, Risk, Signed, Table
from rexnet_ai_real.evaluate.report.evaluation import Evaluation
from rexnet_ai_real.evaluate.report.explanation_figures import curves_figure, examples_figure
from rexnet_ai_real.evaluate.report.formatting import split_lead
from rexnet_ai_real.evaluate.report.section_entry import SectionEntry
from rexnet_ai_real.evaluate.rivals.function import FunctionEngine
from rexnet_ai_real.images.decode import UnreadableImage, decode
from rexnet_ai_real.images.transforms import evaluation_transform

_METHOD_TITLES = {EXACT: "the exact class-activation map"}
_ORDER_TITLES = {"heat": "by the heat map", "random": "at random", "centre": "from the centre"}


def findings(evaluation: Evaluation) -> Findings:
    """Regions are hidden or restored in the order of the heat map and in two orders that ignore the detector."""
    if isinstance(evaluation.detector().engine, FunctionEngine):
        return Findings("Not tested: a function in Python gives no heat maps.")
    settings = evaluation.settings
    drawn = evaluation.sample
    part = replace(drawn, rows=drawn.rows.sort_values("fold", kind="stable").reset_index(drop=True))
    found = evaluate_explanations(
        _prepared(part, evaluation),
        part.rows["group"].astype(str).to_numpy(),
        [evaluation.detector(fold) for fold in part.rows["fold"]],
        batch_size=min(16, settings.data.batch_size),
        resamples=settings.resamples,
        seed=settings.seed,
    )
    words = (
        f"The regions of {found.n:,} images are blurred (deletion) or restored (insertion) step by step: in the order "
        "of the heat map, in random order, and from the centre outwards. If the heat map shows what the detector uses, "
        "its order makes the probability fall fastest in deletion and rise fastest in insertion. The maps are those "
        f"that “explain” shows ({_METHOD_TITLES.get(found.method, found.method)}), of the verdict by the threshold."
        f"{evaluation.sample_words}"
    )
    gallery = evaluation.gallery
    lead, rest = split_lead(found.finding)
    return Findings(
        lead,
        (
            Paragraph(words),
            gallery.add(curves_figure(found), "explanation_curves", "Probability of the predicted class, 95% bands."),
            Paragraph(rest),
            _table(found),
            gallery.add(
                examples_figure(found),
                "explanation_examples",
                "Images drawn at random.",
                photographs=True,
            ),
        ),
        found.plain(),
        _risks(found),
    )


SECTION: Final = SectionEntry(
    "explanations",
    "Do the heat maps explain the verdicts?",
    findings,
    costly="heat maps",
)


def _prepared(part: Part, evaluation: Evaluation) -> Iterator[Tensor]:
    for image, fold in zip(part.images(), part.rows["fold"], strict=True):
        preprocessing, data = evaluation.detector(fold).preprocessing, image.read()
        try:
            enough = preprocessing.enough
            decoded = decode(data, max_pixels=evaluation.settings.data.max_pixels, enough=enough)
        except UnreadableImage as error:
            raise UnreadableImage(f"{image.path}: {error}") from error
        yield evaluation_transform(preprocessing)(decoded)


def _table(found: ExplanationAudit) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for direction in DIRECTIONS:
        for order in ORDERS:
            curve = found.curve(direction, order)
            advantage = Signed(curve.advantage) if curve.advantage else None
            rows.append((direction, _ORDER_TITLES[order], curve.area, advantage))
    return Table(
        ("", "Order", "Area under the curve", "Advantage of the heat map"),
        tuple(rows),
        "Low is good in deletion, high in insertion; an advantage above zero is in favour of the heat map.",
    )


def _risks(found: ExplanationAudit) -> tuple[Risk, ...]:
    if all(found.beats(prior) for prior in PRIORS):
        return ()
    return (Risk(0.01, "its heat maps are not shown to mark what it uses: do not read them as explanations"),)
