"""A page that is to be exported, checked before the work begins: it costs no detector, and nothing is asked in vain."""

import os
from pathlib import Path

from rexnet_ai_real.detector.backends import INT8
from rexnet_ai_real.errors import UserError
from rexnet_ai_real.export.request import PIXEL_TYPES, WEB, Request
from rexnet_ai_real.runs.identify import Saved, identify


def keeps_graph(model: Path) -> bool:
    """Whether the page takes the 8-bit graph of `model` as it is; of anything else, one is made first."""
    return isinstance(identify(model), Saved) and (model / INT8.file).is_file()


def check_page(model: Path, out: Path, request: Request, *, push_to_hub: bool) -> None:
    """Find out before the work what would be lost, or have no effect.

    Raises:
        NotADetector: nothing is saved at `model`.
        UserError: the page would replace its detector or lie in its folder, or an argument is not for pages.
    """
    vain = {
        "--push-to-hub": push_to_hub,
        "--release": request.release is not None,
        "--license": request.license is not None,
        "--input": request.pixel_type != PIXEL_TYPES[0],
    }
    if named := ", ".join(name for name, is_given in vain.items() if is_given):
        raise UserError(f"--formats {WEB} writes a page, on which {named} has no effect: leave it out")
    vain = {"--average-weights": request.average_weights, "--images": request.images is not None}
    named = ", ".join(name for name, is_given in vain.items() if is_given)
    if named and keeps_graph(model):
        raise UserError(f"{model} is exported already, and the page takes it as it is: leave out {named}")
    theirs, ours = Path(os.path.realpath(model)), Path(os.path.realpath(out))
    if theirs.is_relative_to(ours) or ours.is_relative_to(theirs):
        raise UserError(f"{out} and the detector, {model}, lie in one another: give the page a folder of its own")
