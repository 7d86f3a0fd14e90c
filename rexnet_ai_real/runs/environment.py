"""Where a result came from: versions, processor and revision, for metrics.json."""

import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

import torch

_PACKAGES = ("rexnet-ai-real", "torch", "torchvision", "lightning", "timm", "torchmetrics")


def environment(device: torch.device) -> dict[str, object]:
    """Plain values that say on what a run was made."""
    return {
        "python": platform.python_version(),
        **{package: version(package) for package in _PACKAGES},
        "platform": platform.platform(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else f"{device.type} {_processor()}",
        "threads": torch.get_num_threads(),
        "revision": _revision(),
    }


def _processor() -> str:
    return f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}"


def _revision() -> str | None:
    """The commit of this checkout, with a + when files differ from it; None for an installed copy."""
    here = Path(__file__).resolve().parent
    command = ["git", "-C", str(here), "describe", "--always", "--dirty=+", "--abbrev=12", "--exclude=*"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return found.stdout.strip() or None
