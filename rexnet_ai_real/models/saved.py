"""Where weights lie in what this project writes: saved detectors, run folders, checkpoints, folds."""

import re
from pathlib import Path
from typing import Final

from torch import Tensor

from rexnet_ai_real.errors import UserError, one_line

State = dict[str, Tensor]

BY_HAND = "give a file with model.weights=PATH, or start from random weights with model.weights=null"
SAVED: Final = "model.safetensors"
"""In the folder of a saved or exported detector."""
BEST: Final = "checkpoints/best.ckpt"
"""In the folder of a run."""


class WeightsError(UserError, ValueError):
    """Weights that cannot be used. The message says why, and what to give instead."""

    def __init__(self, message: str) -> None:
        """`message` may quote what stands in the file."""
        super().__init__(one_line(message))


class MissingWeightsError(WeightsError, FileNotFoundError):
    """There is no file of weights where one was named."""


def locate(source: str | Path) -> tuple[Path, int | None]:
    """The file that `model.weights` names, and the network in it that PATH@NUMBER asks for.

    Args:
        source: a file; or the folder of a saved detector or of a run; or one of these with @NUMBER.

    Raises:
        MissingWeightsError: none of these.
        WeightsError: a folder of several runs.
    """
    path, number = Path(source), None
    if not path.exists() and (asked := re.fullmatch(r"(.+)@(\d{1,3})", str(source))):
        path, number = Path(asked[1]), int(asked[2])
    if not path.is_dir():
        if not path.exists():
            raise MissingWeightsError(f"no weights at {path}: {BY_HAND}")
        return path, number
    for name in (SAVED, BEST):
        if (path / name).is_file():
            return path / name, number
    if (path / "detector.json").is_file():
        raise MissingWeightsError(
            f"{path} is an exported detector without {SAVED}: export it again with --formats safetensors"
        )
    runs = sorted(file.parent.parent for file in path.glob(f"*/{BEST}"))
    if runs:
        raise WeightsError(f"{path} holds {len(runs)} runs: choose one with model.weights={runs[0]}")
    raise MissingWeightsError(f"{path} holds neither {SAVED} nor {BEST}: {BY_HAND}")


def one_network(state: State, number: int | None, source: str, own: State) -> State:
    """The weights of one network, where the file is of a saved detector, whose names begin with a network's number.

    Args:
        state: all of the file, such as 0.stem.conv.weight.
        number: of the network asked for; None: there must be one alone.
        source: for messages.
        own: state of the model that takes the weights; names that begin with 0 may be its own.

    Raises:
        WeightsError: several networks and no number, or no such number.
    """
    numbered = [re.fullmatch(r"(\d{1,3})\.(.+)", key) for key in state]
    if not all(numbered) or any(key.startswith("0.") for key in own):
        if number is not None:
            raise WeightsError(
                f"{source}@{number}: only a saved detector has networks with numbers; leave @{number} out"
            )
        return state
    found = sorted({int(match[1]) for match in numbered if match})
    if number is None and len(found) > 1:
        raise WeightsError(
            f"{source} holds {len(found)} networks of an ensemble, @{found[0]} to @{found[-1]}: choose one, such as "
            f"model.weights={source}@{found[0]}"
        )
    chosen = found[0] if number is None else number
    if chosen not in found:
        raise WeightsError(f"{source}@{chosen}: its networks are @{found[0]} to @{found[-1]}")
    return {match[2]: state[match[0]] for match in numbered if match and int(match[1]) == chosen}
