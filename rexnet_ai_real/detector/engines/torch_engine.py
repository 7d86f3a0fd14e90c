"""A detector on PyTorch."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from rexnet_ai_real.detector.engines.device import AUTOCAST, autocast, best_device, best_precision
from rexnet_ai_real.detector.engines.engine import Engine, in_parts
from rexnet_ai_real.errors import UserError
from rexnet_ai_real.images.preprocessing import Pixels, Preprocessing
from rexnet_ai_real.images.transforms import normalise, unit_range
from rexnet_ai_real.labels import AI, REAL


@dataclass(frozen=True, eq=False)
class TorchEngine:
    """One network or several, whose logits are averaged."""

    networks: tuple[nn.Module, ...]
    """In evaluation mode, on `device`: normalised images (N, 3, H, W) -> logits (N, 2)."""
    preprocessing: Preprocessing
    """The same as in training."""
    device: torch.device
    precision: str
    """bf16-mixed, 16-mixed or 32-true."""
    backend: str = "torch"

    @classmethod
    def of(
        cls, networks: Sequence[nn.Module], preprocessing: Preprocessing, device: str, precision: str
    ) -> "TorchEngine":
        """Prepare networks for inference on a device.

        Args:
            networks: on the CPU; they are changed.
            preprocessing: the same as in their training.
            device: auto, or a PyTorch device: cpu, cuda, cuda:1, mps.
            precision: auto (as in training: bfloat16 products where the processor has them), bf16-mixed, 16-mixed or
                32-true.

        Raises:
            UserError: no such device or precision.
        """
        chosen = _device(device)
        if precision not in ("auto", *AUTOCAST):
            raise UserError(f"precision={precision}: expected auto or one of {', '.join(AUTOCAST)}")
        for network in networks:
            network.eval().requires_grad_(False).to(chosen, memory_format=torch.channels_last)  # type: ignore[call-overload]
        return cls(
            networks=tuple(networks),
            preprocessing=preprocessing,
            device=chosen,
            precision=best_precision(chosen) if precision == "auto" else precision,
        )

    def logits(self, images: Pixels) -> NDArray[np.float32]:
        """As `Engine.logits`."""
        return np.concatenate([self.logits_of(self.normalised(part)).numpy() for part in in_parts(images)])

    def logits_of(self, images: Tensor) -> Tensor:
        """Uncalibrated log-odds of "AI-generated" (N,), float32, on the CPU.

        Args:
            images: normalised, (N, 3, H, W), float32, on any device.

        Raises:
            ValueError: not of that shape.
        """
        if images.ndim != 4 or images.shape[1] != 3:
            raise ValueError(f"images of shape {tuple(images.shape)}: expected (N, 3, H, W), normalised")
        if not len(images):
            return torch.empty(0)
        with torch.inference_mode(), autocast(self.device, self.precision):
            batch = images.to(self.device).contiguous(memory_format=torch.channels_last)
            outputs = torch.stack([network(batch).float() for network in self.networks])
        return (outputs[..., AI] - outputs[..., REAL]).mean(dim=0).cpu()

    def logits_and_maps(self, images: Pixels) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """As `Engine.logits_and_maps`, both from one feature map."""
        made = [self.logits_and_maps_of(self.normalised(part)) for part in in_parts(images)]
        logits, maps = zip(*made, strict=True)
        return np.concatenate(logits), np.concatenate(maps)

    def logits_and_maps_of(self, images: Tensor) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The same of normalised images (N, 3, H, W), float32, on any device."""
        from rexnet_ai_real.models.cam import (  # brings grad-cam and torchvision along: seconds
            map_of_features,
            map_weights,
        )

        batch = images.to(self.device)
        logits, maps = [], []
        with torch.inference_mode(), autocast(self.device, self.precision):
            for network in self.networks:
                try:
                    evidence = map_weights(network)
                    features = network.forward_features(batch)  # type: ignore[operator]
                    maps.append(map_of_features(features, evidence).float())
                except ValueError as error:
                    raise UserError(f"{type(network).__name__} has no exact class-activation map") from error
                answers = network.forward_head(features).float()  # type: ignore[operator]
                logits.append(answers[:, AI] - answers[:, REAL])
        return torch.stack(logits).mean(0).cpu().numpy(), torch.stack(maps).mean(0).cpu().numpy()

    def normalised(self, images: Pixels) -> Tensor:
        """Pixels (N, size, size, 3) -> what the networks see, (N, 3, size, size), on `device`."""
        return normalise(unit_range(torch.from_numpy(images).to(self.device)), self.preprocessing)


def require_torch(engine: Engine, purpose: str) -> TorchEngine:
    """The engine, where it is PyTorch.

    Args:
        engine: of a detector.
        purpose: what needs PyTorch, to begin the message with: "Saving a detector".

    Raises:
        UserError: it is another engine.
    """
    if not isinstance(engine, TorchEngine):
        raise UserError(
            f"{purpose} needs PyTorch, and this detector runs on backend={engine.backend}: load it with backend=torch"
        )
    return engine


def _device(name: str) -> torch.device:
    if name == "auto":
        return best_device()
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:  # PyTorch built without CUDA asserts
        reason = str(error).partition("\n")[0]
        raise UserError(f"device={name} cannot be used ({reason}): expected auto, cpu, cuda or mps") from error
    return device
