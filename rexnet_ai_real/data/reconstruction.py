"""Photographs through a latent autoencoder and back: made once, kept in the cache, read while training.

The copies differ from their photographs in the trace of the decoder, and in nothing else: same picture, same size, and
no file format of their own, since they are kept without loss (aligned pairs: AlignedForensics, Dual-Data-Alignment).
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from rexnet_ai_real.config import PairsConfig
from rexnet_ai_real.data.prepared import Original
from rexnet_ai_real.errors import UserError
from rexnet_ai_real.files import write_atomically
from rexnet_ai_real.images.decode import decode, decode_then
from rexnet_ai_real.images.preprocessing import at_most
from rexnet_ai_real.models.autoencoder import STRIDE, load_autoencoder
from rexnet_ai_real.progress import track

BLENDED: Final = (0.2, 0.8)
"""Share of the reconstruction in a blend: at less, its label would hardly be true."""
_FORMAT: Final = 1
"""Raised when the copies of the same photographs become others."""


@dataclass(frozen=True)
class Reconstructions:
    """Copies of photographs, one file each; made by `reconstruct`."""

    folder: Path
    longest: int
    max_pixels: int

    def pair(self, original: Original) -> tuple[Image.Image, Image.Image]:
        """The photograph as the autoencoder got it, and its copy of the same size.

        Raises:
            UnreadableImage: the photograph has changed or vanished.
            UserError: its copy has.
        """
        photograph = self.photograph(original)
        file = self.file(original)
        try:
            copy = decode(file)
        except ValueError as error:
            raise UserError(f"{file}: {error}. Remove it: the next run makes it again") from error
        return photograph, copy

    def photograph(self, original: Original) -> Image.Image:
        """Decoded, its long side at most `longest`."""
        return original.read(
            lambda data: decode_then(lambda image: at_most(image, self.longest), data, max_pixels=self.max_pixels)
        )

    def file(self, original: Original) -> Path:
        """Of the copy."""
        return self.folder / f"{original.sha256}.webp"


def reconstruct(
    originals: Sequence[Original], config: PairsConfig, *, cache: Path, max_pixels: int, progress: bool = True
) -> Reconstructions:
    """Make the copies that the cache does not hold yet. Ctrl-C keeps what is finished.

    Args:
        originals: photographs; the same content under two paths is reconstructed once.
        config: which autoencoder, and how large.
        cache: folder in which to keep them.
        max_pixels: a photograph with more cannot be read.
        progress: show a bar on stderr.

    Raises:
        WeightsError: there is no such autoencoder.
        UnreadableImage: a photograph changed or vanished; the message names it.
        UserError: the cache cannot be written.
    """
    network = load_autoencoder(config.weights)
    made = Reconstructions(cache / "reconstructed" / _key(network, config.longest), config.longest, max_pixels)
    missing = {original.sha256: original for original in originals if not made.file(original).is_file()}
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    for original in track(missing.values(), "Reconstructing", len(missing), shown=progress and bool(missing)):
        copy = _through(network, made.photograph(original), device)
        try:
            with write_atomically(made.file(original)) as temporary:
                copy.save(temporary, "WEBP", lossless=True, method=1)
        except OSError as error:
            raise UserError(
                f"{made.folder} cannot be written ({error.strerror or error}), and data.pairs keeps its "
                "reconstructions there: choose another folder with data.cache=DIR"
            ) from error
    return made


def blended(photograph: Image.Image, copy: Image.Image, probability: float, random: np.random.Generator) -> Image.Image:
    """The copy, or with this probability a mixture of the two, which have the same size."""
    share = random.uniform(*BLENDED)
    return Image.blend(photograph, copy, share) if random.random() < probability else copy


@torch.inference_mode()
def _through(network: nn.Module, image: Image.Image, device: torch.device) -> Image.Image:
    """Sides are filled up to multiples of STRIDE with the pixels at the edge, which are cut off afterwards."""
    pixels = torch.from_numpy(np.array(image)).to(device).permute(2, 0, 1)[None].float() / 255
    filled = F.pad(pixels, (0, -image.width % STRIDE, 0, -image.height % STRIDE), mode="replicate")
    found: Tensor = network(filled.contiguous(memory_format=torch.channels_last))
    cut = found[0, :, : image.height, : image.width].permute(1, 2, 0)
    return Image.fromarray((cut * 255).round().byte().cpu().numpy())


def _key(network: nn.Module, longest: int) -> str:
    digest = hashlib.sha256(f"{_FORMAT} {longest}".encode())
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()[:16]
