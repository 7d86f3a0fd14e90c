"""A folder that is written as a whole or not at all."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rexnet_ai_real.errors import UserError


class Stopped(UserError):
    """The disk is full or read-only, or something else that the system refuses; what was there before is as it was."""

    def __init__(self, out: Path, error: OSError) -> None:
        """`out`: the folder that was to be written."""
        reason = (error.strerror or str(error) or type(error).__name__).strip().lower()
        super().__init__(
            f"exporting to {out} was stopped at {error.filename or out}: {reason}. Nothing was written. Make room "
            "there, or name another OUT; TMPDIR says where temporary files go"
        )


@contextmanager
def explained(out: Path) -> Iterator[None]:
    """Tell of what the system refuses while `out` is made.

    Raises:
        Stopped: it refuses something.
    """
    try:
        yield
    except OSError as error:
        raise Stopped(out, error) from error


@contextmanager
def replacing(out: Path, overwrite: bool) -> Iterator[Path]:
    """A temporary folder that replaces `out` when the block ends without an error.

    Raises:
        UserError: the system refuses to put back what was there; the message says where that is.
    """
    out = out.absolute()
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    old = temporary.with_name(f"{temporary.name}-old")
    try:
        yield temporary
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o777 & ~umask)
        if overwrite and out.is_dir():
            out.rename(old)
        temporary.rename(out)
    except BaseException:
        if old.is_dir() and not out.exists():
            _put_back(old, out)
        raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    shutil.rmtree(old, ignore_errors=True)  # only now: until the new one is in place, it is the only copy


def _put_back(old: Path, out: Path) -> None:
    try:
        old.rename(out)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UserError(
            f"{out} could neither be replaced nor put back: {reason}. What it held is in {old}: rename that folder"
        ) from error
