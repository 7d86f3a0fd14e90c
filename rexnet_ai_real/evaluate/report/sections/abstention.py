"""When it gives no answer: images out of scope, and answers that change when the image is delivered otherwise."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import numpy as np

from rexnet_ai_real.evaluate.audits.abstention import Abstention, by_class, flips, measure_abstention
from rexnet_ai_real.evaluate.corruptions import DELIVERIES
from rexnet_ai_real.evaluate.part import LabelledImage, Part
from rexnet_ai_real.evaluate.report.document import Block, Findings, Paragraph, Table
from rexnet_ai_real.evaluate.report.evaluation import Evaluation
from rexnet_ai_real.evaluate.report.formatting import percent
from rexnet_ai_real.evaluate.report.section_entry import SectionEntry
from rexnet_ai_real.images.remarks import read_with_remarks
from rexnet_ai_real.progress import track

SHOWN: Final = 24
"""Images out of scope that are listed."""


def findings(evaluation: Evaluation) -> Findings:
    """Two rules that leave images without an answer: what each costs and gains."""
    part, sample = evaluation.part, evaluation.sample
    reasons = _reasons(evaluation, part)
    outside = np.array([reason is not None for reason in reasons])
    changing = flips(sample.margins(evaluation.logits(sample, DELIVERIES, "Delivered images")))
    scope, redelivery = _measured(evaluation, part, outside), _measured(evaluation, sample, changing)
    real, ai = by_class(part.rows["label"], outside)
    words = (
        f"Out of scope are screenshots, text, flat graphics, and images that are blank or far smaller than what the "
        f"network sees: {scope.left_out:,} of {scope.n:,} {part.title} ({real:,} real, {ai:,} AI-generated). The other "
        "sections measure them like all others."
    )
    about_flips = (
        f"With predict --redeliver the answer is “unsure” where it is not the same for an image as it is and for its "
        f"re-compressed copies; that takes three times as long. So it is of {redelivery.left_out:,} of "
        f"{redelivery.n:,} images.{evaluation.sample_words}"
    )
    blocks: list[Block] = [Paragraph(words), Paragraph(about_flips), _table(scope, redelivery)]
    if outside.any():
        blocks.append(_listed(part, reasons))
    return Findings(
        _finding(scope, redelivery),
        tuple(blocks),
        {
            "out_of_scope": scope.plain() | {"real": real, "ai": ai, "kinds": dict(Counter(map(_kind, reasons)))},
            "redelivery": redelivery.plain() | {"inference": len(DELIVERIES)},
        },
    )


SECTION: Final = SectionEntry(
    "abstention", "What does it cost and gain to give no answer?", findings, costly="re-delivered copies"
)


def _reasons(evaluation: Evaluation, part: Part) -> list[str | None]:
    """Why each image is out of scope.

    Raises:
        UnreadableImage, ChangedImage: an image is gone, damaged, or another than was measured.
    """
    preprocessing, data = evaluation.detector(part.folds[0]).preprocessing, evaluation.settings.data

    def reason(image: LabelledImage) -> str | None:
        return read_with_remarks(image.read(), preprocessing, max_pixels=data.max_pixels).outside

    with ThreadPoolExecutor(max(1, data.workers), thread_name_prefix="scope") as pool:
        return list(track(pool.map(reason, part.images()), "Looking for images out of scope", len(part)))


def _measured(evaluation: Evaluation, part: Part, left_out: "np.ndarray[tuple[int], np.dtype[np.bool_]]") -> Abstention:
    settings = evaluation.settings
    return measure_abstention(part.margin_scores, left_out, resamples=settings.resamples, seed=settings.seed)


def _table(scope: Abstention, redelivery: Abstention) -> Table:
    rows = tuple(
        (title, found.n, found.share, found.all, found.kept, found.lost, found.nearest)
        for title, found in (("Out of scope", scope), ("Changes when re-compressed", redelivery))
    )
    return Table(
        (
            "No answer where",
            "Images",
            "Share",
            "Right, all",
            "Right, answered",
            "Right, left out",
            "Right, nearest out",
        ),
        rows,
        "Share of right answers at the threshold. Last column: as many images left out as by the rule, those nearest "
        "to the threshold, which costs no further inference.",
    )


def _listed(part: Part, reasons: list[str | None]) -> Table:
    found = [(path, reason) for path, reason in zip(part.rows["path"], reasons, strict=True) if reason is not None]
    more = f" {len(found) - SHOWN:,} more are not listed." if len(found) > SHOWN else ""
    return Table(("Image", "Why"), tuple(found[:SHOWN]), f"Images out of scope.{more}", folded=True)


def _kind(reason: str | None) -> str:
    return "in scope" if reason is None else reason.partition(":")[0]


def _finding(scope: Abstention, redelivery: Abstention) -> str:
    words = f"{percent(scope.share)} of the images are out of scope."
    if not redelivery.left_out:
        return f"{words} No answer changes when an image is re-compressed."
    return (
        f"{words} The answer changes with re-compression on {percent(redelivery.share)} of them; without these it is "
        f"right on {percent(redelivery.kept)} instead of {percent(redelivery.all)}, and without as many that are "
        f"nearest to the threshold on {percent(redelivery.nearest)}."
    )
