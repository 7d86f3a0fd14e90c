"""The page's JavaScript modules, run by Node.js for the tests that compare them with Python."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from rexnet_ai_real import page

MODULES = Path(page.__file__).parent / "site" / "js"


def node() -> str:
    """Path of Node.js: the machine's own, else the one that playwright brings; a test skips where there is neither."""
    if found := shutil.which("node"):
        return found
    playwright = pytest.importorskip("playwright", reason="needs Node.js, which the extra dev brings with playwright")
    brought = Path(playwright.__file__).parent / "driver" / "node"
    if not brought.exists():
        pytest.skip("needs Node.js")
    return str(brought)


def run_module(source: str, folder: Path, argument: object) -> Any:
    """What a module prints as JSON. It imports the page's modules from "./js/", and finds its argument in `argument`.

    The page's modules are copied: Node.js takes a file for a module where a package.json beside it says so.
    """
    folder.mkdir()
    shutil.copytree(MODULES, folder / "js")
    (folder / "package.json").write_text('{"type": "module"}')
    (folder / "argument.json").write_text(json.dumps(argument))
    reading = 'import { readFileSync } from "node:fs";\nconst argument = JSON.parse(readFileSync("argument.json"));\n'
    (folder / "main.js").write_text(reading + source)
    ran = subprocess.run([node(), "main.js"], cwd=folder, capture_output=True, check=False, encoding="utf-8")
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)
