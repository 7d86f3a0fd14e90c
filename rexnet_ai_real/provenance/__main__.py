"""Show what image files say of their own origin: `python -m rexnet_ai_real.provenance PATHS...`."""

import argparse
import sys
from pathlib import Path

from rexnet_ai_real.cli.ending import DONE, SOME_FAILED, command


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0: every file was read; 1: some could not be read whole; 2: a wrong command; 130: interrupted."""
    options = _parser().parse_args(arguments)
    return command(lambda: show(options), "The lines above are complete.")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m rexnet_ai_real.provenance",
        description="Show what the metadata of images say of their origin, a line per file. Metadata can be forged or "
        "removed.",
        epilog="Exit code: 0 all files read, 1 some could not be read whole (their lines say why), 2 wrong command, "
        "130 interrupted.",
    )
    parser.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="files, or folders of files")
    return parser


def show(options: argparse.Namespace) -> int:
    """Carry out the command."""
    # Not above: --help needs none of it.
    from rexnet_ai_real.images.walk import image_files
    from rexnet_ai_real.provenance import read_provenance

    problems = 0
    for file in image_files(options.paths):
        found = read_provenance(Path(file.path))
        problem = file.error or found.problem
        problems += problem is not None
        print(f"{file.path}: {found.verdict}" + (f" [{problem}]" if problem else ""))
    return SOME_FAILED if problems else DONE


if __name__ == "__main__":
    sys.exit(main())
