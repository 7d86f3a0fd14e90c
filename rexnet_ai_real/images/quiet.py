"""Keep the decoders' own words off the terminal: what is wrong with a file stands in its row."""

import ctypes
import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import lru_cache

import PIL._imaging


@lru_cache(maxsize=1)
def _silence_libtiff() -> None:
    """Libtiff prints its warnings and errors to the terminal itself, past Python; they reach the caller anyway."""
    try:
        library = ctypes.CDLL(PIL._imaging.__file__)
        library.TIFFSetWarningHandler(None)
        library.TIFFSetErrorHandler(None)
    except (OSError, AttributeError):  # Windows, where libtiff's functions are not to be found from outside
        pass


_quiet_lock = threading.Lock()
_quiet_count = 0
_quiet = ExitStack()


@contextmanager
def decoders_are_quiet() -> Iterator[None]:
    """Ignore what Pillow warns of and logs, damaged metadata and large images, which are handled here; keep all others.

    `catch_warnings` and the level of a logger are state that all threads share, so the first thread to enter sets it
    and the last one to leave restores it.
    """
    global _quiet_count
    _silence_libtiff()
    with _quiet_lock:
        if _quiet_count == 0:
            _quiet.enter_context(warnings.catch_warnings())
            warnings.filterwarnings("ignore", module=r"PIL\.")
            logger = logging.getLogger("PIL")
            _quiet.callback(logger.setLevel, logger.level)
            logger.setLevel(logging.CRITICAL + 1)
        _quiet_count += 1
    try:
        yield
    finally:
        with _quiet_lock:
            _quiet_count -= 1
            if _quiet_count == 0:
                _quiet.close()
