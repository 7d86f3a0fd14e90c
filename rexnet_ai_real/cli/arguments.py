"""Arguments that several commands share: the images, and how they are read."""

import argparse
import sys
from collections.abc import Iterable, Iterator, Sequence
from io import BufferedReader
from itertools import chain
from typing import IO, Final, cast

from rexnet_ai_real.cli.names import read_names, refuse_other_content
from rexnet_ai_real.cli.patterns import is_pattern, matching
from rexnet_ai_real.errors import UserError
from rexnet_ai_real.images.limits import MAX_PIXELS

ALWAYS: Final = "always"
PROMISED: Final = "promised"


def add_images(parser: argparse.ArgumentParser) -> None:
    """PATHS, and how they are read."""
    parser.add_argument(
        "paths",
        nargs="+",
        metavar="PATHS",
        help="files, folders (everything in them), globs in quotes ('holiday/**/*.jpg'), - for names on standard input",
    )
    parser.add_argument("-0", "--null", action="store_true", help="names on standard input end with a zero byte")
    parser.add_argument("--workers", type=positive, default=2, help="threads that decode images (default: 2)")
    parser.add_argument(
        "--max-pixels",
        type=positive,
        default=MAX_PIXELS,
        help="an image with more fails (default: %(default)s)",
    )


def add_answer(parser: argparse.ArgumentParser) -> None:
    """Whether "unsure" and "out of scope" are allowed answers."""
    parser.add_argument(
        "--answer",
        choices=(PROMISED, ALWAYS),
        default=PROMISED,
        help='promised: "unsure" where the detector cannot keep its promised error rate, "out of scope" of '
        "screenshots, text, flat graphics and images too small to judge (default); always: the answer at its "
        "threshold, without a promise",
    )


def positive(text: str) -> int:
    """A whole number above 0, as an argument's type."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text}: expected a whole number above 0")
    return int(text)


def listed_paths(paths: Sequence[str], *, null: bool = False, stdin: IO[bytes] | None = None) -> Iterator[str]:
    """The paths that arguments stand for, in order; standard input is read as it comes.

    Args:
        paths: as given: a file, a folder, a glob, or "-" for names on standard input.
        null: names on standard input end with a zero byte rather than a line break.
        stdin: in place of standard input.

    Raises:
        UserError: at once, for a glob that matches nothing.
    """
    parts = [read_names(stdin or sys.stdin.buffer, null) if path == "-" else _expanded(path) for path in paths]
    return chain.from_iterable(parts)


def check_standard_input(paths: Sequence[str], *, null: bool) -> None:
    """Where "-" is among the paths, wait for the first bytes on standard input, and stop if they are no names.

    Raises:
        UserError: they are an image, or hold zero bytes where none are expected.
    """
    if "-" in paths:
        refuse_other_content(cast(BufferedReader, sys.stdin.buffer).peek(), null)


def _expanded(path: str) -> Iterable[str]:
    if not is_pattern(path):
        return [path]
    found = matching(path)
    first = next(found, None)
    if first is None:
        raise UserError(f"{path} matches no file: check the pattern and the folder that it starts from")
    return chain([first], found)
