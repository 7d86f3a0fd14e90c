"""What files say of their own origin: `python -m rexnet_ai_real.provenance PATHS...`."""

import argparse
import sys
from pathlib import Path

from rexnet_ai_real.cli.ending import DONE, SOME_FAILED, command


def main(arguments: list[str] | None = None) -> int:
    """Print a line per file; status 1 where a file could not be read whole."""
    parser = argparse.ArgumentParser(
        prog="python -m rexnet_ai_real.provenance",
        description="Show what the metadata of images say of their origin. Metadata can be forged or removed.",
    )
    parser.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="files, or folders of files")
    options = parser.parse_args(arguments)
    return command(lambda: _show(options.paths))


def _show(paths: list[Path]) -> int:
    from rexnet_ai_real.images.walk import image_files
    from rexnet_ai_real.provenance import read_provenance

    problems = 0
    for file in image_files(paths):
        found = read_provenance(Path(file.path))
        problem = file.error or found.problem
        problems += problem is not None
        print(f"{file.path}: {found.verdict}" + (f" [{problem}]" if problem else ""))
    return SOME_FAILED if problems else DONE


if __name__ == "__main__":
    sys.exit(main())
