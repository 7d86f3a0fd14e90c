"""Fixtures that several test files use: a tiny training run, and the folder with real images where there is one."""

import os
import sys

os.environ.setdefault("OMP_NUM_THREADS", "1")  # the test processes share the cores; tiny networks gain nothing from two

from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock
from hydra import compose, initialize_config_dir

from rexnet_ai_real.cli.hydra_help import CONF
from rexnet_ai_real.config import TrainConfig
from rexnet_ai_real.config.compose import load
from rexnet_ai_real.runs.folder import RunFolder

Compose = Callable[..., TrainConfig]

# A test process takes one file at a time. The longest come first, so that none is left over for one process at the end.
LONGEST_FIRST = (  # seconds of CPU time: 118, 67, 42, 26, 26, 19, 17, 15; the rest together 100
    "test_train.py",
    "test_evaluate.py",
    "test_export.py",
    "test_notebooks.py",
    "test_rexnet.py",
    "test_config.py",
    "test_engines.py",
    "test_sweep.py",
    "test_page.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start with the files that take longest."""
    rank = {name: number for number, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: rank.get(item.path.name, len(rank)))


@pytest.fixture(scope="session")
def session_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The temporary folder that all test processes share."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@pytest.fixture(autouse=True, scope="session")
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep what tests measure of images out of the user's cache."""
    os.environ["XDG_CACHE_HOME"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(autouse=True, scope="session")
def absl_closes_nothing() -> None:
    """Keep absl, which the ONNX exporter imports, from closing pytest's stderr when Hydra sets up logging."""
    from absl import logging

    logging.get_absl_handler().python_handler.stream = sys.__stderr__


@pytest.fixture(scope="session")
def tiny(session_folder: Path) -> list[str]:
    """Overrides for a run of seconds: 60 generated images of 32 px, a quarter of the width, two epochs, no figures."""
    return [
        f"data.root={session_folder / 'tiny' / 'synthetic'}",
        *("data=synthetic", "data.synthetic.count=60", "data.synthetic.size=32", "data.image_size=32"),
        *("data.batch_size=8", "data.workers=0", "model=rexnet_100", "model.width=0.25", "trainer.max_epochs=2"),
        *("name=tiny", "figures=false", "trainer.precision=32-true", "trainer.threads=1"),
    ]


@pytest.fixture(scope="session")
def compose_tiny(tiny: list[str]) -> Compose:
    """Settings of the tiny run, with further overrides."""

    def composed(*overrides: str) -> TrainConfig:
        with initialize_config_dir(str(CONF), version_base="1.3"):
            return load(compose("train", overrides=[*tiny, *overrides]))

    return composed


@pytest.fixture(scope="session")
def tiny_run(compose_tiny: Compose, session_folder: Path) -> RunFolder:
    """A finished run, for reading only: the first test process that asks trains it, the others wait."""
    from rexnet_ai_real.train.run import train

    folder, finished = RunFolder(session_folder / "tiny_run"), session_folder / "tiny_run.finished"
    with FileLock(session_folder / "tiny_run.lock"):
        if not finished.exists():
            train(compose_tiny(), folder)
            finished.touch()
    return folder


@pytest.fixture(scope="session")
def exported_run(tiny_run: RunFolder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny run, exported for PyTorch, ONNX Runtime and OpenVINO; for reading only."""
    from rexnet_ai_real.export.__main__ import main

    folder = tmp_path_factory.mktemp("exported") / "detector"
    formats = ["--formats", "safetensors", "onnx", "openvino"]
    assert main([str(tiny_run.path), str(folder), *formats, "--count", "16"]) == 0
    return folder


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with real images and weights beside the checkout; tests that need it skip where it is missing."""
    folder = Path(os.environ.get("REXNET_SHARED", Path(__file__).resolve().parents[2] / "shared"))
    if not (folder / "data").is_dir():
        pytest.skip(f"no real images at {folder} (set REXNET_SHARED to a folder that holds data/ and weights/)")
    return folder


@pytest.fixture(scope="session")
def shared_data(shared: Path) -> Path:
    """The real images."""
    return shared / "data"


@pytest.fixture(scope="session")
def shared_weights(shared: Path) -> Path:
    """The real ReXNet 1.0 weights, in timm's key layout."""
    return shared / "weights" / "rexnet_100.safetensors"
