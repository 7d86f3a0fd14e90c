"""A folder with this project and few packages, as `pip install` would lay it: nothing else can be imported from it."""

import shutil
from collections.abc import Iterable
from importlib.metadata import distribution
from pathlib import Path

from packaging.requirements import Requirement

CHECKOUT = Path(__file__).resolve().parents[1]


def install(folder: Path, packages: Iterable[str]) -> Path:
    """Lay the project, the packages and what these need into the folder, which `python -S` takes from PYTHONPATH."""
    waiting, seen = list(packages), set[str]()
    while waiting:
        found = distribution(waiting.pop())
        if found.name in seen:
            continue
        seen.add(found.name)
        for required in map(Requirement, found.requires or []):
            if required.marker is None or required.marker.evaluate({"extra": ""}):
                waiting.append(required.name)
        for top in {file.parts[0] for file in found.files or [] if file.parts[0] not in ("..", "__pycache__")}:
            target = Path(str(found.locate_file(top)))
            if target.exists() and not (folder / top).exists():
                (folder / top).symlink_to(target)
    shutil.copytree(
        CHECKOUT / "rexnet_ai_real", folder / "rexnet_ai_real", ignore=shutil.ignore_patterns("__pycache__")
    )
    assert not {"torch", "scipy", "pandas", "hydra", "yaml", "jinja2"} & {path.name for path in folder.iterdir()}
    return folder
