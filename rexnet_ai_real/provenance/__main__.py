"""Show what image files say of their own origin: `python -m rexnet_ai_real.provenance PATHS...`."""

import argparse
import sys
from pathlib import Path

from rexnet_ai_real.cli.ending import DONE, SOME_FAILED, close_stdout, command
from rexnet_ai_real.errors import UserError, visible


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0: every file was read; 1: some could not be read whole; 2: a wrong command; 130: interrupted."""
    options = _parser().parse_args(arguments)
    return command(lambda: show(options), "The lines above are complete.")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m rexnet_ai_real.provenance",
        description="Show what the metadata of images say of their origin, a line per file. Metadata can be forged or "
        "removed. What hides in the pixels is not looked for: watermarks, and parameters in the lowest bit of alpha.",
        epilog="Exit code: 0 all files read, 1 some could not be read whole (their lines say why), 2 wrong command, "
        "130 interrupted.",
    )
    parser.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="files, or folders of files")
    return parser


def show(options: argparse.Namespace) -> int:
    """Carry out the command.

    Raises:
        UserError: standard output cannot be written.
    """
    # Not above: --help needs none of it.
    from rexnet_ai_real.images.walk import image_files
    from rexnet_ai_real.provenance import read_provenance

    problems = 0
    for file in image_files(options.paths):
        if file.error is not None:
            line, failed = f"could not be read: {file.error}", True
        else:
            found = read_provenance(Path(file.path))
            failed = found.problem is not None
            line = found.verdict + (f" [{found.problem}]" if failed and found.says is not None else "")
        problems += failed
        _print(f"{visible(file.path)}: {line}")
    return SOME_FAILED if problems else DONE


def _print(line: str) -> None:
    encoding = sys.stdout.encoding or "utf-8"
    try:
        print(line.encode(encoding, "backslashreplace").decode(encoding), flush=True)
    except BrokenPipeError:
        raise
    except OSError as error:
        close_stdout()
        reason = (error.strerror or type(error).__name__).lower()
        raise UserError(f"standard output cannot be written: {reason}. The lines above are complete") from error


if __name__ == "__main__":
    sys.exit(main())
