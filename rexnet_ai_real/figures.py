"""The style of every figure, and how figures are saved."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import matplotlib
import numpy as np
from cycler import cycler
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from rexnet_ai_real.files import write_atomically
from rexnet_ai_real.labels import LABELS, SHORT_WORDS

# Okabe & Ito's colours (jfly.uni-koeln.de/color), distinguishable with every form of colour vision, the darkest first.
BLUE: Final = "#0072B2"
VERMILLION: Final = "#D55E00"
GREEN: Final = "#009E73"
PURPLE: Final = "#CC79A7"
ORANGE: Final = "#E69F00"
SKY: Final = "#56B4E9"
PALETTE: Final = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY)
NAMES: Final = tuple(SHORT_WORDS[label] for label in LABELS)
"""The classes as figures write them, by label."""

PAGE: Final = 7.2
"""Inches: how wide a figure may be. On a page of text, about seven inches wide, its letters then keep their size."""

STYLE: Final[dict[str, Any]] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same figure on every machine
    "font.size": 10,
    "axes.titlesize": 10,
    "axes.labelsize": 10,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "legend.fontsize": 9,
    "legend.frameon": False,
    "figure.figsize": (5.2, 3.4),  # inches: text stays readable in one column of a paper
    "figure.constrained_layout.use": True,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "savefig.dpi": 200,
    "axes.prop_cycle": cycler(color=PALETTE),
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#4D4D4D",
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": "#E3E3E3",
    "grid.linewidth": 0.7,
    "lines.linewidth": 1.6,
    "lines.markersize": 4,
    "image.interpolation": "nearest",
    "pdf.fonttype": 42,  # letters stay text that journals accept and readers can search
}
"""Matplotlib settings for every figure. Make figures inside `styled()`; `save` and `pixels` draw with it."""

logging.getLogger("fontTools").setLevel(
    logging.WARNING
)  # at INFO, writing a PDF logs every step of subsetting its fonts


@contextmanager
def styled() -> Iterator[None]:
    """Make or draw figures in this project's style, whatever the user's own matplotlib settings are."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        parameters: Any = matplotlib.rcParams
        parameters.update(STYLE)
        yield


def save(figure: Figure, folder: Path, name: str) -> Path:
    """Write `name`.png (200 dpi) and `name`.pdf to `folder`, each atomically; the path of the PNG.

    The same figure gives the same bytes: neither a date nor a version of a program is written.
    """
    metadata: dict[str, dict[str, str | None]] = {
        ".png": {"Software": None},
        ".pdf": {"Creator": None, "Producer": None, "CreationDate": None},
    }
    for suffix, entries in metadata.items():
        with write_atomically(folder / f"{name}{suffix}") as temporary, styled():
            figure.savefig(temporary, metadata=entries)
    return folder / f"{name}.png"


def pixels(figure: Figure, dpi: int = 120) -> NDArray[np.uint8]:
    """The figure as an image (H, W, 3), for dashboards."""
    with styled():
        figure.set_dpi(dpi)
        canvas: Any = FigureCanvasAgg(figure)
        canvas.draw()
        return np.asarray(canvas.buffer_rgba())[..., :3].copy()
