"""Show which parts of an image speak for the detector's answer.

    python -m rexnet_ai_real.explain a.jpg --output explained       with the detector that comes with this program
    python -m rexnet_ai_real.explain outputs/baseline/2026-11-22_10-00-00 a.jpg folder/ --output explained
    python -m rexnet_ai_real.explain exported/ 'holiday/**/*.jpg' --output explained --shared-scale

Writes a folder: overlays/, contact_sheet_*.png and explained.csv. With an exported detector PyTorch is not needed.
"""

import argparse
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from rexnet_ai_real.cli.arguments import ALWAYS, add_answer, add_images, check_standard_input, listed_paths
from rexnet_ai_real.cli.ending import DONE, SOME_FAILED, command
from rexnet_ai_real.detector.arguments import CHOICE, USAGE, add_detector, load_detector, model_and_images
from rexnet_ai_real.errors import UserError
from rexnet_ai_real.explain.methods import METHODS

if TYPE_CHECKING:
    from rexnet_ai_real.explain.explainer import Explainer
    from rexnet_ai_real.images.walk import ImageFile


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0: every image is explained; 1: some could not be read; 2: a wrong command; 130: interrupted."""
    options = _parser().parse_intermixed_args(arguments)
    return command(lambda: explain(options))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m rexnet_ai_real.explain",
        usage=USAGE,
        description="Show which parts of each image speak for the detector's answer: an overlay of each image, contact "
        f"sheets, and a table. {CHOICE}",
        epilog="Heat shows what moved the answer, not which part is fake and not whether the answer is right. Where "
        "evidence is spread too evenly to point anywhere, none is painted. In explained.csv, a name that a spreadsheet "
        "would take for a formula gets ./ before it. Exit code: 0 all images explained, "
        "1 some could not be read (their rows say why), 2 wrong command or detector, 130 interrupted.",
    )
    add_detector(parser)
    add_images(parser)
    add_answer(parser)
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="FOLDER", help="new or empty folder for the results"
    )
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="write into a folder that is not empty: its explained.csv and contact sheets are replaced, and the "
        "overlays of the same images; other files stay",
    )
    parser.add_argument(
        "--method",
        choices=METHODS,
        default=METHODS[0],
        help="cam: the exact class-activation map, computed with the answer (default); the others use gradients "
        "and need PyTorch",
    )
    parser.add_argument(
        "--target",
        choices=("predicted", "ai", "real"),
        default="predicted",
        help="the class that the heat shows evidence for (default: the one predicted at the threshold)",
    )
    parser.add_argument(
        "--shared-scale",
        action="store_true",
        help="one colour scale for all images, so that they can be compared (default: each image has its own)",
    )
    parser.add_argument("--no-sheet", action="store_false", dest="sheet", help="write no contact sheets")
    return parser


def explain(options: argparse.Namespace) -> int:
    """Carry out the command."""
    # Not above: --help needs none of it.
    from rexnet_ai_real.cli.passed_over import PassedOver
    from rexnet_ai_real.explain.explainer import Explainer
    from rexnet_ai_real.explain.folder import is_output
    from rexnet_ai_real.images.walk import image_files
    from rexnet_ai_real.provenance import CAVEAT

    _check_output(options.output, options.overwrite)
    options.model, options.paths = model_and_images(options.paths)
    paths = listed_paths(options.paths, null=options.null)
    check_standard_input(options.paths, null=options.null)
    detector, worth = load_detector(options)
    always = options.answer == ALWAYS
    explainer = Explainer(detector, options.method, options.target, options.max_pixels, always)
    explainer.check()
    passed_over = PassedOver()
    found = image_files(
        paths,
        is_passed_over=lambda path: not is_output(path, options.output) and passed_over(path),
        on_empty=passed_over.empty.append,
    )
    code = _write(explainer, (file for file in found if not is_output(file.path, options.output)), options)
    told = [] if options.model is None else [" ".join(worth.sentences)]  # else before the first image
    print(worth.rule(always=always), *told, CAVEAT, sep="\n")
    for remark in passed_over.remarks():
        print(remark, file=sys.stderr)
    return code


def _write(explainer: "Explainer", files: "Iterator[ImageFile]", options: argparse.Namespace) -> int:
    from rexnet_ai_real.cli.passed_over import TABLE
    from rexnet_ai_real.detector.explanation import Scale
    from rexnet_ai_real.explain.folder import ExplanationFolder, drawn, set_aside
    from rexnet_ai_real.progress import progress_bar

    count = failed = 0
    explanations = explainer.explain(files, workers=options.workers)
    seen = explainer.detector.preprocessing.seen
    with progress_bar() as progress, ExitStack() as stack:
        top = total = None
        if options.shared_scale:
            explained = progress.track(explanations, description="Explaining")
            top, total, explanations = stack.enter_context(set_aside(explained))
        scale = Scale(explainer.unit, top)
        output = stack.enter_context(ExplanationFolder(options.output, scale, with_sheet=options.sheet))
        images = drawn(explanations, scale, seen, workers=options.workers, max_pixels=options.max_pixels)
        for image in progress.track(images, total=total, description="Drawing"):
            output.add(image)
            count += 1
            failed += image.explanation.verdict.error is not None
    if not count:
        raise UserError(f"no files in {', '.join(options.paths)}: give images, or folders that hold some")
    sheets = " and contact_sheet_*.png beside it" if options.sheet else ""
    print(f"Explained {count - failed} of {count} files: see {options.output / TABLE}{sheets}")
    return SOME_FAILED if failed else DONE


def _check_output(folder: Path, overwrite: bool) -> None:
    try:
        if folder.exists() and not folder.is_dir():
            raise UserError(f"--output {folder} is a file: name a folder")
        if not overwrite and folder.is_dir() and any(folder.iterdir()):
            raise UserError(
                f"--output {folder} is not empty: name another folder, or give --overwrite to replace its table and "
                "contact sheets"
            )
    except OSError as error:
        raise UserError(f"--output {folder} cannot be opened: {(error.strerror or '').lower()}") from error


if __name__ == "__main__":
    sys.exit(main())
