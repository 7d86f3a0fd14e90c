"""What a run needs, checked in milliseconds: before PyTorch is imported, and before any image is opened."""

import os
import re
import shutil
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Final

from rexnet_ai_real.config import ConfigError, TrainConfig
from rexnet_ai_real.data.listed import MissingImagesError
from rexnet_ai_real.data.sources import holds_anything, locate, root_of
from rexnet_ai_real.images.layouts import LAYOUTS
from rexnet_ai_real.runs.folder import NotARun, RunFolder

SPACE: Final = 300_000_000
"""Bytes that must be free: two checkpoints and the next one, with the momentum of 7.8 M parameters, take 190 MB."""
KAGGLE: Final = "https://www.kaggle.com"


def check_inputs(config: TrainConfig) -> None:
    """Stop where a folder, a file or the network connection that the run needs is missing.

    Raises:
        ConfigError: names all that is missing, one to a line, and what to give instead.
    """
    missing = [problem for check in CHECKS for problem in check(config)]
    if missing:
        raise ConfigError("\n".join(missing))


def _images(config: TrainConfig) -> Iterator[str]:
    layout = LAYOUTS[config.data.name]
    if layout.is_generated:
        return
    if layout.kaggle_id is None or holds_anything(root := root_of(config.data)) or root.is_file():
        try:
            locate(config.data)
        except MissingImagesError as error:
            yield str(error)
    elif not is_reachable(KAGGLE):
        yield (
            f"data.root={root} holds no images, and kaggle.com cannot be reached to download them: fetch "
            f"{KAGGLE}/datasets/{layout.kaggle_id} by hand and unpack it so that {root} holds {layout.expected}, give "
            "data.root=PATH, or try the program with data=synthetic"
        )


def _weights(config: TrainConfig) -> Iterator[str]:
    weights = config.model.weights
    if weights is None or config.resume:
        return
    instead = "give a file with model.weights=PATH, or start from random weights with model.weights=null"
    if weights != "imagenet":
        if not Path(weights).exists() and not Path(re.sub(r"@\d{1,3}$", "", weights)).exists():
            yield f"model.weights={weights}: there is no such file or folder; {instead}"
        return
    from huggingface_hub import constants

    known = Path(constants.HF_HUB_CACHE).glob(f"models--*--{config.model.name}*/snapshots/*/*")
    if not any(known) and (constants.HF_HUB_OFFLINE or not is_reachable(constants.ENDPOINT)):
        yield (
            f"model.weights=imagenet: the weights of {config.model.name} are not on this machine, and "
            f"{constants.ENDPOINT} cannot be reached; {instead}"
        )


def _autoencoder(config: TrainConfig) -> Iterator[str]:
    pairs = config.data.pairs
    if not pairs.share:
        return
    from huggingface_hub import constants, try_to_load_from_cache

    from rexnet_ai_real.models.autoencoder import BY_HAND, FILE, REPOSITORY, weight_files  # brings PyTorch along
    from rexnet_ai_real.models.saved import MissingWeightsError

    if pairs.weights:
        try:
            weight_files(Path(pairs.weights))
        except MissingWeightsError as error:
            yield f"data.pairs.weights={pairs.weights}: {error}"
    elif not isinstance(try_to_load_from_cache(REPOSITORY, FILE, cache_dir=constants.HF_HUB_CACHE), str) and (
        constants.HF_HUB_OFFLINE or not is_reachable(constants.ENDPOINT)
    ):
        yield (
            f"data.pairs.share={pairs.share}: the autoencoder is not on this machine, and {constants.ENDPOINT} cannot "
            f"be reached; {BY_HAND}"
        )


def _resumed(config: TrainConfig) -> Iterator[str]:
    if not config.resume:
        return
    try:
        RunFolder(Path(config.output_dir)).read_config()
    except NotARun as error:
        yield f"resume={config.resume}: {error}"
        return
    if config.resume.endswith(".ckpt") and not Path(config.resume).is_file():
        yield f"resume={config.resume}: there is no such file"


def _output(config: TrainConfig) -> Iterator[str]:
    folder = Path(config.output_dir).absolute()
    nearest = next(parent for parent in (folder, *folder.parents) if parent.exists())
    if not nearest.is_dir():
        yield f"output_dir={config.output_dir}: {nearest} is a file; give a folder that can be written"
    elif not os.access(nearest, os.W_OK | os.X_OK):
        yield f"output_dir={config.output_dir}: {nearest} cannot be written; give another folder"
    elif (free := shutil.disk_usage(nearest).free) < SPACE and not config.trainer.fast_dev_run:
        yield (
            f"output_dir={config.output_dir}: {free / 1e6:.0f} MB are free there, and a run needs {SPACE / 1e6:.0f}; "
            "make room, or give another folder"
        )


CHECKS: Final[tuple[Callable[[TrainConfig], Iterator[str]], ...]] = (_images, _weights, _autoencoder, _resumed, _output)


@cache
def is_reachable(address: str) -> bool:
    """Whether a server answers, through a proxy where one is set."""
    try:
        urllib.request.urlopen(address, timeout=10).close()
    except urllib.error.HTTPError:  # an answer too
        return True
    except (OSError, ValueError):
        return False
    return True
