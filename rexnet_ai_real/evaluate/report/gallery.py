"""The figures of a report: each saved as PNG and PDF, and carried along for embedding."""

import io
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from matplotlib.figure import Figure

from rexnet_ai_real.evaluate.report.document import Illustration
from rexnet_ai_real.figures import save, styled


@dataclass(frozen=True, slots=True)
class Gallery:
    """Saves figures as PNG and PDF and hands them on for the report."""

    folder: Path

    def add(self, figure: Figure, name: str, caption: str, *, photographs: bool = False) -> Illustration:
        """Save a figure; `photographs`: it holds images, which are embedded as pixels rather than as drawing."""
        logging.getLogger("fontTools").setLevel(
            logging.WARNING
        )  # at INFO it logs every step of subsetting a PDF's fonts
        save(figure, self.folder, name)
        memory = io.BytesIO()
        with styled():
            if photographs:
                figure.savefig(memory, format="png", dpi=110, metadata={"Software": None})
            else:
                figure.savefig(memory, format="svg", metadata={"Date": None, "Creator": None})
        mime: Literal["image/svg+xml", "image/png"] = "image/png" if photographs else "image/svg+xml"
        return Illustration(name, caption, mime, memory.getvalue(), wide=figure.get_figwidth() > 8)
