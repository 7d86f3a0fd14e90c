"""Figures: what they show is what was given, readable, and the same bytes each time."""

from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image
from sklearn.metrics import confusion_matrix

from rexnet_ai_real import figures
from rexnet_ai_real.figures import GREEN, VERMILLION
from rexnet_ai_real.images.heat import overlay
from rexnet_ai_real.labels import AI, REAL
from rexnet_ai_real.train.figures import HeatImage, confusion, heat_panel, image_grid, learning_curve


def history(epochs: int = 6) -> pd.DataFrame:
    epoch = np.arange(1, epochs + 1)
    table = {"epoch": epoch, "train_loss": 0.7 / epoch, "val_loss": 0.4 + 0.05 * (epoch - 3.0) ** 2}
    for name in ("accuracy", "f1", "auroc"):
        table |= {f"train_{name}": 1 - 0.4 / epoch, f"val_{name}": 0.85 - 0.2 / epoch}
    return pd.DataFrame(table)


def heat_image(label: int, probability: float, size: int = 32) -> HeatImage:
    ramp = np.linspace(0, 1, size * size, dtype=np.float32).reshape(size, size)
    return HeatImage(np.stack([ramp, ramp.T, 1 - ramp], axis=-1), ramp, label, probability)


PANEL = [heat_image(REAL, 0.03), heat_image(AI, 0.97), heat_image(REAL, 0.8), heat_image(AI, 0.3)]
GRID = np.linspace(0, 1, 5 * 16 * 16 * 3, dtype=np.float32).reshape(5, 16, 16, 3)
DRAWN = {
    "loss": lambda: learning_curve(history(), "loss"),
    "accuracy": lambda: learning_curve(history(), "accuracy"),
    "f1": lambda: learning_curve(history(1), "f1"),
    "confusion": lambda: confusion([0, 0, 1, 1, 1], [0.2, 0.7, 0.9, 0.4, 0.6], part="test"),
    "heat": lambda: heat_panel(PANEL),
    "one heat": lambda: heat_panel(PANEL[:1]),
    "grid": lambda: image_grid(GRID, [0, 1, 0, 1, 1]),
}


def written(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(Text) if isinstance(text, Text) and text.get_text()]


def only_axes(figure: Figure) -> Axes:
    (axes,) = figure.axes
    return axes


@pytest.mark.parametrize("name", DRAWN)
def test_every_text_is_readable_and_inside_the_figure(name: str) -> None:
    figure = DRAWN[name]()
    figures.pixels(figure)
    assert min(float(text.get_fontsize()) for text in figure.findobj(Text) if isinstance(text, Text)) >= 9
    drawn, whole = figure.get_tightbbox(), figure.bbox_inches  # the first holds all that can be seen
    assert drawn.x0 >= whole.x0
    assert drawn.y0 >= whole.y0
    assert drawn.x1 <= whole.x1
    assert drawn.y1 <= whole.y1


def test_a_saved_figure_is_two_whole_files_with_the_same_bytes_each_time(tmp_path: Path) -> None:
    path = figures.save(DRAWN["loss"](), tmp_path / "new", "loss")
    before = {file.name: file.read_bytes() for file in path.parent.iterdir()}
    with matplotlib.rc_context({"font.size": 30, "lines.linewidth": 9, "savefig.dpi": 50}):  # a user's own taste
        figures.save(DRAWN["loss"](), path.parent, "loss")
    assert set(before) == {"loss.png", "loss.pdf"}
    assert before == {file.name: file.read_bytes() for file in path.parent.iterdir()}
    assert b"CreationDate" not in before["loss.pdf"]
    with Image.open(path) as image:
        assert image.size == (1040, 680)  # 5.2 x 3.4 inches at 200 dpi


def test_drawing_leaves_the_settings_of_matplotlib_alone() -> None:
    before = dict(matplotlib.rcParams)
    figures.pixels(DRAWN["heat"]())
    assert dict(matplotlib.rcParams) == before


def test_a_learning_curve_shows_both_parts_and_marks_the_lowest_validation_loss() -> None:
    table = history()
    for quantity in ("loss", "accuracy"):
        lines = {line.get_label(): line for line in only_axes(learning_curve(table, quantity)).lines}
        for name, column in (("training", "train_"), ("validation", "val_")):
            np.testing.assert_array_equal(lines[name].get_xydata(), table[["epoch", column + quantity]])
        (star,) = (line for label, line in lines.items() if str(label).startswith("best epoch 3 by validation loss"))
        np.testing.assert_array_equal(star.get_xydata(), [[3, table[f"val_{quantity}"][2]]])


@pytest.mark.parametrize("name", DRAWN)
def test_letters_keep_their_size_on_a_page(name: str) -> None:
    assert DRAWN[name]().get_size_inches()[0] <= figures.PAGE


@pytest.mark.parametrize("epochs", [1, 2, 5, 60])
def test_the_epoch_axis_has_whole_numbers_and_begins_with_the_first(epochs: int) -> None:
    axes = only_axes(learning_curve(history(epochs), "loss"))
    low, high = axes.get_xlim()
    ticks = [tick for tick in axes.get_xticks() if low <= tick <= high]
    assert ticks
    assert ticks == [int(tick) for tick in ticks]
    assert (low, high) == (0.5, epochs + 0.5)


def test_a_run_whose_loss_never_was_a_number_is_drawn_without_a_mark() -> None:
    table = history()
    table["val_loss"] = np.nan
    labels = [str(line.get_label()) for line in only_axes(learning_curve(table, "accuracy")).lines]
    assert labels == ["training", "validation"]


def test_the_confusion_matrix_counts_as_scikit_learn_does() -> None:
    generator = np.random.default_rng(0)
    labels, probabilities = generator.integers(0, 2, 1500), generator.random(1500)
    counts = confusion_matrix(labels, probabilities > 0.5)
    figure = confusion(labels, probabilities, part="val")
    cells = [text.get_text() for text in only_axes(figure).texts]
    shares = counts / counts.sum(axis=1, keepdims=True)
    assert cells == [t for n, share in zip(counts.flat, shares.flat, strict=True) for t in (f"{n:,}", f"{share:.1%}")]
    accuracy = np.trace(counts) / 1500
    assert figure.get_suptitle() == f"1,500 validation images, accuracy {accuracy:.1%}\npredicted AI: P(AI) above 0.5"


def test_a_class_without_images_has_zeros() -> None:
    cells = [text.get_text() for text in only_axes(confusion([1, 1], [0.9, 0.1], part="test")).texts]
    assert cells == ["0", "0.0%", "0", "0.0%", "1", "50.0%", "1", "50.0%"]


def test_the_heat_panel_says_truth_and_verdict_and_marks_errors_by_sign_and_colour() -> None:
    figure = heat_panel(PANEL)
    titled = {axes.get_title(): axes for axes in figure.axes if axes.get_title()}
    assert list(titled) == [
        "true real\npredicted real 0.97 ✓",
        "true AI\npredicted AI 0.97 ✓",
        "true real\npredicted AI 0.80 ✗",
        "true AI\npredicted real 0.70 ✗",
    ]
    colours = [matplotlib.colors.to_hex(axes.spines["left"].get_edgecolor()).upper() for axes in titled.values()]
    assert colours == [GREEN, GREEN, VERMILLION, VERMILLION]
    assert len(figure.axes) == 2 * len(PANEL) + 1
    with pytest.raises(ValueError, match="no images"):
        heat_panel([])


def test_an_overlay_is_grey_without_heat_and_coloured_by_heat_alone() -> None:
    generator = np.random.default_rng(0)
    image = generator.random((8, 9, 3), dtype=np.float32)
    cold = overlay(image, np.zeros((8, 9), dtype=np.float32))
    grey = np.asarray(Image.fromarray((image * 255).round().astype(np.uint8)).convert("L"), dtype=np.float32) / 255
    np.testing.assert_allclose(cold, np.repeat(grey[..., None], 3, axis=2), atol=0.005)
    hot = overlay(image, np.ones((8, 9), dtype=np.float32))
    assert hot.min() >= 0
    assert hot.max() <= 1
    np.testing.assert_allclose(hot - 0.2 * cold, np.broadcast_to((hot - 0.2 * cold)[0, 0], hot.shape), atol=1e-6)


def test_a_grid_shows_each_image_under_its_class() -> None:
    shown = [axes for axes in image_grid(GRID, [0, 1, 0, 1, 1], columns=3).axes if axes.images]
    assert [axes.get_title() for axes in shown] == ["real", "AI", "real", "AI", "AI"]
    for axes, image in zip(shown, GRID, strict=True):
        np.testing.assert_array_equal(axes.images[0].get_array(), image)
