"""Confident learning against the paper's definitions and cleanlab's stored answer; the contact sheet on odd files."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rexnet_ai_real.evaluate.audits.label_errors import LabelAudit, SuspectedLabel, contact_sheet, find_label_errors


def noisy_set(seed: int, n: int = 60) -> tuple[list[str], np.ndarray, np.ndarray, set[str]]:
    """Labels of which 10 % are wrong, probabilities of a decent detector, the paths of the wrong ones."""
    random = np.random.RandomState(seed)
    truth = random.randint(0, 2, n)
    wrong = random.uniform(size=n) < 0.1
    logits = np.round(random.normal(size=n) + 2 * (2 * truth - 1), 6)
    paths = [str(number) for number in range(n)]
    return (
        paths,
        np.where(wrong, 1 - truth, truth),
        1 / (1 + np.exp(-logits)),
        {paths[i] for i in np.flatnonzero(wrong)},
    )


# cleanlab 2.9.0: find_label_issues(labels, probabilities, filter_by="confident_learning",
# return_indices_ranked_by="self_confidence", min_examples_per_class=0)
CLEANLAB = {0: [13, 37, 45, 57, 39], 1: [0, 25, 34, 20, 8], 2: [47, 51, 21]}


@pytest.mark.parametrize("seed", CLEANLAB)
def test_same_contradicted_labels_in_the_same_order_as_cleanlab(seed: int) -> None:
    paths, labels, probabilities, _ = noisy_set(seed)
    audit = find_label_errors(paths, labels, probabilities)
    assert [int(suspect.path) for suspect in audit.contradicted] == CLEANLAB[seed]


def test_planted_errors_come_first() -> None:
    paths, labels, probabilities, wrong = noisy_set(1, 400)
    audit = find_label_errors(paths, labels, probabilities)
    found = [suspect.path for suspect in audit.suspects]
    assert len(wrong & set(found)) >= 0.6 * len(wrong)
    assert set(found[:10]) <= wrong
    assert audit.expected_errors == pytest.approx(len(wrong), rel=0.25)
    confidence = [each.probability if each.given == "ai" else 1 - each.probability for each in audit.suspects]
    assert confidence == sorted(confidence)


def test_thresholds_are_the_means_of_the_classes() -> None:
    """Means: 0.8 for real, 0.8 for AI. 0.79 against the label is not confident enough, 0.81 is."""
    p_ai = np.array([0.05, 0.05, 0.05, 0.79, 0.99, 0.99, 0.99, 0.19])
    labels = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    usual_real, usual_ai = (1 - p_ai[:4]).mean(), p_ai[4:].mean()
    expected = {str(i) for i in range(4) if p_ai[i] >= usual_ai} | {
        str(i) for i in range(4, 8) if 1 - p_ai[i] >= usual_real
    }
    audit = find_label_errors([str(i) for i in range(8)], labels, p_ai)
    assert {suspect.path for suspect in audit.contradicted} == expected
    assert 0 < len(expected) < 3


def answers(seed: int, *, separation: float, wrong: float, n: int = 800) -> tuple[LabelAudit, set[str]]:
    """Of a calibrated detector whose AUROC grows with `separation`; and the paths of the labels that are wrong."""
    random = np.random.default_rng(seed)
    truth = random.integers(0, 2, n)
    logits = separation * (random.normal(size=n) + separation * (truth - 0.5))
    is_wrong = random.random(n) < wrong
    given = np.where(is_wrong, 1 - truth, truth)
    paths = [str(i) for i in range(n)]
    return find_label_errors(paths, given, 1 / (1 + np.exp(-logits))), {paths[i] for i in np.flatnonzero(is_wrong)}


def test_a_weak_detector_calls_no_label_suspect() -> None:
    """Wrong on a third of the images, it contradicts many labels, all of them right."""
    audits = [answers(seed, separation=0.95, wrong=0.0)[0] for seed in range(20)]
    assert min(len(audit.contradicted) for audit in audits) > 100
    for audit in audits:
        assert audit.suspects == ()
        assert f"No label is shown to be wrong: the detector contradicts {len(audit.contradicted)} of" in audit.finding
        assert f"one that is wrong on {audit.error_rate:.0%} of the images cannot tell" in audit.finding
        assert "suspect" not in audit.finding


def test_a_good_detector_is_not_led_by_its_own_errors() -> None:
    audits = [answers(seed, separation=2.5, wrong=0.0)[0] for seed in range(20)]
    assert min(len(audit.contradicted) for audit in audits) > 5
    assert sum(bool(audit.suspects) for audit in audits) <= 2
    quiet = next(audit for audit in audits if not audit.suspects)
    assert "with confidence, and its own errors account for about" in quiet.finding
    assert quiet.own_errors == pytest.approx(len(quiet.contradicted), rel=0.3)


def test_wrong_labels_stand_out_from_the_errors_of_a_good_detector() -> None:
    found = [answers(seed, separation=3.0, wrong=0.04) for seed in range(10)]
    assert sum(bool(audit.suspects) for audit, _ in found) >= 9
    suspects = [suspect.path in wrong for audit, wrong in found for suspect in audit.suspects]
    assert np.mean(suspects) > 0.7
    assert sum(suspects) > 0.5 * sum(len(wrong) for _, wrong in found)
    assert "a wrong label explains them better" in next(audit for audit, _ in found if audit.suspects).finding


def test_no_suspects() -> None:
    audit = find_label_errors(["a", "b"], [0, 1], [0.1, 0.9])
    assert audit.suspects == audit.contradicted == ()
    assert audit.finding.startswith("None of the 2 labels")
    with pytest.raises(ValueError, match="no suspected label"):
        contact_sheet(audit, Path())


@pytest.mark.parametrize(
    ("labels", "probabilities", "message"),
    [
        ([0, 1, 1], [0.1, 0.9], "3 labels, 2 probabilities"),
        ([1, 1], [0.1, 0.9], "one class only"),
        ([0, 1], [0.1, float("nan")], "within 0 and 1"),
        ([0, 1], [0.1, 3.5], "within 0 and 1"),
    ],
)
def test_bad_input(labels: list[int], probabilities: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        find_label_errors(["a", "b"], labels, probabilities)


def test_contact_sheet_shows_what_was_given(tmp_path: Path) -> None:
    Image.new("RGB", (300, 100), (200, 30, 30)).save(tmp_path / "a $x^2$ very long name of an image file.png")
    (tmp_path / "broken.jpg").write_bytes(b"no image")
    Image.new("RGB", (10, 10)).save(tmp_path / "\u732b\u732b.png")
    names = ["a $x^2$ very long name of an image file.png", "broken.jpg", "\u732b\u732b.png", "gone\udcff.jpg"]
    suspects = tuple(SuspectedLabel(name, "real", 0.97) for name in names[:3])
    audit = LabelAudit(9, (*suspects, SuspectedLabel(names[3], "ai", 0.03)), 4.0)
    figure = contact_sheet(audit, tmp_path, limit=4)
    figure.savefig(io.BytesIO(), format="png")
    shown = [cell for cell in figure.axes if cell.get_images()]
    assert [cell.get_title() for cell in shown] == ["given real, P(AI) 0.97"] * 3 + ["given AI, P(AI) 0.03"]
    first = np.asarray(shown[0].get_images()[0].get_array())
    assert first[first.shape[0] // 2, first.shape[1] // 2].tolist() == [200, 30, 30]
    assert "4 of 9 labels are suspect (3 given as real, 1 given as AI)" in audit.finding
    assert len(contact_sheet(audit, tmp_path, limit=1).axes[0].get_images()) == 1
