"""Say of each image whether it is AI-generated: paths in, one row each out.

    python -m rexnet_ai_real.predict a.jpg holiday/                 with the detector that comes with this program
    python -m rexnet_ai_real.predict exported/ a.jpg holiday/
    python -m rexnet_ai_real.predict outputs/baseline/2026-11-22_10-00-00 'archive/**/*.png' --output verdicts.csv
    find . -name '*.jpg' -print0 | python -m rexnet_ai_real.predict exported/ - -0 --output gallery.html --provenance

An exported detector needs ONNX Runtime, NumPy, Pillow and Rich, not PyTorch.
"""

import argparse
import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from rexnet_ai_real.cli.arguments import ALWAYS, add_answer, add_images, check_standard_input, listed_paths, positive
from rexnet_ai_real.cli.ending import DONE, SOME_FAILED, command
from rexnet_ai_real.detector.arguments import CHOICE, USAGE, add_detector, load_detector, model_and_images

if TYPE_CHECKING:
    from rexnet_ai_real.detector.worth import Worth


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0: every image has its verdict; 1: some could not be read; 2: a wrong command; 130: interrupted."""
    options = _parser().parse_intermixed_args(arguments)
    return command(lambda: predict(options), "The rows written so far are complete; --resume continues from there.")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m rexnet_ai_real.predict",
        usage=USAGE,
        description=f"Say of each image whether it is AI-generated. {CHOICE}",
        epilog="In CSV, a name that a spreadsheet would take for a formula gets ./ before it (=1.jpg becomes "
        "./=1.jpg), and other such texts an apostrophe; JSON and Parquet are exact. Exit code: 0 all images have an "
        "answer, 1 some could not be read (their rows say why), 2 wrong command or detector, 130 interrupted.",
    )
    add_detector(parser)
    add_images(parser)
    add_answer(parser)
    parser.add_argument(
        "--redeliver",
        action="store_true",
        help='also judge two smaller, re-compressed copies of each image: "unsure" where one changes the answer (takes '
        "three times as long)",
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="FILE",
        help="file for the results: .csv, .jsonl, .parquet or .html (a gallery); default: standard output",
    )
    parser.add_argument(
        "--format",
        choices=("table", "csv", "jsonl"),
        help="of standard output (default: a table at a terminal, CSV into a pipe or file)",
    )
    parser.add_argument(
        "--resume",
        action="store_true",
        help="continue an interrupted --output: files that have a row in it are skipped",
    )
    parser.add_argument(
        "--provenance", action="store_true", help="also show what the metadata claim; they can be forged or removed"
    )
    parser.add_argument(
        "--batch-size", type=positive, default=32, help="images per forward pass (default: %(default)s)"
    )
    parser.add_argument(
        "--gallery-images",
        type=positive,
        default=2000,
        metavar="N",
        help="most images in an .html gallery, those most likely AI-generated (default: %(default)s)",
    )
    return parser


def predict(options: argparse.Namespace) -> int:
    """Carry out the command."""
    # Not above: --help needs none of it.
    from rich.console import Console

    from rexnet_ai_real.detector.engines.memory import keep_freed_memory
    from rexnet_ai_real.detector.name import detector_name
    from rexnet_ai_real.predict.output import Output, check_suffix
    from rexnet_ai_real.predict.row import columns
    from rexnet_ai_real.predict.scan import Scan, write_rows
    from rexnet_ai_real.predict.screen import standard_output
    from rexnet_ai_real.predict.summary import Summary
    from rexnet_ai_real.progress import track_and_count

    _check(options)
    options.model, options.paths = model_and_images(options.paths)
    if options.output is not None:
        check_suffix(options.output)
    listed = partial(listed_paths, options.paths, null=options.null)
    listed()  # reports a pattern that matches nothing before the detector is loaded
    check_standard_input(options.paths, null=options.null)
    detector, worth = load_detector(options)
    if detector.engine.backend == "torch":
        keep_freed_memory()
    always = options.answer == ALWAYS
    scan = Scan(
        *(detector, listed, options.batch_size, options.workers, options.max_pixels, options.provenance),
        always=always,
        redeliver=options.redeliver,
    )
    is_listed_once = "-" in options.paths
    if options.output is None:
        sink, console = standard_output(options.format, columns(options.provenance))
        summary = Summary()
        rows = track_and_count(scan.rows(), "Images", None if is_listed_once else scan.files, console)
        write_rows(rows, sink, summary)
        sink.close([summary.sentence, *_sentences(worth, options)])
        return _end(scan.passed_over.remarks(), summary.failed)
    name = detector_name(detector.description, always=always, redeliver=options.redeliver)
    with Output(options.output, columns(options.provenance), name, resume=options.resume) as output:
        if len(output.known):
            print(f"{len(output.known):,} results are already in {output.records}.", file=sys.stderr)
        scan = replace(scan, is_left_out=lambda path: path in output.known or output.is_own(path))
        rows = track_and_count(scan.rows(), "Images", None if is_listed_once else scan.files, Console(stderr=True))
        write_rows(rows, output, output.summary)
        output.finish(_conversion(worth, name, options))
    print(f"{options.output}: {output.summary.sentence}", *_sentences(worth, options), sep="\n", file=sys.stderr)
    return _end(scan.passed_over.remarks(), output.summary.failed)


def _sentences(worth: "Worth", options: argparse.Namespace) -> list[str]:
    """The caution that goes with any answer, except what was said before the first."""
    from rexnet_ai_real.provenance import CAVEAT

    rule = worth.rule(always=options.answer == ALWAYS)
    told = [] if options.model is None else [" ".join(worth.sentences)]
    return [rule, *told, *([CAVEAT] if options.provenance else [])]


def _check(options: argparse.Namespace) -> None:
    from rexnet_ai_real.errors import UserError

    if options.resume and options.output is None:
        raise UserError("--resume needs --output FILE, the results to continue")
    if options.format and options.output is not None:
        raise UserError(f"--format is for standard output: the suffix of {options.output} chooses its format")


def _conversion(worth: "Worth", name: str, options: argparse.Namespace) -> "Callable[[Path, Path], None]":
    if options.output.suffix == ".parquet":
        from rexnet_ai_real.predict.parquet import to_parquet

        return to_parquet
    from rexnet_ai_real.predict.gallery import Gallery

    return Gallery(
        worth,
        name,
        always=options.answer == ALWAYS,
        most=options.gallery_images,
        workers=options.workers,
        max_pixels=options.max_pixels,
    )


def _end(remarks: Iterable[str], failed: int) -> int:
    for remark in remarks:
        print(remark, file=sys.stderr)
    if not failed:
        return DONE
    print(f"{failed:,} files could not be read; their rows say why.", file=sys.stderr)
    return SOME_FAILED


if __name__ == "__main__":
    sys.exit(main())
