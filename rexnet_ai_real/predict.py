"""Tell of pictures whether they are AI-generated: paths in, a row each out.

    python -m rexnet_ai_real.predict exported/ a.jpg holiday/
    python -m rexnet_ai_real.predict outputs/baseline/2026-11-22_10-00-00 'archive/**/*.png' --output verdicts.csv
    find . -name '*.jpg' -print0 | python -m rexnet_ai_real.predict exported/ - -0 --output gallery.html --provenance

An exported detector needs ONNX Runtime, NumPy, Pillow and Rich, not PyTorch: nothing else is imported on the way.
"""

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from rexnet_ai_real.command_line import (
    DONE,
    SOME_FAILED,
    add_detector,
    add_pictures,
    command,
    listed_paths,
    positive,
)

if TYPE_CHECKING:
    from rexnet_ai_real.detector import Detector
    from rexnet_ai_real.picture_files import PictureFile
    from rexnet_ai_real.predictions.row import Row


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0: every picture has its verdict; 1: some could not be read; 2: a wrong command; 130: interrupted."""
    options = _parser().parse_args(arguments)
    return command(lambda: predict(options), "What was written is complete; --resume goes on where this stopped.")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m rexnet_ai_real.predict",
        description="Tell of pictures whether they are AI-generated.",
        epilog="Exit code: 0 all pictures answered, 1 some could not be read (their rows say why), 2 wrong command or "
        "detector, 130 interrupted.",
    )
    add_detector(parser)
    add_pictures(parser)
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="FILE",
        help="results as .csv, .jsonl, .parquet or .html (a gallery); without it a table here, or CSV into a pipe",
    )
    parser.add_argument(
        "--resume", action="store_true", help="go on with --output, also after a kill: files that it holds are skipped"
    )
    parser.add_argument(
        "--provenance", action="store_true", help="also say what the metadata claim; they can be forged or removed"
    )
    parser.add_argument("--batch-size", type=positive, default=32, help="pictures at once (default: %(default)s)")
    parser.add_argument(
        "--gallery-pictures",
        type=positive,
        default=2000,
        metavar="N",
        help="shown in an .html gallery at most, the likeliest to be AI-generated (default: %(default)s)",
    )
    return parser


def predict(options: argparse.Namespace) -> int:
    """Carry out the command."""
    # Not above: --help needs none of it.
    from rexnet_ai_real.detector import Detector
    from rexnet_ai_real.errors import UserError
    from rexnet_ai_real.predictions.output import Output
    from rexnet_ai_real.predictions.row import columns

    paths = listed_paths(options.paths, null=options.null)
    if options.output is None:
        if options.resume:
            raise UserError("--resume needs --output FILE: what is there to go on with?")
        detector = Detector.load(options.model, backend=options.backend, device=options.device)
        return _to_the_screen(detector, paths, options)
    if options.output.suffix == ".parquet":
        from rexnet_ai_real.predictions.parquet import check_parquet

        check_parquet()
    detector = Detector.load(options.model, backend=options.backend, device=options.device)
    with Output(options.output, columns(options.provenance), resume=options.resume) as output:
        failed = 0
        if len(output.known):
            print(f"{len(output.known):,} results are in {output.records} already.", file=sys.stderr)
        for row in _shown(_results(detector, paths, options, output.known.__contains__), options):
            output.write(row)
            failed += bool(row["error"])
        output.finish(_conversion(detector, options))
    return _told(failed, options.output)


def _results(
    detector: "Detector", paths: Iterable[str], options: argparse.Namespace, is_known: Callable[[str], bool]
) -> "Iterator[Row]":
    from rexnet_ai_real.picture_files import picture_files
    from rexnet_ai_real.predictions.row import rows

    files: Iterator[PictureFile] = (file for file in picture_files(paths) if not is_known(file.path))
    verdicts = detector.predict_files(files, options.batch_size, options.workers, max_pixels=options.max_pixels)
    return rows(verdicts, provenance=options.provenance, workers=options.workers)


def _conversion(detector: "Detector", options: argparse.Namespace) -> Callable[[Path, Path], None]:
    if options.output.suffix == ".parquet":
        from rexnet_ai_real.predictions.parquet import to_parquet

        return to_parquet
    from rexnet_ai_real.predictions.gallery import Gallery

    return Gallery(
        detector.calibration, most=options.gallery_pictures, workers=options.workers, max_pixels=options.max_pixels
    )


def _shown(rows: "Iterator[Row]", options: argparse.Namespace) -> "Iterator[Row]":
    from rexnet_ai_real.predictions.progress import shown

    countable = None if "-" in options.paths else listed_paths(options.paths)
    return shown(rows, countable)


def _to_the_screen(detector: "Detector", paths: Iterable[str], options: argparse.Namespace) -> int:
    from rexnet_ai_real.predictions.records import CSV
    from rexnet_ai_real.predictions.row import columns

    results = _results(detector, paths, options, lambda path: False)
    failed = 0
    if sys.stdout.isatty():
        from rexnet_ai_real.predictions.screen import show_table

        failed = show_table(results)
    else:
        sys.stdout.buffer.write(CSV.header(columns(options.provenance)))
        for row in results:
            sys.stdout.buffer.write(CSV.record(row))
            sys.stdout.buffer.flush()
            failed += bool(row["error"])
    return _told(failed, None)


def _told(failed: int, output: Path | None) -> int:
    if output is not None:
        print(output, file=sys.stderr)
    if not failed:
        return DONE
    print(f"{failed:,} files could not be read; their rows say why.", file=sys.stderr)
    return SOME_FAILED


if __name__ == "__main__":
    sys.exit(main())
