"""Keep memory that PyTorch frees on a CPU in the process: returning it to the system and asking again is slow."""

import ctypes
import platform
from typing import Final

_MMAP_MAX: Final = -4
_TRIM_THRESHOLD: Final = -1
_TOP_PAD: Final = -2
"""Parameters of glibc's mallopt(3)."""
_MORE: Final = 256 << 20
"""Bytes asked for at once."""


def keep_freed_memory() -> bool:
    """Make glibc keep large blocks for the next step. Returns whether it does; without glibc nothing changes.

    Activations are freed and allocated again with every batch. By default each block returns to the system and comes
    back page by page: a training step took 1.7 times as long (benchmarks/RESULTS.md).
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    settings = ((_MMAP_MAX, 0), (_TRIM_THRESHOLD, 2**31 - 1), (_TOP_PAD, _MORE))
    return all(mallopt(parameter, value) for parameter, value in settings)
