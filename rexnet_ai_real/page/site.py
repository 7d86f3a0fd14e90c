"""The files of the page, for whoever serves or writes them."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class PageFile:
    """One file as it goes over the wire."""

    media_type: str
    data: bytes


def page_files(source: str | Path | None) -> dict[str, PageFile]:
    """Every file of the page by its path below the page's address, "index.html" among them.

    Args:
        source: an exported detector with an 8-bit graph; None: the one that comes along.

    Raises:
        NotADetector: `source` is none.
        UserError: it has no 8-bit graph.
    """
    raise NotImplementedError(source)
