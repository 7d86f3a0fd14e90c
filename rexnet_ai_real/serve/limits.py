"""How much the service takes on, and from where on it says no. Apart from the rest, so that --help shows it at once."""

from dataclasses import dataclass
from typing import Final

from rexnet_ai_real.errors import UserError
from rexnet_ai_real.images.limits import MAX_PIXELS, MEMORY

HEAD_SECONDS: Final = 10.0
"""For a connection to send the head of its next request, and to take what is left of a body that was refused."""
RETRY_SECONDS: Final = 1
"""After which a refused client is asked to try again: a full queue of 256 images is worked off in a few seconds."""
FORM_OVERHEAD: Final = 4096
"""Bytes of a form around each of its files: the boundary and at most eight lines."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The bounds of one service. The defaults are those of the command."""

    max_bytes: int = 20 << 20
    """Of one image file."""
    max_pixels: int = MAX_PIXELS
    """Of one image."""
    max_files: int = 16
    """In one request."""
    timeout: float = 30.0
    """Seconds for a body to arrive, and again for its images to be judged."""
    queue: int = 256
    """Images that wait or are being judged."""
    batch_size: int = 4
    """Images that go through the network together; 16 were no faster on two cores, and some answers came later."""
    max_wait_ms: float = 5.0
    """Milliseconds that a batch waits for images that are still being decoded."""
    workers: int = 4
    """Threads that decode images; with 2, the engine's threads waited for them."""
    max_connections: int = 512
    """Open at once; further ones are told to come back."""

    def __post_init__(self) -> None:
        if self.max_files > self.queue:
            raise UserError(
                f"--queue {self.queue} is less than --max-files {self.max_files}: a request of that many images could "
                "never be taken. Give a longer queue or allow fewer files"
            )

    @property
    def held_bytes(self) -> int:
        """Bytes of all bodies in memory together; one of the largest bodies always fits."""
        return max(MEMORY, self.body_bytes)

    @property
    def body_bytes(self) -> int:
        """Bytes of one body."""
        return self.max_files * (self.max_bytes + FORM_OVERHEAD)
