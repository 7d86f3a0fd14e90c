"""How large an image file may be. Apart from the decoder, so that commands can show it without importing Pillow."""

from typing import Final

MAX_PIXELS: Final = 100_000_000
MAX_BYTES: Final = 1 << 30
"""Files are read into memory as a whole; a larger one is a film, an archive, or an image far above MAX_PIXELS."""
