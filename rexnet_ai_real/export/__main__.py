"""Export a trained detector for use elsewhere: graphs for ONNX Runtime and OpenVINO, a smaller one, a model card.

    python -m rexnet_ai_real.export outputs/baseline/2026-11-22_10-00-00 exported --formats onnx onnx-int8
    python -m rexnet_ai_real.export outputs/folds exported --average-weights --push-to-hub OWNER/NAME

Every graph is compared with PyTorch on real images first. The folder is written atomically: complete, or not at all.
"""

import argparse
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from rexnet_ai_real.cli.arguments import positive
from rexnet_ai_real.cli.ending import DONE, SOME_FAILED, command
from rexnet_ai_real.detector.arguments import MODEL
from rexnet_ai_real.detector.backends import BACKENDS, INT8, TORCH
from rexnet_ai_real.errors import UserError
from rexnet_ai_real.export.page_request import check_page
from rexnet_ai_real.export.request import PIXEL_TYPES, WEB, Release, Request, check_request
from rexnet_ai_real.runs.identify import identify

if TYPE_CHECKING:
    from rexnet_ai_real.export.folder import Exported


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0: written; 1: an export does not answer as the original; 2: a wrong command; 130: interrupted."""
    options = _parser().parse_args(arguments)
    return command(lambda: export(options), "Nothing was written.")


def export(options: argparse.Namespace) -> int:
    """Carry out the command."""
    request = Request(
        formats=tuple(dict.fromkeys(options.formats)),
        images=options.images,
        count=options.count,
        pixel_type=options.input,
        average_weights=options.average_weights,
        overwrite=options.overwrite,
        license=options.license,
        release=_release(options),
    )
    from rexnet_ai_real.detector.hub import locate  # NumPy too
    from rexnet_ai_real.detector.ready import NAME

    located = locate(options.model, INT8.name if request.formats == (WEB,) else TORCH.name)
    identify(located.path)  # refuses a wrong path before PyTorch is imported
    if located.origin == NAME and request.formats != (WEB,):
        raise UserError(
            f"the detector that comes with this program is exported already, without weights to make other forms of: "
            f"copy its folder, {located.path}"
        )
    if located.origin:
        print(f"Detector: {located.origin}", file=sys.stderr)
    if request.formats == (WEB,):
        check_page(located.path, options.out, request, push_to_hub=options.push_to_hub is not None)
    try:
        check_request(options.out, request)
    except OSError as error:
        raise UserError(f"{options.out} cannot be opened: {(error.strerror or str(error)).lower()}") from error
    if request.formats == (WEB,):
        return _export_page(located.path, options.out, request)
    from rexnet_ai_real.export import folder, hub, parity  # PyTorch takes seconds: --help and refusals need none of it

    if options.push_to_hub:
        hub.require_token()
    try:
        exported = folder.export(located.path, options.out, request)
    except parity.ParityFailed as error:
        print(error, file=sys.stderr)
        return SOME_FAILED
    _show(exported)
    if options.push_to_hub:
        print(hub.push(exported.folder, options.push_to_hub, private=options.private))
    return DONE


def _export_page(model: Path, out: Path, request: Request) -> int:
    from rexnet_ai_real.export.parity import ParityFailed
    from rexnet_ai_real.export.web import export_page

    try:
        size = export_page(model, out, request)
    except ParityFailed as error:
        print(error, file=sys.stderr)
        return SOME_FAILED
    print(f"A page of {size / 1e6:.1f} MB: put the folder {out} on any static host, or look at it now:")
    print(f"    python -m http.server --bind 127.0.0.1 --directory {shlex.quote(str(out))}")
    return DONE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m rexnet_ai_real.export",
        description="Export a trained detector: a folder that the other commands take as MODEL, with a model card.",
        epilog="Exit code: 0 written, 1 a format does not answer as PyTorch does (nothing is written), 2 wrong command "
        "or detector, 130 interrupted.",
    )
    parser.add_argument("model", type=Path, metavar="MODEL", help=MODEL)
    parser.add_argument("out", type=Path, metavar="OUT", help="a new or empty folder")
    parser.add_argument(
        "--formats",
        nargs="+",
        choices=(*(backend.format for backend in BACKENDS.values()), WEB),
        default=["safetensors", "onnx"],
        help="safetensors for PyTorch; onnx and openvino without it; onnx-int8 in a third of the size; timm for "
        "timm.create_model('local-dir:OUT/timm', pretrained=True); web, alone: a page that judges images in browsers "
        "(default: safetensors onnx)",
    )
    parser.add_argument(
        "--images",
        type=Path,
        metavar="FOLDER",
        help="images to compare the formats on, and to choose the ranges of onnx-int8 on: a folder that holds ai/ and "
        "real/, or the folder where the run's images are now (default: the run's own)",
    )
    parser.add_argument("--count", type=positive, default=1000, help="images to compare on, at most (default: 1000)")
    parser.add_argument(
        "--input", choices=PIXEL_TYPES, default=PIXEL_TYPES[0], help="dtype of the graphs' input, 0 to 255 (uint8)"
    )
    parser.add_argument(
        "--average-weights",
        action="store_true",
        help="make one network with the mean weights of all folds; refused where it is not as good as all of them",
    )
    parser.add_argument("--license", metavar="NAME", help="for the model card, as the Hub names it, such as apache-2.0")
    parser.add_argument(
        "--release",
        nargs=2,
        metavar=("NAME", "VERSION"),
        help="name the detector as one for people who train none, as `make ready` does; MODEL is a run on all "
        "collections",
    )
    parser.add_argument(
        "--left-out",
        type=Path,
        metavar="FOLDER",
        help="of a release: the evaluated multirun (+sweep=collections) whose figures and operating point stand for it",
    )
    parser.add_argument(
        "--collections",
        type=Path,
        metavar="FILE",
        help="of a release: a CSV file with repository, commit, licence and trust of each collection, for the card",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace the exported detector or page at OUT")
    parser.add_argument("--push-to-hub", metavar="OWNER/NAME", help="upload the folder to the Hugging Face Hub")
    parser.add_argument("--private", action="store_true", help="make the repository on the Hub private")
    return parser


def _release(options: argparse.Namespace) -> Release | None:
    given = options.release, options.left_out, options.collections
    if given == (None, None, None):
        return None
    if None in given or options.average_weights:
        raise UserError("--release, --left-out and --collections belong together, and not to --average-weights")
    name, version = options.release
    return Release(name, version, options.left_out, options.collections)


def _show(exported: "Exported") -> None:
    """Sizes and parity, as a table."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"Compared with PyTorch on {exported.sample}", title_justify="left", box=SIMPLE_HEAD)
    for column in ("format", "MB", "logit off by", "same verdict", "accuracy by", "AUROC by"):
        table.add_column(column, justify="left" if column == "format" else "right")
    measured = {parity.name: parity for parity in exported.parities}
    for name in dict.fromkeys([*exported.sizes, *measured]):
        size = f"{exported.sizes[name] / 1e6:.2f}" if name in exported.sizes else ""
        cells = [""] * 4
        if parity := measured.get(name):
            cells = [
                f"{parity.logit_difference:.2g}",
                f"{parity.same_verdict:.1%}",
                _change(parity.accuracy_before, parity.accuracy),
                _change(parity.auroc_before, parity.auroc),
            ]
        table.add_row(name, size, *cells)
    console = Console(highlight=False, soft_wrap=True)
    console.print(table)
    console.print(f"Exported: {exported.folder}", markup=False)


def _change(before: float | None, after: float | None) -> str:
    return "" if before is None or after is None else f"{after - before:+.4f}"


if __name__ == "__main__":
    sys.exit(main())
