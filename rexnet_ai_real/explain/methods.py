"""Names of the methods that make heat; apart from their code, which takes seconds to import."""

from typing import Final

EXACT: Final = "cam"
"""The exact class-activation map of a network that ends in average pooling and a linear layer."""

METHODS: Final = (EXACT, "gradcam", "gradcam++", "hirescam", "layercam", "eigengradcam")
"""The exact one, and those of `cam.METHODS`."""
