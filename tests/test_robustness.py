"""The robustness table of a detector simple enough to know its answers, and the figures drawn from it."""

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import accuracy_score, recall_score, roc_auc_score

from rexnet_ai_real.evaluate.audits.robustness import Robustness, summarise_robustness
from rexnet_ai_real.evaluate.corruptions import CORRUPTIONS, NONE
from rexnet_ai_real.evaluate.report.robustness_figures import curves_figure, heat_figure
from rexnet_ai_real.figures import pixels
from rexnet_ai_real.metrics.scores import FloatArray

GRID = tuple(
    cell for cell in CORRUPTIONS if cell.name in {"none", "blur-2", "blur-4", "noise-0.05", "brightness-1.5", "crop-60"}
)
# In pairs of one group: real images have fine texture, AI-generated ones are smooth.
LABELS = np.arange(40) // 2 % 2
GROUPS = [f"group {number // 2}" for number in range(40)]


def smoothness(image: Image.Image) -> float:
    """A detector of fine texture: log-odds fall with the mean step between neighbours."""
    return float(8 - np.abs(np.diff(np.asarray(image).astype(float), axis=1)).mean())


@pytest.fixture(scope="module")
def logits() -> FloatArray:
    """(40, len(GRID))."""
    random, found = np.random.default_rng(0), []
    for number, label in enumerate(LABELS):
        texture = random.normal(0, (22, 4)[label] * random.uniform(0.6, 1.4), (48, 64, 3))
        image = Image.fromarray((110 + texture).clip(0, 255).astype(np.uint8))
        found.append([smoothness(cell(image, str(number))) for cell in GRID])
    return np.array(found)


def summarised(logits: FloatArray, rows: "slice | FloatArray" = slice(None)) -> Robustness:
    groups = np.array(GROUPS)[rows]
    return summarise_robustness(LABELS[rows], logits[rows], groups, corruptions=GRID, threshold=0.5, resamples=200)


@pytest.fixture(scope="module")
def found(logits: FloatArray) -> Robustness:
    return summarised(logits)


def test_values_agree_with_scikit_learn(found: Robustness, logits: FloatArray) -> None:
    values = found.table.pivot(index="corruption", columns="metric", values="value")
    for cell, column in zip(GRID, logits.T, strict=True):
        assert values.accuracy[cell.name] == pytest.approx(accuracy_score(LABELS, column >= 0))
        assert values.auroc[cell.name] == pytest.approx(roc_auc_score(LABELS, column))
        assert values.recall[cell.name] == pytest.approx(recall_score(LABELS, column >= 0))
        assert values.specificity[cell.name] == pytest.approx(recall_score(1 - LABELS, column < 0))


def test_the_worst_corruption_is_the_one_that_this_detector_cannot_take(found: Robustness) -> None:
    """Blur makes real images smooth, noise makes AI images textured; blur 4 leaves no texture at all."""
    rows = found.table.set_index(["corruption", "metric"])
    assert rows.value["none", "accuracy"] > 0.95
    assert rows.value["blur-4", "specificity"] == 0
    assert rows.value["blur-4", "recall"] == 1
    assert rows.value["noise-0.05", "recall"] < 0.2
    assert found.worst.family in {"Gaussian blur", "noise"}
    assert found.worst.title in found.finding
    assert "of 5 corruptions" in found.finding


def test_intervals_hold_the_value_and_drops_are_paired(found: Robustness) -> None:
    rows = found.table.set_index(["corruption", "metric"])
    assert (rows.low <= rows.value).all()
    assert (rows.value <= rows.high).all()
    assert (rows.loc["none", ["drop", "drop_low", "drop_high"]] == 0).all(axis=None)
    assert rows.drop_low["blur-4", "accuracy"] > 0.2
    # Cropping shifts every logit a little and the ranking not at all: paired, there is nothing left of the spread.
    crop = rows.loc[("crop-60", "auroc")]
    assert crop.drop_high - crop.drop_low <= crop.high - crop.low


def test_no_images_is_an_error_in_words(logits: FloatArray) -> None:
    with pytest.raises(ValueError, match="no images"):
        summarised(logits, slice(0, 0))


def test_one_class_leaves_what_can_be_computed(logits: FloatArray) -> None:
    found = summarised(logits, LABELS == 1)
    values = found.table.pivot(index="corruption", columns="metric", values="value")
    assert values[["auroc", "specificity"]].isna().all(axis=None)
    assert values[["accuracy", "recall"]].notna().all(axis=None)
    assert "TNR" not in found.finding
    assert pixels(curves_figure(found.table), dpi=40).std() > 0
    assert pixels(heat_figure(found.table, "auroc"), dpi=40).std() > 0


def test_figures_show_every_cell_and_every_interval() -> None:
    logits = np.random.default_rng(0).normal(size=(30, len(CORRUPTIONS)))
    labels, groups = [0, 1] * 15, [str(number) for number in range(30)]
    table = summarise_robustness(labels, logits, groups, threshold=0.5, resamples=20).table
    heat, curves = heat_figure(table), curves_figure(table)
    words = {text.get_text() for text in heat.axes[0].texts}
    assert {cell.setting for cell in CORRUPTIONS if cell is not NONE} <= words
    values = table[(table.metric == "accuracy") & (table.corruption != "none")].value
    assert sum(text.startswith("0.") for text in words) >= values.nunique()

    panels = [panel for panel in curves.axes if panel.get_title()]
    assert [panel.get_title() for panel in panels] == list(
        dict.fromkeys(cell.family for cell in CORRUPTIONS if cell is not NONE)
    )
    jpeg = table[
        (table.metric == "auroc") & table.corruption.isin(["none", *(f"jpeg-{q}" for q in (95, 90, 75, 50, 30))])
    ]
    np.testing.assert_allclose(
        np.asarray(panels[0].lines[0].get_ydata(), dtype=float), jpeg.sort_values("severity").value
    )
