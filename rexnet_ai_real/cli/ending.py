"""How every command ends: one table of exit codes, and one clear line where something went wrong."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from rexnet_ai_real.errors import UserError, visible

DONE: Final = 0
"""All was done."""
SOME_FAILED: Final = 1
"""Some images, jobs or parts failed, and the others have their results; or what was made was found unfit."""
WRONG: Final = 2
"""The command cannot be carried out: a wrong argument, setting, file or folder. Nothing was done."""
INTERRUPTED: Final = 130
"""Ctrl-C."""


def command(run: Callable[[], int], interrupted: str = "What was written is complete.") -> int:
    """Run what a command does, and turn its end into an exit code.

    Args:
        run: gives the exit code of a command that came to its end.
        interrupted: what to say after Ctrl-C.
    """
    try:
        with ending(interrupted):
            return run()
    except SystemExit as end:
        return int(end.code or DONE)


@contextmanager
def ending(interrupted: str = "What was written is complete.") -> Iterator[None]:
    """End the program as `command` does, for what must not return an exit code: a function that Hydra calls.

    Raises:
        SystemExit: with one of the exit codes above, after a line on standard error.
    """
    try:
        yield
    except UserError as error:
        print("\n".join(map(visible, str(error).split("\n"))), file=sys.stderr)
        raise SystemExit(WRONG) from error
    except ModuleNotFoundError as error:
        if not (line := missing_package(error)):
            raise
        print(line, file=sys.stderr)
        raise SystemExit(WRONG) from error
    except BrokenPipeError:  # `| head` has seen enough; what is still buffered must not fail a second time
        close_stdout()
        raise SystemExit(DONE) from None
    except KeyboardInterrupt:
        print(f"\nInterrupted. {interrupted}", file=sys.stderr)
        raise SystemExit(INTERRUPTED) from None


def missing_package(error: ModuleNotFoundError) -> str:
    """What to install where a package is missing; empty where a module of this project is, which is our own fault."""
    name = (error.name or "").partition(".")[0]
    if not name or name == __package__.partition(".")[0]:
        return ""
    return (
        f"This needs the Python package {name}, which is not installed: pip install rexnet-ai-real installs all that "
        "this project needs. To predict and explain without PyTorch, give an exported detector: a folder that "
        "`python -m rexnet_ai_real.export` wrote where everything is installed"
    )


def close_stdout() -> None:
    """Discard what is buffered for standard output, so that what failed does not fail again at the end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
