"""FLUX.2's tiny autoencoder, TAEF2: images to latents at an eighth of the size and back, in 2.7 million parameters.

Ollin Boer Bohan's (https://github.com/madebyollin/taesd, MIT). What comes back looks like the image and carries the
trace that latent generators leave, since their last step is such a decoder. Layers are numbered as in its files.
"""

from pathlib import Path
from typing import Final

import torch
from torch import Tensor, nn

from rexnet_ai_real.models.pretrained import read_state_dict
from rexnet_ai_real.models.saved import MissingWeightsError, State, WeightsError

REPOSITORY: Final = "madebyollin/taef2"
"""On the Hugging Face Hub."""
FILE: Final = "taef2.safetensors"
"""Encoder and decoder in one file, as the Hub has them."""
PARTS: Final = ("taef2_encoder.pth", "taef2_decoder.pth")
"""Each in a file of its own, as its author's repository has them."""
STRIDE: Final = 8
"""Sides of images are multiples of it."""
_WIDTH: Final = 64
_LATENT: Final = 32


class Block(nn.Module):
    """Three convolutions and the identity; a pooled block first adds what its groups of channels share everywhere."""

    def __init__(self, *, is_pooled: bool = False) -> None:
        """`is_pooled`: in the stage of the latents, where GroupNorm sees the whole image."""
        super().__init__()
        self.conv = nn.Sequential(_conv(), nn.ReLU(), _conv(), nn.ReLU(), _conv())
        self.pool: nn.Sequential | None = None
        if is_pooled:
            groups, wide = 4, 4 * _WIDTH
            self.pool = nn.Sequential(
                nn.Conv2d(_WIDTH, wide, 1, bias=False),
                nn.GroupNorm(groups, wide),
                nn.ReLU(),
                nn.Conv2d(wide, _WIDTH, 1, bias=False),
            )

    def forward(self, x: Tensor) -> Tensor:
        """(N, 64, H, W) to the same."""
        if self.pool is not None:
            x = x + self.pool(x)
        return torch.relu(self.conv(x) + x)


class _Clamp(nn.Module):
    """Latents softly kept within -3 to 3."""

    def forward(self, x: Tensor) -> Tensor:
        return 3 * torch.tanh(x / 3)


class TinyAutoencoder(nn.Module):
    """Encoder and decoder."""

    def __init__(self) -> None:
        """Random weights; `load_autoencoder` brings the published ones."""
        super().__init__()
        self.encoder = nn.Sequential(
            _conv(3),
            Block(),
            *_down(),
            *_down(),
            *_down(is_pooled=True),
            nn.Conv2d(_WIDTH, _LATENT, 3, padding=1),
        )
        self.decoder = nn.Sequential(
            _Clamp(),
            _conv(_LATENT),
            nn.ReLU(),
            *_up(is_pooled=True),
            *_up(),
            *_up(),
            Block(),
            nn.Conv2d(_WIDTH, 3, 3, padding=1),
        )

    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) of values from 0 to 1, both sides multiples of STRIDE, to their reconstructions of 0 to 1."""
        decoded: Tensor = self.decoder(self.encoder(images))
        return decoded.clamp(0, 1)


def _conv(channels: int = _WIDTH) -> nn.Conv2d:
    return nn.Conv2d(channels, _WIDTH, 3, padding=1)


def _down(*, is_pooled: bool = False) -> list[nn.Module]:
    blocks = [Block(is_pooled=is_pooled) for _ in range(3)]
    return [nn.Conv2d(_WIDTH, _WIDTH, 3, stride=2, padding=1, bias=False), *blocks]


def _up(*, is_pooled: bool = False) -> list[nn.Module]:
    blocks = [Block(is_pooled=is_pooled) for _ in range(3)]
    return [*blocks, nn.Upsample(scale_factor=2), nn.Conv2d(_WIDTH, _WIDTH, 3, padding=1, bias=False)]


def load_autoencoder(weights: str | Path | None) -> TinyAutoencoder:
    """The published autoencoder, in float32, for inference.

    Args:
        weights: taef2.safetensors, or a folder that holds it, or one that holds taef2_encoder.pth and
            taef2_decoder.pth; None: from the Hugging Face Hub, or its cache.

    Raises:
        WeightsError: there are none, or others.
    """
    path = Path(weights) if weights else _from_hub()
    read = [read_state_dict(file) for file in weight_files(path)]
    states = read if len(read) == len(PARTS) else _of_hub(*read)
    network = TinyAutoencoder()
    try:
        for part, state in zip((network.encoder, network.decoder), states, strict=True):
            part.load_state_dict({name: tensor.float() for name, tensor in state.items()})
    except RuntimeError as error:  # a list of all names that differ
        raise WeightsError(
            f"{path} holds the weights of something else than FLUX.2's tiny autoencoder: {BY_HAND}"
        ) from error
    return network.eval().requires_grad_(False)


def weight_files(path: Path) -> list[Path]:
    """The one file, or the two parts, that `data.pairs.weights` names.

    Raises:
        MissingWeightsError: there are none.
    """
    if path.is_dir() and not (path / FILE).is_file():
        if missing := [name for name in PARTS if not (path / name).is_file()]:
            raise MissingWeightsError(f"{path} holds neither {FILE} nor {' and '.join(missing)}: {BY_HAND}")
        return [path / name for name in PARTS]
    file = path / FILE if path.is_dir() else path
    if not file.is_file():
        raise MissingWeightsError(f"no autoencoder at {file}: {BY_HAND}")
    return [file]


BY_HAND: Final = (
    f"give data.pairs.weights=FOLDER with {FILE} (https://huggingface.co/{REPOSITORY}) or with {' and '.join(PARTS)} "
    "(https://github.com/madebyollin/taesd) in it"
)


def _of_hub(state: State) -> list[State]:
    """The tensors of encoder and decoder under the names of their author, who counts the clamp as the first layer."""
    parts: list[State] = []
    for part, shift in (("encoder", 0), ("decoder", 1)):
        renamed = {}
        for name, tensor in state.items():
            head, _, tail = name.removeprefix(f"{part}.layers.").partition(".")
            if name.startswith(f"{part}.layers.") and head.isdecimal():
                renamed[f"{int(head) + shift}.{tail}"] = tensor
        parts.append(renamed)
    return parts


def _from_hub() -> Path:
    """The file in the hub's cache, else downloaded."""
    try:
        from huggingface_hub import hf_hub_download, try_to_load_from_cache
    except ImportError as error:
        raise WeightsError(
            f"data.pairs needs an autoencoder, and huggingface_hub is not installed: {BY_HAND}"
        ) from error
    if isinstance(cached := try_to_load_from_cache(REPOSITORY, FILE), str):
        return Path(cached)
    try:
        return Path(hf_hub_download(REPOSITORY, FILE))
    except Exception as error:  # the client raises errors of several libraries; each means that there is no file
        reason = " ".join(str(error).split())[:150]
        raise WeightsError(f"{FILE} cannot be fetched from the Hugging Face Hub ({reason}): {BY_HAND}") from error
