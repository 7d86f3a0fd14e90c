"""Write the summary of a sweep anew: while it runs, after a crash, or when a failed job has been run again.

python -m rexnet_ai_real.sweep outputs/baseline/2026-11-22_10-00-00
"""

import argparse
from pathlib import Path


def main() -> None:
    """The command line. Exit status 1 when the folder holds no sweep, or a job of it failed."""
    parser = argparse.ArgumentParser(
        prog="python -m rexnet_ai_real.sweep", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("folder", type=Path, help="the folder of the multirun, which holds the jobs' folders 0, 1, ...")
    folder: Path = parser.parse_args().folder

    from rexnet_ai_real.errors import UserError
    from rexnet_ai_real.sweep.report import report

    try:
        summary = report(folder)
    except UserError as error:
        raise SystemExit(str(error)) from None
    if summary.problems:
        raise SystemExit("\n".join(summary.problems))


if __name__ == "__main__":
    main()
