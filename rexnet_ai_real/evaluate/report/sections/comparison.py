"""Is it better than another one: a paired bootstrap on the same images, and the images on which the two disagree."""

from dataclasses import replace
from pathlib import Path
from typing import Final

import pandas as pd

from rexnet_ai_real.config import OWN
from rexnet_ai_real.detector.engines.engine import AUTO
from rexnet_ai_real.detector.hub import locate
from rexnet_ai_real.errors import UserError
from rexnet_ai_real.evaluate.part import ONE, Part
from rexnet_ai_real.evaluate.prediction import predicted_logits
from rexnet_ai_real.evaluate.report.document import Cell, Findings, Paragraph, Signed, Table
from rexnet_ai_real.evaluate.report.evaluation import Evaluation
from rexnet_ai_real.evaluate.report.section_entry import SectionEntry
from rexnet_ai_real.evaluate.rivals.rival import is_rival
from rexnet_ai_real.evaluate.subject import rival_subject
from rexnet_ai_real.figures import NAMES
from rexnet_ai_real.files import write_csv
from rexnet_ai_real.metrics.binary import METRICS
from rexnet_ai_real.metrics.comparison import Comparison, Predictions, compare
from rexnet_ai_real.runs.identify import Saved, identify

SHOWN: Final = 25


def findings(evaluation: Evaluation) -> Findings:
    """The evaluated detector (A) beside settings.against (B); calling an image AI at calibrated P(AI) 0.5."""
    settings = evaluation.settings
    named = str(settings.against)
    against = named if is_rival(named) else str(Path(named).expanduser())
    other, words = (_by_rival if is_rival(against) else _by_other)(evaluation, against)
    found = compare(_named(evaluation.part), _named(other), resamples=settings.resamples, seed=settings.seed)
    return Findings(
        found.finding,
        (
            Paragraph(
                f"A is this detector, {evaluation.subject.path}; B is {against}. {found.n:,} images, paired.{words}"
            ),
            _differences(found),
            _disagreements(found, evaluation.folder),
        ),
        {"against": against}
        | {
            name: {"a": d.a.plain(), "b": d.b.plain(), "difference": d.difference.plain()}
            | ({} if d.a_better != d.a_better else {"a_better": d.a_better})
            for name, d in found.differences.items()
        },
    )


SECTION: Final = SectionEntry(
    "comparison",
    "Is it better than the other one?",
    findings,
    needs="against",
)


def _by_other(evaluation: Evaluation, against: str) -> tuple[Part, str]:
    """What another detector of this program says of the same images, or of those that it held out itself."""
    settings = evaluation.settings
    path = locate(against, settings.backend).path
    backend = settings.backend if isinstance(identify(path), Saved) else AUTO  # of exports alone
    folder = evaluation.folder / "against" / path.name
    other = Evaluation.open(replace(settings, run=str(path), backend=backend, views=None, output_dir=str(folder)))
    if settings.data.name == OWN and other.part.name != evaluation.part.name:
        raise UserError(
            f"against={against}: {other.part.title} of {other.subject.title} cannot be compared with "
            f"{evaluation.part.title}: give two runs, or two cross-validations"
        )
    return other.part, ""


def _by_rival(evaluation: Evaluation, against: str) -> tuple[Part, str]:
    """What a rival says of the same images, and what is not known of it, in words."""
    subject, part = rival_subject(against), evaluation.part
    part = replace(part, rows=part.rows.assign(fold=ONE), calibrations={ONE: subject.detector().calibration})
    logits = predicted_logits(
        part, subject.detector, cache=evaluation.cache, settings=evaluation.settings.data, title="Images, by the rival"
    )
    words = (
        " B brings no calibration: where calling an image AI takes a threshold, it is 0.5 on the probability that B "
        "gives itself; AUROC does without. Whether B was trained on some of these images is not known."
    )
    return replace(part, rows=part.rows.assign(logit=logits[:, 0])), words


def _named(part: Part) -> Predictions:
    return Predictions.of(part.rows["path"].tolist(), part.scores.labels, part.scores.logits, part.scores.groups)


def _differences(found: Comparison) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for name, d in found.differences.items():
        metric = METRICS[name]
        title = f"{metric.title} (lower is better)" if metric.lower_is_better else metric.title
        share = "–" if d.a_better != d.a_better else f"{d.a_better:.0%}"
        rows.append((title, d.a, d.b, Signed(d.difference), share))
    caption = "The last column: share of resamples in which A is better, ties counting half."
    return Table(("Metric", "A", "B", "A − B", "A better"), tuple(rows), caption)


def _disagreements(found: Comparison, folder: Path) -> Table:
    listed = [
        (d.image, NAMES[d.label], d.probability_a, d.probability_b, "A" if d.a_is_right else "B")
        for d in found.disagreements
    ]
    columns = ["path", "truth", "probability_a", "probability_b", "right"]
    write_csv(folder / "disagreements.csv", pd.DataFrame(listed, columns=columns))
    caption = "Images that one calls AI and the other real, largest difference first"
    caption += f": {SHOWN} of {len(listed)}, all are in disagreements.csv." if len(listed) > SHOWN else "."
    return Table(("Image", "Truth", "P(AI) of A", "P(AI) of B", "Right"), tuple(listed[:SHOWN]), caption, folded=True)
