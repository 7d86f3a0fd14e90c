"""How large an image file may be. Apart from the decoder, so that commands can show it without importing Pillow."""

from typing import Final

MAX_PIXELS: Final = 100_000_000
MAX_SIDE: Final = 65_535
"""Pixels: no JPEG has a longer side."""
MAX_ASPECT: Final = 10_000
"""Most times that one side may hold the other: to resize a strip, Pillow first enlarges its short side."""
MAX_BYTES: Final = 1 << 30
"""Files are read into memory as a whole; a larger one is a film, an archive, or an image far above MAX_PIXELS."""
MAX_PARTS: Final = 1 << 18
"""Most segments, chunks or blocks in one file: a PNG of 1 GiB in the usual chunks of 8 kB has half as many."""
MAX_SCANS: Final = 100
"""Most passes over a progressive JPEG; usual ones have about ten."""
MAX_SLOW_BYTES: Final = 16 << 20
"""Most bytes of the formats that Pillow decodes in Python: PPM written in digits, and run-length encoded BMP."""
MEMORY: Final = 1 << 30
"""Bytes that all threads together may decode into, and, counted apart, bytes of files that they hold meanwhile."""
