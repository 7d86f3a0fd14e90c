"""The page as a folder that any static host can serve."""

from pathlib import Path

from rexnet_ai_real.files import write_atomically
from rexnet_ai_real.page.site import page_files


def write_page(source: str | Path | None, folder: Path) -> int:
    """Write every file of the page below `folder`, and return how many bytes that are.

    Raises:
        NotADetector, UserError: as `page_files`.
        OSError: the folder cannot be written.
    """
    files = page_files(source)
    for name, file in files.items():
        with write_atomically(folder / name) as temporary:
            temporary.write_bytes(file.data)
    return sum(len(file.data) for file in files.values())
