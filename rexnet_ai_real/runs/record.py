"""Hydra's record of a run: what was typed and what it composed, in .hydra/ of the run folder."""

import re
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

from rexnet_ai_real.files import write_text
from rexnet_ai_real.runs.jobs import OVERRIDES_FILE


def keep_record(folder: Path) -> None:
    """Write what Hydra itself would write at the start, before it is known whether the run begins at all.

    Nothing is written where Hydra runs no command, as in a notebook.
    """
    if not HydraConfig.initialized():
        return
    config: Any = HydraConfig.get()
    record = folder / OVERRIDES_FILE.parent
    write_text(folder / OVERRIDES_FILE, OmegaConf.to_yaml(config.overrides.task))
    write_text(record / "hydra.yaml", OmegaConf.to_yaml(OmegaConf.create({"hydra": config})))


def override(key: str, value: str) -> str:
    """key=value as an argument for Hydra, whatever characters the value has."""
    if re.fullmatch(r"[\w./:@+-]+", value, re.ASCII):
        return f"{key}={value}"
    escaped = value.replace("\\'", "\\\\'").replace("'", "\\'")
    return f"{key}='{escaped}'"
