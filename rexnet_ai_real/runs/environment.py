"""What a result was computed with: versions, device and revision of the code, for metrics.json."""

import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

import torch

_PACKAGES = ("rexnet-ai-real", "torch", "torchvision", "lightning", "timm", "torchmetrics")


def environment(device: torch.device | str) -> dict[str, object]:
    """What a result was computed with, as plain values."""
    device = torch.device(device)
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
