"""The swap test on predictors that are known to cheat and on one that is not."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from rexnet_ai_real.evaluate.audits.swaps import COMMON_SIDE, ENCODINGS, SWAPS, SwapAudit, swap_audit
from rexnet_ai_real.evaluate.part import LabelledImage
from rexnet_ai_real.images.decode import decode

ALL_PNG, ALL_JPEG, REAL_PNG, REAL_JPEG, RESIZED = range(len(SWAPS))


def labelled(folder: Path, n: int = 24) -> list[LabelledImage]:
    """Reals are JPEG, AI-generated are PNG of the same noise: only the traces of compression differ."""
    random = np.random.default_rng(0)
    listed = []
    for number in range(n):
        label = number % 2
        noise = Image.fromarray(random.integers(0, 256, (64, 64, 3), dtype=np.uint8)).filter(
            ImageFilter.GaussianBlur(1)
        )
        path = folder / f"{number}.{'png' if label else 'jpg'}"
        noise.save(path) if label else noise.save(path, quality=60)
        listed.append(LabelledImage(path, label, str(number), f"{number}"))
    return listed


def blockiness(image: Image.Image) -> float:
    """Steps between columns at the edges of 8 x 8 blocks over steps elsewhere: 1 without JPEG, more with it."""
    steps = np.abs(np.diff(np.asarray(image.convert("L"), dtype=np.float64), axis=1)).mean(axis=0)
    edges = np.arange(len(steps)) % 8 == 7
    return float(steps[edges].mean() / steps[~edges].mean())


def run(score: Callable[[Image.Image], float], listed: list[LabelledImage]) -> SwapAudit:
    """What the report does: each image in every encoding, then the audit of the logits."""
    logits = [[score(encoding(decode(each.path), each.sha256)) for encoding in ENCODINGS] for each in listed]
    labels, groups = [each.label for each in listed], [each.group for each in listed]
    return swap_audit(labels, np.array(logits), groups, threshold=0.5, resamples=200)


def test_a_detector_of_jpeg_traces_is_found_out(tmp_path: Path) -> None:
    listed = labelled(tmp_path)
    by_label = [[blockiness(decode(each.path)) for each in listed if each.label == label] for label in (0, 1)]
    middle = (min(by_label[0]) + max(by_label[1])) / 2
    assert min(by_label[0]) > max(by_label[1])  # it is perfect on the files as they came
    audit = run(lambda image: 1000 * (middle - blockiness(image)), listed)
    # Pixels are the same in PNG; at the common size the blocks are gone and everything passes for AI.
    assert audit.shifts[ALL_PNG].tpr_shift.value == audit.shifts[ALL_PNG].tnr_shift.value == 0
    assert audit.shifts[RESIZED].tnr_shift.value < -0.8
    assert audit.shifts[RESIZED].beyond_chance
    assert audit.finding.startswith("The verdict depends on the file")
    assert SWAPS[RESIZED].title in audit.finding


def test_a_detector_of_sizes_is_found_out(tmp_path: Path) -> None:
    listed = labelled(tmp_path)
    audit = run(lambda image: float(image.width == COMMON_SIDE) - 0.5, listed)
    assert [shift.tpr_shift.value for shift in audit.shifts] == [0, 0, 0, 0, 1]
    assert [shift.tnr_shift.value for shift in audit.shifts] == [0, 0, 0, 0, -1]


def test_a_detector_of_content_passes(tmp_path: Path) -> None:
    """Real and AI-generated images are dark and bright: no way of writing them changes that."""
    listed = []
    for number in range(20):
        path = tmp_path / f"{number}.jpg"
        Image.new("RGB", (40, 30), (60 + 120 * (number % 2), 80, 80)).save(path)
        listed.append(LabelledImage(path, number % 2, str(number), str(number)))
    audit = run(lambda image: float(np.asarray(image)[..., 0].mean() - 120), listed)
    assert not any(shift.beyond_chance for shift in audit.shifts)
    assert all(shift.tpr.value == shift.tnr.value == 1 for shift in audit.shifts)
    assert "changes neither TPR nor TNR beyond chance" in audit.finding


def test_each_class_takes_the_logits_of_its_encoding() -> None:
    labels = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    logits = np.full((8, len(ENCODINGS)), -1.0)
    logits[labels == 1] = 1.0
    jpeg = [encoding.name for encoding in ENCODINGS].index("jpeg-90")
    logits[:3, jpeg] = 1.0  # as JPEG, three of four reals pass for AI
    logits[4, jpeg] = -1.0  # and one of four AI images for real
    audit = swap_audit(labels, logits, np.arange(8), threshold=0.5, resamples=100)
    shifts = [(shift.tpr_shift.value, shift.tnr_shift.value) for shift in audit.shifts]
    assert shifts == [(0, 0), (-0.25, -0.75), (-0.25, 0), (0, -0.75), (0, 0)]
    mixed = audit.shifts[REAL_JPEG]
    assert (mixed.tpr.value, mixed.tnr.value) == (1, 0.25)
    assert mixed.tnr_shift.low <= -0.75 <= mixed.tnr_shift.high


def test_the_interval_is_that_of_paired_differences() -> None:
    """Against SciPy's bootstrap of the per-image differences: half the images change sides, both ways."""
    from scipy.stats import bootstrap

    random = np.random.default_rng(1)
    n = 120
    labels = np.ones(n, dtype=np.int64)
    labels[:20] = 0
    before, after = random.normal(0.5, 1, n), random.normal(0.2, 1, n)
    logits = np.stack([before, before, after, before], axis=1)
    audit = swap_audit(labels, logits, np.arange(n), threshold=0.5)
    change = (after[20:] >= 0).astype(float) - (before[20:] >= 0)
    interval = bootstrap((change,), np.mean, method="percentile", n_resamples=2000, rng=random).confidence_interval
    shift = audit.shifts[ALL_JPEG].tpr_shift
    assert shift.value == pytest.approx(change.mean())
    assert (shift.low, shift.high) == pytest.approx(tuple(interval), abs=0.02)


def test_one_class_only() -> None:
    audit = swap_audit([1] * 6, np.ones((6, len(ENCODINGS))), np.arange(6), threshold=0.5, resamples=50)
    assert not audit.shifts[ALL_JPEG].tnr_shift.defined
    assert audit.shifts[ALL_JPEG].tpr_shift.value == 0
    assert "neither TPR nor TNR" in audit.finding
