"""On which device and in which precision a network runs: one rule for training and for every later use."""

from contextlib import AbstractContextManager, nullcontext
from typing import Final

import torch

AUTOCAST: Final = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16, "32-true": None}
"""Precisions that inference knows, by Lightning's names, and the dtype in which products are computed."""


def best_device(accelerator: str = "auto") -> torch.device:
    """The device that an accelerator of Lightning's (auto, cpu, gpu, ...) stands for on this machine."""
    if accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available():
        return torch.device("cuda")
    if accelerator in ("auto", "gpu", "mps") and torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def best_precision(device: torch.device) -> str:
    """bfloat16 where the processor has it: on a CPU it doubles the speed of a step."""
    if device.type == "cuda":
        return "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "16-mixed"
    return "bf16-mixed" if device.type == "cpu" and torch.cpu._is_avx512_bf16_supported() else "32-true"


def autocast(device: torch.device, precision: str) -> AbstractContextManager[object]:
    """Compute products in the dtype that `precision` names, as Lightning does; weights stay float32."""
    dtype = AUTOCAST[precision]
    return nullcontext() if dtype is None else torch.autocast(device.type, dtype)
