"""Ending a job of a search early, where its first epochs are worse than those of the jobs before it.

The search and the job share a process (Hydra's own launcher), so the job asks through a context variable. Under a
launcher that starts other processes no job is pruned.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

from rexnet_ai_real.errors import UserError

Judge = Callable[[int, float], bool]
"""Epoch, from 1, and its validation loss -> whether the job should end."""

_JUDGE: Final[ContextVar[Judge | None]] = ContextVar("judge", default=None)


class Pruned(UserError):
    """The search ended this job: no failure, and its settings are known to be worse."""


@contextmanager
def judged_by(judge: Judge | None) -> Iterator[None]:
    """Let a judge decide over the job that runs in this block."""
    token = _JUDGE.set(judge)
    try:
        yield
    finally:
        _JUDGE.reset(token)


def current_judge() -> Judge | None:
    """That of the search that runs this job; None outside of one."""
    return _JUDGE.get()
