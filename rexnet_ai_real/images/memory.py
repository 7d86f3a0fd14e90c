"""Memory shared by the threads that decode images: whoever needs more than is left waits for the others."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from rexnet_ai_real.images.limits import MEMORY


class MemoryBudget:
    """So many bytes for all threads together.

    One thread alone is never refused, however much it asks for, so that an oversized image still passes, by itself.
    A thread that asks again while it holds some is let through at once, since to wait for itself would take for ever.
    """

    def __init__(self, total: int) -> None:
        """`total` in bytes."""
        self.total = total
        self._taken = 0
        self._changed = threading.Condition()
        self._mine = threading.local()

    @contextmanager
    def holding(self, amount: int) -> Iterator[None]:
        """Wait until `amount` bytes are free, and count them as taken within the block."""
        if getattr(self._mine, "holds", False):
            yield
            return
        with self._changed:
            self._changed.wait_for(lambda: self._taken == 0 or self._taken + amount <= self.total)
            self._taken += amount
        self._mine.holds = True
        try:
            yield
        finally:
            self._mine.holds = False
            with self._changed:
                self._taken -= amount
                self._changed.notify_all()


PIXELS: Final = MemoryBudget(MEMORY)
FILES: Final = MemoryBudget(MEMORY)
"""Taken before PIXELS, never after, so that no two threads can wait for each other."""
