"""Rewrite the summary of a sweep: while it runs, after a crash, or when a failed job has been run again.

python -m rexnet_ai_real.sweep outputs/baseline/2026-11-22_10-00-00
"""

import argparse
import sys
from pathlib import Path

from rexnet_ai_real.cli.ending import DONE, SOME_FAILED, command


def main(arguments: list[str] | None = None) -> int:
    """The command line. Exit status 1 when a job failed, 2 when the folder holds no sweep."""
    parser = argparse.ArgumentParser(
        prog="python -m rexnet_ai_real.sweep", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("folder", type=Path, help="the folder of the multirun, which holds the jobs' folders 0, 1, ...")
    folder: Path = parser.parse_args(arguments).folder
    return command(lambda: run(folder), interrupted="The same command writes the summary again.")


def run(folder: Path) -> int:
    """Write and show the summary, and print what went wrong in the sweep."""
    from rexnet_ai_real.sweep.report import report

    problems = report(folder).problems
    print(*problems, sep="\n", end="\n" if problems else "", file=sys.stderr)
    return SOME_FAILED if problems else DONE


if __name__ == "__main__":
    sys.exit(main())
