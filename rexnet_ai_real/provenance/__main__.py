"""What files say of their own origin: `python -m rexnet_ai_real.provenance PATHS...`."""

import argparse
import sys
from pathlib import Path


def main(arguments: list[str] | None = None) -> int:
    """Print a line per file; status 1 where a file could not be read whole."""
    parser = argparse.ArgumentParser(
        prog="python -m rexnet_ai_real.provenance",
        description="Show what the metadata of images say of their origin. Metadata can be forged or removed.",
    )
    parser.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="files, or folders of files")
    options = parser.parse_args(arguments)
    from rexnet_ai_real.images.walk import image_files
    from rexnet_ai_real.provenance import read_provenance

    problems = 0
    for file in image_files(options.paths):
        found = read_provenance(Path(file.path))
        problem = file.error or found.problem
        problems += problem is not None
        print(f"{file.path}: {found.verdict}" + (f" [{problem}]" if problem else ""))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
