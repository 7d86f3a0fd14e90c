"""When the service fails, and not what it was sent: told without details, logged with type and trace.

The log has no error's own words: they may quote what was sent.
"""

import logging
import traceback
from http import HTTPStatus
from typing import Final

from rexnet_ai_real.serve.problems import Busy, Problem

LOG: Final = logging.getLogger(__name__)


class DamagedWeights(Exception):
    """The network's answer is no finite number."""


def failure(error: Exception) -> Problem:
    """Log the error of one image, and give what is told of it: 503 where memory was short, else 500."""
    trace = "".join(traceback.format_tb(error.__traceback__))
    LOG.error("An image was not judged: %s\n%s", type(error).__name__, trace)
    if isinstance(error, MemoryError):
        return Busy("The service had no memory left for this image: try again.")
    return Problem(HTTPStatus.INTERNAL_SERVER_ERROR, "The service failed on this image; its log says more.")
