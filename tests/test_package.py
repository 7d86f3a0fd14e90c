"""The installed package: the wheel carries the configuration tree, and finds it there."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml

CHECKOUT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the wheel installs."""
    built = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(built)]
    subprocess.run(command, cwd=CHECKOUT, check=True, capture_output=True, timeout=120)
    (wheel,) = built.glob("*.whl")
    folder = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def test_the_wheel_carries_every_configuration_file(installed: Path) -> None:
    here = {path.relative_to(CHECKOUT / "conf") for path in (CHECKOUT / "conf").rglob("*.yaml")}
    there = {path.relative_to(installed / "rexnet_ai_real" / "conf") for path in installed.rglob("conf/**/*.yaml")}
    assert there == here


def test_an_installed_copy_composes_its_own_configuration(installed: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "rexnet_ai_real.train", "+experiment=baseline", "--cfg", "job"]
    environment = os.environ | {"PYTHONPATH": str(installed)}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=True
    )
    assert yaml.safe_load(done.stdout)["name"] == "baseline"
