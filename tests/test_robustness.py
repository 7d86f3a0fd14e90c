"""The grid over real files on disk with a detector simple enough to know its answers."""

import hashlib
import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from PIL import Image
from sklearn.metrics import accuracy_score, recall_score, roc_auc_score

from rexnet_ai_real.evaluate.audits.robustness import Robustness, evaluate_robustness, robustness_table
from rexnet_ai_real.evaluate.cached_logits import Predict
from rexnet_ai_real.evaluate.corruptions import CORRUPTIONS, NONE, Corruption
from rexnet_ai_real.evaluate.part import LabelledImage
from rexnet_ai_real.evaluate.report.robustness_figures import curves_figure, heat_figure
from rexnet_ai_real.images.decode import UnreadableImage, decode

GRID = tuple(
    cell for cell in CORRUPTIONS if cell.name in {"none", "blur-2", "blur-4", "noise-0.05", "brightness-1.5", "crop-60"}
)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[LabelledImage]:
    """Forty images, in pairs of one group: real ones have fine texture, AI ones are smooth."""
    folder, random, found = tmp_path_factory.mktemp("images"), np.random.default_rng(0), []
    for number in range(40):
        label = number // 2 % 2
        texture = random.normal(0, (22, 4)[label] * random.uniform(0.6, 1.4), (48, 64, 3))
        path = folder / f"{number}.png"
        Image.fromarray((110 + texture).clip(0, 255).astype(np.uint8)).save(path)
        found.append(LabelledImage(path, label, f"group {number // 2}", hashlib.sha256(path.read_bytes()).hexdigest()))
    return found


def smoothness(images: Iterable[Image.Image]) -> np.ndarray:
    """A detector of fine texture: log-odds fall with the mean step between neighbours."""
    return np.array([8 - np.abs(np.diff(np.asarray(each).astype(float), axis=1)).mean() for each in images])


def evaluate(images: list[LabelledImage], cache: Path, predict: Predict = smoothness, **changes: Any) -> Robustness:
    settings: dict[str, Any] = {"corruptions": GRID, "threshold": 0.5, "fingerprint": "a", "resamples": 200}
    settings |= {"progress": False} | changes
    return evaluate_robustness(images, predict, cache=cache, **settings)


@pytest.fixture(scope="module")
def found(images: list[LabelledImage], tmp_path_factory: pytest.TempPathFactory) -> Robustness:
    return evaluate(images, tmp_path_factory.mktemp("cache"))


def test_logits_are_those_of_each_corrupted_image(found: Robustness, images: list[LabelledImage]) -> None:
    assert found.logits.shape == (40, len(GRID))
    expected = [smoothness(cell(decode(image.path), image.sha256) for cell in GRID) for image in images]
    np.testing.assert_array_equal(found.logits, expected)


def test_values_agree_with_scikit_learn(found: Robustness, images: list[LabelledImage]) -> None:
    labels = np.array([image.label for image in images])
    values = found.table.pivot(index="corruption", columns="metric", values="value")
    for column, cell in enumerate(GRID):
        logits = found.logits[:, column]
        assert values.accuracy[cell.name] == pytest.approx(accuracy_score(labels, logits >= 0))
        assert values.auroc[cell.name] == pytest.approx(roc_auc_score(labels, logits))
        assert values.recall[cell.name] == pytest.approx(recall_score(labels, logits >= 0))
        assert values.specificity[cell.name] == pytest.approx(recall_score(1 - labels, logits < 0))


def test_the_worst_corruption_is_the_one_that_this_detector_cannot_take(found: Robustness) -> None:
    """Blur makes real images smooth, noise makes AI images textured; blur 4 leaves no texture at all."""
    rows = found.table.set_index(["corruption", "metric"])
    assert rows.value["none", "accuracy"] > 0.95
    assert rows.value["blur-4", "specificity"] == 0
    assert rows.value["blur-4", "recall"] == 1
    assert rows.value["noise-0.05", "recall"] < 0.2
    assert found.worst.family in {"Gaussian blur", "noise"}
    assert found.worst.title in found.verdict
    assert "of 5 corruptions" in found.verdict


def test_intervals_hold_the_value_and_drops_are_paired(found: Robustness) -> None:
    rows = found.table.set_index(["corruption", "metric"])
    assert (rows.low <= rows.value).all()
    assert (rows.value <= rows.high).all()
    assert (rows.loc["none", ["drop", "drop_low", "drop_high"]] == 0).all(axis=None)
    assert rows.drop_low["blur-4", "accuracy"] > 0.2
    # Cropping shifts every logit a little and the ranking not at all: paired, there is nothing left of the spread.
    crop = rows.loc[("crop-60", "auroc")]
    assert crop.drop_high - crop.drop_low <= crop.high - crop.low


def test_the_answer_does_not_depend_on_the_number_of_workers(
    found: Robustness, images: list[LabelledImage], tmp_path: Path
) -> None:
    for workers in (1, 5):
        again = evaluate(images, tmp_path / str(workers), workers=workers)
        pd.testing.assert_frame_equal(again.table, found.table)


def test_an_interrupted_evaluation_goes_on_where_it_stopped(
    found: Robustness, images: list[LabelledImage], tmp_path: Path
) -> None:
    seen = []

    def impatient(stream: Iterable[Image.Image]) -> np.ndarray:
        for image in stream:
            seen.append(smoothness([image]))
            if len(seen) == 20 * len(GRID):
                raise KeyboardInterrupt
        return np.concatenate(seen[-16 * len(GRID) :])

    with pytest.raises(KeyboardInterrupt):
        evaluate(images, tmp_path, predict=impatient)

    counted: list[int] = []

    def patient(stream: Iterable[Image.Image]) -> np.ndarray:
        logits = smoothness(stream)
        counted.append(logits.size)
        return logits

    resumed = evaluate(images, tmp_path, predict=patient)
    assert sum(counted) == (40 - 16) * len(GRID)
    pd.testing.assert_frame_equal(resumed.table, found.table)

    counted.clear()
    evaluate(images, tmp_path, predict=patient)
    assert counted == []
    evaluate(images, tmp_path, predict=patient, fingerprint="other weights")
    assert sum(counted) == 40 * len(GRID)


def test_the_bar_counts_every_cell_on_stderr(
    images: list[LabelledImage], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):  # fresh, then all from the cache
        evaluate(images, tmp_path, progress=True)
        printed = capsys.readouterr()
        assert printed.out == ""
        assert f"{40 * len(GRID)}/{40 * len(GRID)}" in printed.err


def test_images_are_prepared_before_they_are_predicted(
    found: Robustness, images: list[LabelledImage], tmp_path: Path
) -> None:
    prepared = evaluate(
        images,
        tmp_path,
        prepare=lambda image: smoothness([image])[0],
        predict=lambda stream: np.array(list(stream)),
    )
    np.testing.assert_array_equal(prepared.logits, found.logits)


def test_an_unreadable_image_is_named(images: list[LabelledImage], tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no image")
    with pytest.raises(UnreadableImage, match=r"broken\.png: "):
        evaluate([*images[:2], LabelledImage(broken, 1, "g", "0" * 64)], tmp_path / "cache")


@pytest.mark.parametrize(
    ("predict", "message"),
    [
        (lambda stream: np.full(len(list(stream)), np.nan), "under none is nan"),
        (lambda stream: np.zeros(3), "shape .3,. for 96 images"),
    ],
)
def test_bad_predictions_are_refused_and_not_kept(
    predict: Predict, message: str, images: list[LabelledImage], tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=message):
        evaluate(images, tmp_path, predict=predict)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("grid", [GRID[1:], (NONE,)])
def test_a_grid_needs_something_to_compare(
    grid: tuple[Corruption, ...], images: list[LabelledImage], tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="at least one other"):
        evaluate(images, tmp_path, corruptions=grid)


def test_no_images_is_an_error_in_words(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no images"):
        evaluate([], tmp_path)


def test_one_class_leaves_what_can_be_computed(images: list[LabelledImage], tmp_path: Path) -> None:
    found = evaluate([image for image in images if image.label], tmp_path)
    values = found.table.pivot(index="corruption", columns="metric", values="value")
    assert values[["auroc", "specificity"]].isna().all(axis=None)
    assert values[["accuracy", "recall"]].notna().all(axis=None)
    assert "TNR" not in found.verdict
    drawn(curves_figure(found.table)), drawn(heat_figure(found.table, "auroc"))


def drawn(figure: Figure) -> "np.ndarray[Any, Any]":
    memory = io.BytesIO()
    figure.savefig(memory, format="png", dpi=40)
    return np.asarray(Image.open(memory).convert("RGB"))


def test_figures_show_every_cell_and_every_interval() -> None:
    logits = np.random.default_rng(0).normal(size=(30, len(CORRUPTIONS)))
    labels, groups = [0, 1] * 15, [str(number) for number in range(30)]
    table = robustness_table(labels, logits, groups, corruptions=CORRUPTIONS, threshold=0.5, resamples=50, seed=0)
    heat, curves = heat_figure(table), curves_figure(table)
    assert drawn(heat).std() > 0
    assert drawn(curves).std() > 0

    said = {text.get_text() for text in heat.axes[0].texts}
    assert {cell.setting for cell in CORRUPTIONS if cell is not NONE} <= said
    values = table[(table.metric == "accuracy") & (table.corruption != "none")].value
    assert sum(text.startswith("0.") for text in said) >= values.nunique()

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
