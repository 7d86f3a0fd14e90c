"""Fused layers, which keep less while training, against the plain layers of PyTorch and against timm."""

import copy
import io
import math
from typing import Any

import pytest
import timm
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rexnet_ai_real.models import ReXNet, fused_layers, memory_efficient, to_timm_layout
from rexnet_ai_real.models.rexnet import ConvNorm, LinearBottleneck


@pytest.fixture
def images() -> Tensor:
    drawn = torch.randn(4, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    return drawn.contiguous(memory_format=torch.channels_last)


@pytest.fixture
def network() -> ReXNet:
    """Plain, with every type of layer, and no parameter at a value that hides a mistake."""
    torch.manual_seed(0)
    made = ReXNet(width=1.0, dropout=0.0).to(memory_format=torch.channels_last)
    for parameter in made.parameters():
        if parameter.ndim == 1:
            nn.init.uniform_(parameter, 0.5, 1.5)
    return made


def trained(network: nn.Module, images: Tensor, autocast: bool = False) -> tuple[Tensor, dict[str, Tensor]]:
    """Logits and gradients of one step."""
    network.train().zero_grad()
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        logits = network(images).float()
    F.cross_entropy(logits, torch.tensor([0, 1, 1, 0])).backward()  # type: ignore[no-untyped-call]
    return logits.detach(), {name: p.grad.clone() for name, p in network.named_parameters() if p.grad is not None}


def distance(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> float:
    """Of all gradients as one vector, relative."""
    assert ours.keys() == theirs.keys()
    difference = sum(float((ours[name] - theirs[name]).square().sum()) for name in ours)
    return math.sqrt(difference / sum(float(gradient.square().sum()) for gradient in theirs.values()))


def fused(network: ReXNet) -> ReXNet:
    """A fused copy."""
    return memory_efficient(copy.deepcopy(network))


@pytest.mark.parametrize("autocast", [False, True])
def test_frozen_weights_get_no_gradient_and_the_others_the_same(
    autocast: bool, network: ReXNet, images: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Frozen in the middle and in training mode, where the fused layers run."""
    wanted: list[bool] = []
    real = fused_layers._NormBackward

    def noted(*arguments: Any) -> Any:
        wanted.extend(arguments[-1])
        return real(*arguments)

    monkeypatch.setattr(fused_layers, "_NormBackward", noted)
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(not name.startswith(("features.1.", "features.3.")))
    gradients = trained(fused(network), images, autocast)[1]
    assert False in wanted
    assert distance(gradients, trained(network, images, autocast)[1]) < (0.2 if autocast else 1e-5)


def test_a_step_in_float32_is_the_same(network: ReXNet, images: Tensor) -> None:
    other = fused(network)
    logits, gradients = trained(other, images)
    expected, plain = trained(network, images)
    torch.testing.assert_close(logits, expected)
    assert distance(gradients, plain) < 1e-5
    for (name, ours), theirs in zip(other.named_buffers(), network.buffers(), strict=True):
        torch.testing.assert_close(ours, theirs, msg=name)


def test_a_step_is_that_of_timm(network: ReXNet, images: Tensor) -> None:
    theirs = timm.create_model("rexnet_100", num_classes=2, drop_rate=0.0)
    theirs.load_state_dict(to_timm_layout(network))
    logits, gradients = trained(memory_efficient(network), images)
    expected, plain = trained(theirs, images)
    torch.testing.assert_close(logits, expected, atol=1e-4, rtol=1e-4)
    assert distance(gradients, plain) < 1e-4


def test_bfloat16_is_as_close_to_float32_as_the_plain_layers(network: ReXNet, images: Tensor) -> None:
    _, fast = trained(fused(network), images, autocast=True)
    _, plain = trained(copy.deepcopy(network), images, autocast=True)
    _, exact = trained(network, images)
    assert 0 < distance(fast, exact) < 1.2 * distance(plain, exact)


def test_less_is_kept_for_the_backward_pass(network: ReXNet, images: Tensor) -> None:
    theirs = kept(timm.create_model("rexnet_100", num_classes=2).to(memory_format=torch.channels_last), images)
    assert kept(network, images) > 0.95 * theirs
    assert kept(memory_efficient(network), images) < 0.7 * theirs


def test_a_network_is_converted_in_place_and_stays_what_it_was(network: ReXNet, images: Tensor) -> None:
    keys, expected = list(network.state_dict()), network.eval()(images)
    called: list[nn.Module] = []
    network.stem.register_forward_hook(lambda module, *_: called.append(module))
    assert memory_efficient(network) is network
    assert list(network.state_dict()) == keys
    assert torch.equal(network(images), expected)
    assert called == [network.stem]
    layers = [module for module in network.modules() if isinstance(module, ConvNorm | LinearBottleneck)]
    assert len(layers) == 16 + 47 + 2  # blocks, convolutions in them, stem and tail
    assert {type(layer) for layer in layers} == {fused_layers.FusedConvNorm, fused_layers.FusedLinearBottleneck}
    again = io.BytesIO()
    torch.save(memory_efficient(network).state_dict(), again)
    again.seek(0)
    ReXNet().load_state_dict(torch.load(again, weights_only=True))


def test_other_networks_are_left_alone() -> None:
    theirs = timm.create_model("mobilenetv3_small_050", num_classes=2)
    before = [type(module) for module in theirs.modules()]
    assert memory_efficient(theirs) is theirs
    assert [type(module) for module in theirs.modules()] == before


def kept(network: nn.Module, images: Tensor) -> int:
    """Bytes of activations that autograd holds after a forward pass."""
    storages: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        if len(tensor) == len(images):  # not a weight
            storages[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with (
        torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor),
        torch.autocast("cpu", torch.bfloat16),
    ):
        network.train()(images)
    return sum(storages.values())


def test_plain_layers_run_where_others_look_in(network: ReXNet, images: Tensor) -> None:
    norm = network.stem.bn
    assert fused_layers.can_fuse(images, norm)
    with torch.no_grad():
        assert not fused_layers.can_fuse(images, norm)
    assert not fused_layers.can_fuse(images, norm.eval())
    assert not fused_layers.can_fuse(images, nn.SyncBatchNorm(32))
    assert not fused_layers.can_fuse(images.to("meta"), nn.BatchNorm2d(3))


@pytest.mark.parametrize("training", [True, False])
def test_every_hook_is_called(training: bool) -> None:
    network = memory_efficient(ReXNet(depth=0.2)).train(training)
    expected = {name for name, _ in network.named_modules()}
    seen = set()
    for name, module in network.named_modules():
        module.register_forward_hook(lambda *_, name=name: seen.add(name))
    network(torch.randn(4, 3, 32, 32))
    assert seen == expected


def test_one_hook_leaves_the_other_layers_fused(images: Tensor) -> None:
    network = memory_efficient(ReXNet(depth=0.2))
    network.stem.act.register_forward_hook(lambda *_: None)
    assert not fused_layers.can_fuse(images, network.stem.bn, network.stem.act)
    last = network.features[-1]
    assert isinstance(last, ConvNorm)
    assert fused_layers.can_fuse(images, last.bn, last.act)


def test_another_activation_put_in_is_used_in_training(images: Tensor) -> None:
    network = memory_efficient(ReXNet(depth=0.2, dropout=0.0)).train()
    before = network(images)
    for block in network.features[:-1]:
        block.act_dw = nn.Tanh()
    other = copy.deepcopy(network)
    for module in other.modules():
        module.register_forward_hook(lambda *_: None)  # all plain
    torch.testing.assert_close(network(images), other(images))
    assert not torch.allclose(network(images), before)


def test_float64_keeps_its_digits(images: Tensor) -> None:
    network = ReXNet(depth=0.2, dropout=0.0).double()
    _, plain = trained(network, images.double())
    _, ours = trained(memory_efficient(network), images.double())
    assert distance(ours, plain) < 1e-12


@pytest.mark.parametrize("training", [True, False])
def test_is_traced_by_fx(images: Tensor, training: bool) -> None:
    network = memory_efficient(ReXNet(depth=0.2, dropout=0.0)).train(training)
    traced = torch.fx.symbolic_trace(copy.deepcopy(network))
    torch.testing.assert_close(traced(images), network(images))


def test_frozen_norms_take_the_plain_path(network: ReXNet, images: Tensor) -> None:
    memory_efficient(network).train()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
    before = copy.deepcopy(network.state_dict())
    network(images).sum().backward()
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, before[name]), name
