"""When it gives no answer: images out of scope, and answers that change when the image is delivered otherwise."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import numpy as np

from rexnet_ai_real.evaluate.audits.abstention import Abstention, by_class, flips, measure_abstention
from rexnet_ai_real.evaluate.corruptions import DELIVERIES
from rexnet_ai_real.evaluate.part import LabelledImage, Part
from rexnet_ai_real.evaluate.report.document import Block, Findings, Paragraph, Table
from rexnet_ai_real.evaluate.report.evaluation import Evaluation
from rexnet_ai_real.evaluate.report.formatting import percent
from rexnet_ai_real.evaluate.report.section_entry import SectionEntry
from rexnet_ai_real.evaluate.rivals.function import FunctionEngine
from rexnet_ai_real.images.decode import UnreadableImage
from rexnet_ai_real.images.remarks import read_with_remarks
from rexnet_ai_real.progress import track

SHOWN: Final = 24
"""Images out of scope that are listed."""
_FLIPS: Final = "Changes when re-compressed"


def findings(evaluation: Evaluation) -> Findings:
    """Two rules that leave images without an answer: what each costs and gains."""
    sample = evaluation.sample
    changing = flips(sample.margins(evaluation.logits(sample, DELIVERIES, "Delivered images")))
    redelivery = _measured(evaluation, changing)
    metrics: dict[str, Any] = {"redelivery": redelivery.plain() | {"inference": len(DELIVERIES)}}
    about_flips = Paragraph(
        f"With predict --redeliver the answer is “unsure” where it is not the same for an image as it is and for its "
        f"re-compressed copies; that takes three times as long. So it is of {redelivery.left_out:,} of "
        f"{redelivery.n:,} images.{evaluation.sample_words}"
    )
    if isinstance(evaluation.detector().engine, FunctionEngine):
        words = Paragraph("A function in Python answers every image: no image is out of scope.")
        return Findings(_about_flips(redelivery), (words, about_flips, _table([(_FLIPS, redelivery)])), metrics)
    reasons = _reasons(evaluation, sample)
    outside = np.array([reason is not None for reason in reasons])
    scope = _measured(evaluation, outside)
    real, ai = by_class(sample.rows["label"], outside)
    words = Paragraph(
        f"Out of scope are screenshots, text, flat graphics, and images that are blank or far smaller than what the "
        f"network sees: {scope.left_out:,} of {scope.n:,} {sample.title} ({real:,} real, {ai:,} AI-generated). The "
        "other sections measure them like all others."
    )
    blocks: list[Block] = [words, about_flips, _table([("Out of scope", scope), (_FLIPS, redelivery)])]
    if outside.any():
        blocks.append(_listed(sample, reasons))
    kinds = dict(Counter(map(_kind, reasons)))
    return Findings(
        f"{percent(scope.share)} of the images are out of scope. {_about_flips(redelivery)}",
        tuple(blocks),
        {"out_of_scope": scope.plain() | {"real": real, "ai": ai, "kinds": kinds}} | metrics,
    )


SECTION: Final = SectionEntry(
    "abstention", "What does it cost and gain to give no answer?", findings, costly="abstention"
)


def _reasons(evaluation: Evaluation, part: Part) -> list[str | None]:
    """Why each image is out of scope.

    Raises:
        UnreadableImage, ChangedImage: an image is gone, damaged, or another than was measured.
    """
    detector, data = evaluation.detector(part.folds[0]), evaluation.settings.data
    side = evaluation.detector().description.familiar_side

    def reason(image: LabelledImage) -> str | None:
        content = image.read()
        try:
            return read_with_remarks(
                content, detector.preprocessing, max_pixels=data.max_pixels, familiar_side=side
            ).outside
        except UnreadableImage as error:
            raise UnreadableImage(f"{image.path}: {error}") from error

    with ThreadPoolExecutor(max(1, data.workers), thread_name_prefix="scope") as pool:
        return list(track(pool.map(reason, part.images()), "Looking for images out of scope", len(part)))


def _measured(evaluation: Evaluation, left_out: "np.ndarray[tuple[int], np.dtype[np.bool_]]") -> Abstention:
    settings = evaluation.settings
    return measure_abstention(
        evaluation.sample.margin_scores, left_out, resamples=settings.resamples, seed=settings.seed
    )


def _table(measured: list[tuple[str, Abstention]]) -> Table:
    rows = tuple(
        (title, found.n, found.share, found.all, found.kept, found.lost, found.nearest) for title, found in measured
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


def _about_flips(redelivery: Abstention) -> str:
    if not redelivery.left_out:
        return "No answer changes when an image is re-compressed."
    return (
        f"The answer changes with re-compression on {percent(redelivery.share)} of the images; without these it is "
        f"right on {percent(redelivery.kept)} instead of {percent(redelivery.all)}, and without as many that are "
        f"nearest to the threshold on {percent(redelivery.nearest)}."
    )
