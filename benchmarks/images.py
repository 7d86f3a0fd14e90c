"""Image files to measure on."""

import hashlib
from pathlib import Path

from rexnet_ai_real.images.decode import UnreadableImage, decode
from rexnet_ai_real.images.walk import image_files


def readable_images(folder: Path, count: int) -> list[Path]:
    """At most `count` images below a folder, chosen by the hashes of their names; unreadable files are skipped."""
    files = [Path(file.path) for file in image_files(folder)]
    chosen: list[Path] = []
    for file in sorted(files, key=lambda file: hashlib.sha256(file.name.encode(errors="surrogateescape")).digest()):
        try:
            decode(file)
        except UnreadableImage:
            continue
        chosen.append(file)
        if len(chosen) == count:
            break
    return chosen
