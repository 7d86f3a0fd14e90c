"""What is to be exported, checked before the work begins. Imports nothing heavy, so that --help answers at once."""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from rexnet_ai_real.detector.backends import BACKENDS, INT8, Backend
from rexnet_ai_real.errors import UserError
from rexnet_ai_real.runs.identify import DETECTOR_FILE

WEB: Final = "web"
"""The page with the detector in it, which goes alone: see `export.web`."""
PAGE_FILES: Final = ("version.js", "sw.js")
"""What makes a folder an exported page."""
PIXEL_TYPES: Final = ("uint8", "float32")
"""Of a graph's input, 0 to 255."""


@dataclass(frozen=True)
class Release:
    """What makes a detector one for people who train none: see `export.release`."""

    name: str
    version: str
    left_out: Path
    """An evaluated multirun of the same settings that leaves collections out of training."""
    collections: Path
    """A table of where the collections come from."""


@dataclass(frozen=True)
class Request:
    """What is to be exported."""

    formats: tuple[str, ...]
    """`Backend.format` of each form wanted."""
    images: Path | None = None
    """Folder with class folders, or where the images of the run are now; None: where they were in training."""
    count: int = 1000
    """Images to compare on, at most."""
    pixel_type: str = PIXEL_TYPES[0]
    """Of the graphs' input."""
    average_weights: bool = False
    """One network with the mean weights of all."""
    overwrite: bool = False
    """Replace an exported folder that exists already."""
    license: str | None = None
    """For the model card."""
    release: Release | None = None
    """None: a detector of one's own."""

    @property
    def backends(self) -> list[Backend]:
        """The forms wanted."""
        return [backend for backend in BACKENDS.values() if backend.format in self.formats]

    @property
    def needs_real_images(self) -> bool:
        """Whether generated scenes are not enough to compare on."""
        return INT8.format in self.formats or self.average_weights


def check_request(out: Path, request: Request) -> None:
    """Find out before the work what would stop it after.

    Raises:
        UserError: a library is missing, or the folder is in use.
    """
    if WEB in request.formats and request.formats != (WEB,):
        raise UserError(f"--formats {WEB} writes a page, not a detector: give it alone")
    packages = [package for backend in request.backends for package in backend.made_with]
    missing = [package for package in dict.fromkeys(packages) if find_spec(package) is None]
    if missing:
        extra = "export,openvino" if "openvino" in missing else "export"
        raise UserError(f"{', '.join(missing)} is not installed: pip install 'rexnet-ai-real[{extra}]'")
    _check_folder(out, request)


def _check_folder(out: Path, request: Request) -> None:
    """A detector may replace a detector, and a page a page."""
    if out.exists() and not out.is_dir():
        raise UserError(f"{out} is a file; a folder is expected")
    if not out.is_dir() or not any(out.iterdir()):
        return
    is_page = all((out / name).is_file() for name in PAGE_FILES)
    is_wanted = is_page if WEB in request.formats else not is_page and (out / DETECTOR_FILE).is_file()
    what = "page" if WEB in request.formats else "detector"
    if not is_wanted:
        raise UserError(f"{out} is not empty and holds no exported {what}: give a new or an empty folder")
    if not request.overwrite:
        raise UserError(f"{out} holds a {what} already: --overwrite replaces the whole folder")
