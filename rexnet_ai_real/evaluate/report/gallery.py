"""The figures of a report: each saved as PNG and PDF, and carried along for embedding."""

import io
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from matplotlib.figure import Figure
from PIL import Image

from rexnet_ai_real.evaluate.report.document import Illustration
from rexnet_ai_real.figures import save, styled
from rexnet_ai_real.files import write_atomically


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

    def add_sheet(self, sheet: Image.Image, name: str, caption: str) -> Illustration:
        """Save a sheet of photographs; it is embedded as JPEG, at a tenth of the size of its PNG."""
        formats: dict[str, dict[str, Any]] = {
            "png": {},
            "pdf": {"resolution": 150, "creationDate": None, "modDate": None},  # the same sheet gives the same bytes
        }
        for suffix, options in formats.items():
            with write_atomically(self.folder / f"{name}.{suffix}") as temporary:
                sheet.save(temporary, suffix.upper(), **options)
        memory = io.BytesIO()
        sheet.save(memory, "JPEG", quality=85)
        return Illustration(name, caption, "image/jpeg", memory.getvalue(), wide=True)
