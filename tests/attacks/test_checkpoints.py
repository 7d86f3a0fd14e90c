"""Checkpoints: read as plain values and tensors only; a checkpoint runs no code."""

import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch

from rexnet_ai_real.models.checkpoint import AsksForCode, Damaged, read_plain


class Touches:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        """`path`: of the file."""
        self.path = path

    def __reduce__(self) -> Any:
        """What pickle calls."""
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("form", ["zip", "legacy", "pickle"])
def test_a_checkpoint_runs_no_code(form: str, tmp_path: Path) -> None:
    made, path = tmp_path / "made", tmp_path / "a.ckpt"
    content = {"state_dict": {"weight": torch.zeros(3)}, "hyper_parameters": Touches(made)}
    if form == "pickle":
        path.write_bytes(pickle.dumps(content["hyper_parameters"]))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=form == "zip")
    with pytest.raises((AsksForCode, Damaged)):
        read_plain(path)
    assert not made.exists()
