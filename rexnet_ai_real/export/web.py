"""A detector as a page that any static host can serve."""

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from rexnet_ai_real.detector.backends import INT8
from rexnet_ai_real.export.page_request import keeps_graph
from rexnet_ai_real.export.replacing import explained, replacing
from rexnet_ai_real.export.request import Request
from rexnet_ai_real.page.folder import write_page


def export_page(model: Path, out: Path, request: Request) -> int:
    """Write the page of the detector at `model` to the folder `out`, and return its size in bytes.

    An exported detector keeps its 8-bit graph; of a run, one is made and compared with PyTorch first.

    Raises:
        UserError, ParityFailed: as `export.folder.export`, and as `page.site.page_files`.
    """
    with explained(out), TemporaryDirectory() as place, replacing(out, request.overwrite) as site:
        if keeps_graph(model):
            return write_page(model, site)
        from rexnet_ai_real.export.folder import export  # PyTorch takes seconds

        made = export(model, Path(place) / "detector", replace(request, formats=(INT8.format,), overwrite=False))
        return write_page(made.folder, site)
