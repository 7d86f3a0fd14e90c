"""Tell of images whether they are AI-generated: paths in, a row each out.

    python -m rexnet_ai_real.predict exported/ a.jpg holiday/
    python -m rexnet_ai_real.predict outputs/baseline/2026-11-22_10-00-00 'archive/**/*.png' --output verdicts.csv
    find . -name '*.jpg' -print0 | python -m rexnet_ai_real.predict exported/ - -0 --output gallery.html --provenance

An exported detector needs ONNX Runtime, NumPy, Pillow and Rich, not PyTorch: nothing else is imported on the way.
"""

import argparse
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from rexnet_ai_real.cli.arguments import add_images, listed_paths, positive
from rexnet_ai_real.cli.ending import DONE, SOME_FAILED, command
from rexnet_ai_real.detector.arguments import add_detector

if TYPE_CHECKING:
    from rexnet_ai_real.detector.detector import Detector


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0: every image has its verdict; 1: some could not be read; 2: a wrong command; 130: interrupted."""
    options = _parser().parse_args(arguments)
    return command(lambda: predict(options), "What was written is complete; --resume goes on where this stopped.")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m rexnet_ai_real.predict",
        description="Tell of images whether they are AI-generated.",
        epilog="Exit code: 0 all images answered, 1 some could not be read (their rows say why), 2 wrong command or "
        "detector, 130 interrupted.",
    )
    add_detector(parser)
    add_images(parser)
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="FILE",
        help="results as .csv, .jsonl, .parquet or .html (a gallery); without it a table here, or CSV into a pipe",
    )
    parser.add_argument(
        "--format",
        choices=("table", "csv", "jsonl"),
        help="on standard output (default: a table at a terminal, CSV into a pipe or file)",
    )
    parser.add_argument(
        "--resume", action="store_true", help="go on with --output, also after a kill: files that it holds are skipped"
    )
    parser.add_argument(
        "--provenance", action="store_true", help="also say what the metadata claim; they can be forged or removed"
    )
    parser.add_argument("--batch-size", type=positive, default=32, help="images at once (default: %(default)s)")
    parser.add_argument(
        "--gallery-images",
        type=positive,
        default=2000,
        metavar="N",
        help="shown in an .html gallery at most, the likeliest to be AI-generated (default: %(default)s)",
    )
    return parser


def predict(options: argparse.Namespace) -> int:
    """Carry out the command."""
    # Not above: --help needs none of it.
    from rich.console import Console

    from rexnet_ai_real.detector.detector import Detector
    from rexnet_ai_real.detector.engines.memory import keep_freed_memory
    from rexnet_ai_real.predict.output import Output, check_suffix
    from rexnet_ai_real.predict.progress import shown
    from rexnet_ai_real.predict.row import columns, detector_name
    from rexnet_ai_real.predict.scan import Scan, written
    from rexnet_ai_real.predict.screen import standard_output

    _check(options)
    if options.output is not None:
        check_suffix(options.output)
    listed = partial(listed_paths, options.paths, null=options.null)
    listed()  # a pattern that nothing fits is told at once
    detector = Detector.load(options.model, backend=options.backend, device=options.device)
    if detector.engine.backend == "torch":
        keep_freed_memory()
    scan = Scan(detector, listed, options.batch_size, options.workers, options.max_pixels, options.provenance)
    is_listed_once = "-" in options.paths
    if options.output is None:
        sink, console = standard_output(options.format, columns(options.provenance))
        return _told(written(shown(scan.rows(), None if is_listed_once else scan.files, console), sink))
    name = detector_name(detector.description)
    with Output(options.output, columns(options.provenance), name, resume=options.resume) as output:
        if len(output.known):
            print(f"{len(output.known):,} results are in {output.records} already.", file=sys.stderr)
        scan = replace(scan, is_left_out=lambda path: path in output.known or output.is_own(path))
        rows = shown(scan.rows(), None if is_listed_once else scan.files, Console(stderr=True))
        failed = output.failed + written(rows, output)
        output.finish(_conversion(detector, options))
    print(options.output, file=sys.stderr)
    return _told(failed)


def _check(options: argparse.Namespace) -> None:
    from rexnet_ai_real.errors import UserError

    if options.resume and options.output is None:
        raise UserError("--resume needs --output FILE: what is there to go on with?")
    if options.format and options.output is not None:
        raise UserError(f"--format is for standard output: {options.output} says by how it ends what it becomes")


def _conversion(detector: "Detector", options: argparse.Namespace) -> "Callable[[Path, Path], None]":
    if options.output.suffix == ".parquet":
        from rexnet_ai_real.predict.parquet import to_parquet

        return to_parquet
    from rexnet_ai_real.predict.gallery import Gallery

    return Gallery(
        detector.calibration, most=options.gallery_images, workers=options.workers, max_pixels=options.max_pixels
    )


def _told(failed: int) -> int:
    if not failed:
        return DONE
    print(f"{failed:,} files could not be read; their rows say why.", file=sys.stderr)
    return SOME_FAILED


if __name__ == "__main__":
    sys.exit(main())
