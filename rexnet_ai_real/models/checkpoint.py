"""Files that torch.save wrote, read as plain values: a file that asks to run code is not opened."""

import pickle
import re
from pathlib import Path
from typing import Any

import torch


class AsksForCode(ValueError):
    """A file that would run code; `function` is the first that it names."""

    def __init__(self, function: str) -> None:
        """`function`: such as posix.system."""
        super().__init__(function)
        self.function = function


class Damaged(ValueError):
    """A truncated or changed file, or one of another format."""


def read_plain(path: Path) -> Any:
    """Tensors, numbers, strings and containers of them, on the CPU.

    Raises:
        AsksForCode: nothing of it was run.
        Damaged: anything else that cannot be read.
    """
    try:
        return torch.load(path, "cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if code := re.search(r"GLOBAL ([\w.]+)", str(error)):
            raise AsksForCode(code[1]) from error
        raise Damaged(path) from error
    except Exception as error:  # damage shows as any of a dozen types
        raise Damaged(path) from error
