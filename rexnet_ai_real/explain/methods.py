"""Names of the ways to make heat; apart from what carries them out, which takes seconds to import."""

from typing import Final

EXACT: Final = "cam"
"""The exact class-activation map of a network that ends in average pooling and a linear layer."""

METHODS: Final = (EXACT, "gradcam", "gradcam++", "hirescam", "layercam", "eigengradcam")
"""It, and those of `cam.METHODS`."""
