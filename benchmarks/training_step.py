"""One training step of ReXNet 1.0, against a notebook and against timm's model: `python -m benchmarks.training_step`.

The notebook: timm's rexnet_100 in float32, NCHW, eager. At equal settings: timm's model under the same bfloat16,
channels_last and optimiser as ours. The second pair of tables keeps freed memory (detector/engines/memory.py).
"""

import argparse
from collections.abc import Callable
from contextlib import nullcontext

import timm
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.side_by_side import Timing, table, take_turns, write_section
from rexnet_ai_real.detector.engines.memory import keep_freed_memory
from rexnet_ai_real.models import memory_efficient, rexnet

BATCH, SIDE = 32, 224
NOTEBOOK, TIMM, OURS = "timm, float32, NCHW (the notebook)", "timm, bfloat16, channels_last", "this project"


def main() -> None:
    """Measure, and write the section."""
    parser = argparse.ArgumentParser(description="Time one training step.")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    images, labels = torch.randn(BATCH, 3, SIDE, SIDE), torch.randint(0, 2, (BATCH,))
    usual = _measure(images, labels)
    text = f"A batch of {BATCH} images of {SIDE} px: forward, backward, SGD.\n\n{_tables(usual)}"
    if keep_freed_memory():
        kept = _measure(images, labels)
        text += f"\n\nThe same with freed memory kept by the process, as `train` sets it on Linux:\n\n{_tables(kept)}"
    ours, theirs = _activations(_ours(), images), _activations(_timm(), images)
    text += f"\n\nActivations held for the backward pass: {ours / 1e6:,.0f} MB for timm's {theirs / 1e6:,.0f}, "
    text += f"{ours / theirs:.2f} of them (exact: summed over saved tensors)."
    write_section("Training step", text, threads=options.threads)


def _tables(timings: dict[str, Timing]) -> str:
    return f"{table(timings, NOTEBOOK)}\n\n{table({name: timings[name] for name in (TIMM, OURS)}, TIMM)}"


def _measure(images: Tensor, labels: Tensor) -> dict[str, Timing]:
    things = {
        NOTEBOOK: _step(timm.create_model("rexnet_100", num_classes=2), images, labels, fast=False),
        TIMM: _step(_timm(), images, labels, fast=True),
        OURS: _step(_ours(), images, labels, fast=True),
    }
    return take_turns(things, items=BATCH)


def _ours() -> nn.Module:
    return memory_efficient(rexnet("rexnet_100")).to(memory_format=torch.channels_last)


def _timm() -> nn.Module:
    network: nn.Module = timm.create_model("rexnet_100", num_classes=2, drop_rate=0.2)
    return network.to(memory_format=torch.channels_last)


def _step(network: nn.Module, images: Tensor, labels: Tensor, *, fast: bool) -> Callable[[], None]:
    network.train()
    optimizer = torch.optim.SGD(network.parameters(), lr=3e-4, momentum=0.9, nesterov=True)
    inputs = images.contiguous(memory_format=torch.channels_last) if fast else images

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16) if fast else nullcontext():
            logits = network(inputs)
        optimizer.zero_grad()
        F.cross_entropy(logits.float(), labels).backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    return step


def _activations(network: nn.Module, images: Tensor) -> int:
    held: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        if len(tensor) == BATCH:  # not a weight
            held[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor), torch.autocast("cpu", torch.bfloat16):
        network.train()(images.contiguous(memory_format=torch.channels_last))
    return sum(held.values())


if __name__ == "__main__":
    main()
