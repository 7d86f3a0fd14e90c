"""How large an image file may be; apart from the decoder, since commands show these without importing it."""

from typing import Final

MAX_PIXELS: Final = 100_000_000
MAX_BYTES: Final = 1 << 30
"""A file is read into memory whole; a larger one is a film or an archive, or an image far above MAX_PIXELS."""
