"""The files of the page, for whoever serves or writes them: those of `site/`, and those that describe one detector."""

import gzip
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np

from rexnet_ai_real.detector.backends import INT8
from rexnet_ai_real.detector.description import Description, read_description
from rexnet_ai_real.detector.hub import locate
from rexnet_ai_real.detector.name import detector_name
from rexnet_ai_real.detector.worth import Worth
from rexnet_ai_real.errors import UserError
from rexnet_ai_real.page.card import card_page
from rexnet_ai_real.page.described import described
from rexnet_ai_real.page.model import simplified
from rexnet_ai_real.page.provenance_table import provenance_table
from rexnet_ai_real.runs.identify import Saved, identify

SOURCE: Final = Path(__file__).parent / "site"
MEDIA_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".gz": "application/gzip",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".md": "text/markdown; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".webmanifest": "application/manifest+json",
}
_MODEL, _ENGINE, _VERSION = "model.onnx.gz", "ort/ort-wasm-simd-threaded.wasm.gz", "version.js"
_WORKER: Final = "sw.js"
"""The service worker, which must not keep a copy of itself."""


@dataclass(frozen=True)
class PageFile:
    """One file as it goes over the wire."""

    media_type: str
    data: bytes

    @cached_property
    def etag(self) -> str:
        """By which browsers ask whether the file that they keep is still this one (RFC 9110, section 8.8.3)."""
        return f'"{hashlib.sha256(self.data).hexdigest()[:32]}"'


def page_files(source: str | Path | None) -> dict[str, PageFile]:
    """Every file of the page by its path below the page's address, "index.html" among them.

    Args:
        source: an exported detector with an 8-bit graph; None: the one that comes along.

    Raises:
        NotADetector: `source` is none.
        UserError: it has no 8-bit graph, or judges by more than one view.
    """
    located = locate(source, INT8.name)
    folder = located.path
    if not isinstance(identify(folder), Saved) or not (folder / INT8.file).is_file():
        raise UserError(
            f"{folder} has no {INT8.file}, which the page runs on: export the detector with --formats onnx-int8"
        )
    description = read_description(folder)
    facts = described(description, Worth.of(description, folder))
    facts["self_test"] = _logit_of_nothing(
        folder, description
    )  # refuses a graph that is damaged, or another detector's
    files = dict(_written_by_hand())
    files[_MODEL] = _file(_MODEL, gzip.compress(simplified(folder / INT8.file), mtime=0))
    files["card.html"] = _file("card.html", card_page(folder).encode())
    files["provenance.json"] = _json("provenance.json", provenance_table())
    facts["id"] = detector_name(description)
    facts["bytes"] = {"engine": len(files[_ENGINE].data), "model": len(files[_MODEL].data)}
    files["facts.json"] = _json("facts.json", facts)
    files[_VERSION] = _file(_VERSION, _version(files).encode())
    return files


def _written_by_hand() -> Iterator[tuple[str, PageFile]]:
    for path in sorted(SOURCE.rglob("*")):
        if path.is_file() and path.suffix in MEDIA_TYPES:  # not what an editor or a file manager left there
            name = path.relative_to(SOURCE).as_posix()
            yield name, _file(name, path.read_bytes())


def _file(name: str, data: bytes) -> PageFile:
    return PageFile(MEDIA_TYPES[Path(name).suffix], data)


def _json(name: str, plain: dict[str, Any]) -> PageFile:
    return _file(name, json.dumps(plain, ensure_ascii=False).encode())


def _logit_of_nothing(folder: Path, description: Description) -> float:
    """The logit of pixels without meaning, by which a browser finds out whether it computes as Python does.

    The same pixels as `checkItself` in site/js/worker.js draws.
    """
    side = description.preprocessing.image_size
    pixels = (np.arange(side * side * 3, dtype=np.int64) * 7919 % 251).astype(np.uint8).reshape(1, side, side, 3)
    return float(INT8.open(folder, description, "auto", "auto").logits(pixels)[0])


def _version(files: dict[str, PageFile]) -> str:
    """What the service worker keeps, and under which name: another one whenever any file changes."""
    digest = hashlib.sha256()
    for name, file in sorted(files.items()):
        digest.update(f"{name}\0{len(file.data)}\0".encode() + file.data)
    kept = ["./", *(name for name in files if name != _WORKER)]
    return f"self.VERSION = {json.dumps(digest.hexdigest()[:12])};\nself.FILES = {json.dumps(kept)};\n"
