"""Has it learned images or files: file facts alone, the swap test, repeated images, suspected label errors."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import pandas as pd

from rexnet_ai_real.data.manifest import read_manifest
from rexnet_ai_real.errors import UserError
from rexnet_ai_real.evaluate.audits.container import read_containers
from rexnet_ai_real.evaluate.audits.label_errors import contact_sheet, find_label_errors
from rexnet_ai_real.evaluate.audits.shortcuts import FileAudit, audit_files
from rexnet_ai_real.evaluate.audits.swaps import ENCODINGS, swap_audit
from rexnet_ai_real.evaluate.leaks import LeakAudit, find_leaks, parts_of
from rexnet_ai_real.evaluate.report.document import Block, Findings, Paragraph, Risk, Signed, Table
from rexnet_ai_real.evaluate.report.evaluation import Evaluation
from rexnet_ai_real.evaluate.report.formatting import signed, split_lead
from rexnet_ai_real.evaluate.report.plots import interval_figure
from rexnet_ai_real.evaluate.report.section_entry import SectionEntry
from rexnet_ai_real.figures import NAMES
from rexnet_ai_real.files import write_csv
from rexnet_ai_real.labels import LABELS
from rexnet_ai_real.metrics.comparison import Predictions, compare
from rexnet_ai_real.progress import track
from rexnet_ai_real.runs.folder import RunFolder

SHOWN: Final = 12
LISTED: Final = 40
"""Suspected labels in the report's table: a page of print."""
_SHIFTS: Final = ("tpr", "tnr", "auroc", "tpr_shift", "tnr_shift", "auroc_shift")


@dataclass(frozen=True)
class _Audit:
    """One of the four audits; `failed` where it could not be made."""

    finding: str
    blocks: tuple[Block, ...] = ()
    metrics: Mapping[str, Any] | None = None
    risks: tuple[Risk, ...] = ()
    failed: str | None = None


def findings(evaluation: Evaluation) -> Findings:
    """Four audits; one that fails does not cost the others."""
    made = {key: _tried(name, make, evaluation) for key, (name, make) in _AUDITS.items()}
    audits = list(made.values())
    failed = "; ".join(audit.failed for audit in audits if audit.failed)
    return Findings(
        audits[0].finding,
        tuple(block for audit in audits for block in audit.blocks),
        {key: audit.metrics for key, audit in made.items() if audit.metrics is not None},
        tuple(risk for audit in audits for risk in audit.risks),
        failed or None,
    )


SECTION: Final = SectionEntry(
    "shortcuts",
    "Has it learned images or files?",
    findings,
    costly="swap test",
    untested=Risk(0.2, "whether it has learned files instead of images"),
)


def _tried(name: str, make: Callable[[Evaluation], _Audit], evaluation: Evaluation) -> _Audit:
    try:
        return make(evaluation)
    except (UserError, ValueError, OSError) as error:
        words = f"{name} could not be made: {error}"
        return _Audit(words, (Paragraph(words),), failed=words)


def file_audit(evaluation: Evaluation) -> _Audit:
    """A classifier that sees only file facts, beside the detector."""
    part, settings = evaluation.part, evaluation.settings
    scores = part.scores
    images = part.images()
    for image in track(images, "Checking images", len(images)):
        image.read()  # or the facts would be those of other files than were measured
    facts = read_containers([image.path for image in images])
    found = audit_files(facts, scores.labels, scores.groups, resamples=settings.resamples, seed=settings.seed)
    paths = part.rows["path"].tolist()
    detector, files = (
        Predictions.of(paths, scores.labels, logits, scores.groups) for logits in (scores.logits, found.logits)
    )
    gap = compare(detector, files, resamples=settings.resamples, seed=settings.seed).differences["auroc"]
    beside = Paragraph(
        f"On the same {found.n:,} images the detector reaches an AUROC of {gap.a}; a classifier that sees only "
        f"size, format, compression and metadata of the files reaches {gap.b}: the difference is "
        f"{signed(gap.difference)}."
    )
    strengths = {"the detector": gap.a, "all file facts": found.auroc}
    strengths |= {fact.name: fact.auroc for fact in found.facts[:6]}
    figure = evaluation.gallery.add(
        interval_figure(strengths, "AUROC", chance=0.5),
        "file_facts",
        "AUROC of the detector and of file facts alone; the dashed line is chance.",
    )
    metrics = {
        "file_facts_auroc": found.auroc.plain(),
        "detector_minus_file_facts": gap.difference.plain(),
        "rule": found.rule.words if found.rule else None,
        "rule_balanced_accuracy": found.rule_balanced_accuracy.plain(),
    }
    lead, rest = split_lead(found.finding)
    blocks: list[Block] = [*([Paragraph(rest)] if rest else []), beside, figure]
    if found.facts:
        blocks.append(_facts_table(found))
    return _Audit(lead, tuple(blocks), metrics, _file_risks(found, gap.difference.low))


def _file_risks(found: FileAudit, surplus: float) -> tuple[Risk, ...]:
    if not found.facts or not found.auroc.low > 0.5:
        return ()
    rule = f', above all "{found.rule.words}"' if found.rule and found.rule_balanced_accuracy.low > 0.5 else ""
    extra = ", and the detector is not shown to do better" if surplus <= 0 else ""
    words = f"file facts alone reach an AUROC of {found.auroc} without seeing a pixel{rule}{extra}"
    return (Risk(found.auroc.value - 0.5, words),)


def _facts_table(found: FileAudit) -> Table:
    rows = tuple((fact.name, fact.auroc) for fact in found.facts)
    return Table(
        ("Fact alone", "AUROC"),
        rows,
        "Out-of-fold AUROC of a small decision tree on each fact alone.",
        bars=1,
        folded=True,
    )


def _swaps(evaluation: Evaluation) -> _Audit:
    """The same images in other files."""
    part, settings = evaluation.sample, evaluation.settings
    logits = part.margins(evaluation.logits(part, ENCODINGS, "Images in other files"))
    scores = part.scores
    found = swap_audit(
        scores.labels, logits, scores.groups, threshold=0.5, resamples=settings.resamples, seed=settings.seed
    )
    rows = tuple(
        (shift.swap.title, shift.tpr, Signed(shift.tpr_shift), shift.tnr, Signed(shift.tnr_shift), shift.auroc)
        for shift in found.shifts
    )
    columns = ("Images re-encoded", "TPR", "change", "TNR", "change", "AUROC")
    table = Table(columns, rows, f"Swap test on {found.n:,} images at the threshold; changes are paired by image.")
    metrics = {shift.swap.title: {name: getattr(shift, name).plain() for name in _SHIFTS} for shift in found.shifts}
    worst = max((shift for shift in found.shifts if shift.beyond_chance), key=lambda s: s.size, default=None)
    risks: tuple[Risk, ...] = ()
    if worst:
        words = (
            f"the verdict depends on the file that an image comes in: re-encoding ({worst.swap.title}) changes TPR by "
            f"{signed(worst.tpr_shift)} and TNR by {signed(worst.tnr_shift)}"
        )
        risks = (Risk(worst.size, words),)
    return _Audit(found.finding, (Paragraph(found.finding + evaluation.sample_words), table), metrics, risks)


def _leaks(evaluation: Evaluation) -> _Audit:
    """Test images that, themselves or as near-duplicates, are also training images."""
    audits = _leak_audits(evaluation)
    if not audits:
        words = "Images that the detector was trained on, and near-duplicates of them, were left out beforehand."
        if evaluation.subject.manifest is None:
            title = evaluation.subject.title
            words = f"Whether it was trained on any of these images is unknown: {title} lists no training images."
        return _Audit(words, (Paragraph(words),))
    touched = {path for audit in audits for path in audit.affected("test")}
    worst = max(audits, key=lambda audit: len(audit.leaks))
    folds = f" The same holds of each of the {len(audits)} folds." if len(audits) > 1 and not worst.leaks else ""
    rows = tuple(
        (f"{leak.first_part}: {leak.first_path}", f"{leak.second_part}: {leak.second_path}", leak.distance)
        for leak in worst.leaks[:SHOWN]
    )
    table = (Table(("Image", "Near-duplicate", "Bits apart"), rows, folded=True),) if rows else ()
    share = len(touched) / max(len(evaluation.part), 1)
    risks = (
        (Risk(share, f"it was also trained on {len(touched)} of the images that it is tested on"),) if touched else ()
    )
    return _Audit(
        worst.finding,
        (Paragraph(worst.finding + folds), *table),
        {"pairs": len(worst.leaks), "tested": len(touched)},
        risks,
    )


def _leak_audits(evaluation: Evaluation) -> list[LeakAudit]:
    """One audit per fold; none for other collections, whose training images are left out when they are read."""
    subject, part = evaluation.subject, evaluation.part
    if subject.manifest is None or subject.held_out is None or part.name != subject.held_out.name:
        return []
    distance = evaluation.settings.data.duplicate_distance
    if not subject.is_cross_validation:
        return [find_leaks(parts_of(subject.manifest), distance=distance)]
    manifests = [read_manifest(RunFolder(subject.networks[fold]).manifest_file) for fold in part.folds]
    return [find_leaks(parts_of(manifest), distance=distance) for manifest in manifests]


def _label_errors(evaluation: Evaluation) -> _Audit:
    """Labels contradicted by a detector that was not trained on the image."""
    part = evaluation.part
    found = find_label_errors(part.rows["path"].tolist(), part.scores.labels, part.scores.probabilities)
    metrics = {
        "contradicted": len(found.contradicted),
        "own_errors": found.own_errors,
        "suspects": len(found.suspects),
        "expected_errors": found.expected_errors,
        "n": found.n,
    }
    blocks: list[Block] = [Paragraph(found.finding)]
    if found.contradicted:
        listed = [(s.path, NAMES[LABELS.index(s.given)], s.probability) for s in found.contradicted]
        write_csv(
            evaluation.folder / "label_errors.csv", pd.DataFrame(listed, columns=["path", "given", "probability"])
        )
    if found.suspects:
        sheet = contact_sheet(found, part.root)
        caption = "Labels that the detector contradicts most. Check each by eye."
        blocks.append(evaluation.gallery.add(sheet, "label_errors", caption, photographs=True))
        words = f"The first {LISTED} of {len(listed)}; all are in label_errors.csv."
        words = "All suspected labels." if len(listed) <= LISTED else words
        blocks.append(Table(("Image", "Given as", "P(AI)"), tuple(listed[:LISTED]), words, folded=True))
    return _Audit(found.finding, tuple(blocks), metrics)


_AUDITS: Final[dict[str, tuple[str, Callable[[Evaluation], _Audit]]]] = {
    "files": ("The audit of file facts", file_audit),
    "swaps": ("The swap test", _swaps),
    "leaks": ("The search for repeated images", _leaks),
    "label_errors": ("The search for label errors", _label_errors),
}
"""Key in metrics.json -> name for messages, and maker."""
