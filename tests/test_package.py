"""The installed package: what the wheel contains, its command, its version, and that it finds its configuration."""

import os
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import entry_points
from pathlib import Path

import pytest
import yaml

import rexnet_ai_real

CHECKOUT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]


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


@pytest.fixture(scope="module")
def dist_info(installed: Path) -> Path:
    """The wheel's metadata."""
    (folder,) = installed.glob("*.dist-info")
    return folder


def test_the_wheel_carries_every_configuration_file(installed: Path) -> None:
    here = {path.relative_to(CHECKOUT / "conf") for path in (CHECKOUT / "conf").rglob("*.yaml")}
    there = {path.relative_to(installed / "rexnet_ai_real" / "conf") for path in installed.rglob("conf/**/*.yaml")}
    assert there == here


def test_the_wheel_carries_every_template_the_marker_of_types_and_the_ready_detector(installed: Path) -> None:
    package = CHECKOUT / "rexnet_ai_real"
    files = (path for path in package.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    here = {path.relative_to(CHECKOUT) for path in files if path.suffix != ".py"}
    assert here
    assert (installed / "rexnet_ai_real" / "py.typed").is_file()
    assert all((installed / path).read_bytes() == (CHECKOUT / path).read_bytes() for path in here)


def test_the_wheel_carries_the_package_and_the_plugin_alone(installed: Path, dist_info: Path) -> None:
    assert {path.name for path in installed.iterdir()} == {"rexnet_ai_real", "hydra_plugins", dist_info.name}
    assert not list(installed.rglob("test_*.py"))
    assert not list(installed.rglob("__pycache__"))


def test_the_wheel_names_its_command_and_its_licence(dist_info: Path) -> None:
    assert (dist_info / "licenses" / "LICENSE").read_bytes() == (CHECKOUT / "LICENSE").read_bytes()
    commands = (dist_info / "entry_points.txt").read_text().split("\n")
    assert commands[:2] == ["[console_scripts]", "rexnet-ai-real = rexnet_ai_real.__main__:main"]


def test_the_version_is_that_of_the_project(dist_info: Path) -> None:
    assert rexnet_ai_real.__version__ == PROJECT["version"]
    assert f"\nVersion: {PROJECT['version']}\n" in (dist_info / "METADATA").read_text()


def test_the_citation_names_the_version_of_the_project() -> None:
    citation = yaml.safe_load((CHECKOUT / "CITATION.cff").read_text())
    assert citation["version"] == PROJECT["version"]
    assert citation["license"] == PROJECT["license"]


def test_the_changelog_describes_the_version_of_the_project() -> None:
    changelog = (CHECKOUT / "CHANGELOG.md").read_text()
    assert f"\n## {PROJECT['version']} - " in changelog


def test_an_installed_copy_composes_its_own_configuration(installed: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "rexnet_ai_real.train", "+experiment=baseline", "--cfg", "job"]
    environment = os.environ | {"PYTHONPATH": str(installed)}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=True
    )
    assert yaml.safe_load(done.stdout)["name"] == "baseline"


def test_the_installed_command_passes_arguments_and_exit_codes_on() -> None:
    (script,) = entry_points(group="console_scripts", name="rexnet-ai-real")
    assert script.value == "rexnet_ai_real.__main__:main"
    command = Path(sys.executable).with_name("rexnet-ai-real")
    helped = subprocess.run([command, "predict", "--help"], capture_output=True, text=True, timeout=120)
    assert helped.returncode == 0, helped.stderr
    assert "--output" in helped.stdout
    refused = subprocess.run([command, "predict", "--no-such-option"], capture_output=True, text=True, timeout=120)
    assert (refused.returncode, refused.stdout) == (2, "")


def test_help_needs_no_heavy_import() -> None:
    heavy = "torch", "torchvision", "lightning", "pandas", "matplotlib", "sklearn"
    code = (
        "import sys, runpy; sys.argv = ['train', '--help']\n"
        "try: runpy.run_module('rexnet_ai_real.train', run_name='__main__')\n"
        f"finally: print([name for name in {heavy!r} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, cwd=CHECKOUT)
    assert "experiment=baseline" in done.stdout
    assert done.stderr.strip().splitlines()[-1] == "[]"
