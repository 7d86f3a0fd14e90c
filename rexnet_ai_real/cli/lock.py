"""One writer at a time: a lock on a file that is written, which ends with the process, however it ends."""

import fcntl
from pathlib import Path
from typing import IO, Any

from rexnet_ai_real.errors import UserError


def lock(file: IO[Any], path: Path) -> None:
    """Let no other process write `file`, which lies at `path`, until it is closed.

    Raises:
        UserError: another process writes it.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise UserError(
            f"{path} is being written by another process: wait until that has ended, or give another name"
        ) from None
    except OSError:  # some network file systems have no locks
        return
