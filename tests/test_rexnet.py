"""The network against timm's, number by number; the channel rule against the published table; ways to run it."""

import math
from collections.abc import Callable, Iterator

import pytest
import timm
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rexnet_ai_real.models import ReXNet, block_table, memory_efficient, rexnet, to_timm_layout
from rexnet_ai_real.models.architectures import ARCHITECTURES
from rexnet_ai_real.models.factory import build
from rexnet_ai_real.models.rexnet import BlockSpec, LinearBottleneck

IN_TIMM = [name for name in ARCHITECTURES if "lite" not in name]


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Images this small take 40 times as long where two threads wait for each other on a busy processor."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def images(count: int = 2, side: int = 64) -> Tensor:
    return torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(side))


def randomise(model: nn.Module) -> None:
    """Fresh batch norms pass everything through: give them statistics, or a swapped pair would go unseen."""
    torch.manual_seed(0)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d | nn.BatchNorm1d):
            assert module.running_mean is not None
            assert module.running_var is not None
            for tensor in (module.weight, module.running_var):
                nn.init.uniform_(tensor, 0.5, 1.5)
            for tensor in (module.bias, module.running_mean):
                nn.init.normal_(tensor, std=0.1)


@pytest.fixture(scope="module", params=IN_TIMM)
def twins(request: pytest.FixtureRequest) -> tuple[ReXNet, nn.Module]:
    """Ours and timm's of the same name, with the same weights, without dropout."""
    ours = rexnet(request.param, num_classes=1000, dropout=0.0)
    theirs: nn.Module = timm.create_model(request.param, drop_rate=0.0)
    randomise(ours)
    theirs.load_state_dict(to_timm_layout(ours))
    return ours, theirs


def test_has_timms_parameters(twins: tuple[ReXNet, nn.Module]) -> None:
    ours, theirs = ([(name, p.shape) for name, p in model.named_parameters()] for model in twins)
    assert ours == theirs


def test_eval_outputs_equal_timms(twins: tuple[ReXNet, nn.Module]) -> None:
    with torch.inference_mode():
        ours, theirs = (model.eval()(images()) for model in twins)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)
    assert theirs.std() > 1e-3


def test_training_gradients_equal_timms(twins: tuple[ReXNet, nn.Module]) -> None:
    losses = [F.cross_entropy(model.train()(images()), torch.tensor([3, 700])) for model in twins]
    for loss, model in zip(losses, twins, strict=True):
        model.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
    for (name, parameter), reference in zip(twins[0].named_parameters(), twins[1].parameters(), strict=True):
        assert parameter.grad is not None, name
        assert reference.grad is not None, name
        assert (parameter.grad - reference.grad).abs().max() < 1e-4 * max(10.0, float(reference.grad.abs().max())), name
    for statistic, expected in zip(twins[0].buffers(), twins[1].buffers(), strict=True):
        torch.testing.assert_close(statistic, expected)


def test_parameter_counts_are_the_published_ones() -> None:
    published = {"rexnet_100": 4.797, "rexnet_130": 7.557, "rexnet_150": 9.729, "rexnet_200": 16.367}
    published |= {"rexnet_300": 34.709, "rexnet_lite_100": 4.74, "rexnet_lite_200": 12.97}
    with torch.device("meta"):
        counts = {name: sum(p.numel() for p in rexnet(name, num_classes=1000).parameters()) for name in published}
    assert {name: count / 1e6 for name, count in counts.items()} == pytest.approx(published, abs=6e-3)


def test_dropout_and_drop_path_draw_as_timms() -> None:
    ours = rexnet("rexnet_100", num_classes=5, dropout=0.4, drop_path=0.5).train()
    theirs = timm.create_model("rexnet_100", num_classes=5, drop_rate=0.4, drop_path_rate=0.5).train()
    theirs.load_state_dict(to_timm_layout(ours))
    outputs = []
    for model in (ours, theirs):
        torch.manual_seed(1)
        outputs.append(model(images(8, 32)))
    torch.testing.assert_close(outputs[0], outputs[1], rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("width", "channels"),
    [
        (1.0, [16, 27, 38, 50, 61, 72, 84, 95, 106, 117, 128, 140, 151, 162, 174, 185]),
        (1.5, [24, 41, 58, 75, 92, 108, 125, 142, 159, 176, 193, 210, 226, 243, 260, 277]),
    ],
)
def test_channels_grow_as_published(width: float, channels: list[int]) -> None:
    table = block_table(width)
    assert [spec.out_channels for spec in table] == channels
    assert [spec.in_channels for spec in table[1:]] == channels[:-1]
    assert [i for i, spec in enumerate(table) if spec.stride == 2] == [1, 3, 5, 11]
    assert [bool(spec.squeeze) for spec in table] == [False] * 3 + [True] * 13
    assert [spec.expands for spec in table] == [False] + [True] * 15


@pytest.mark.parametrize("divisor", [1, 8, 16])
@pytest.mark.parametrize(("width", "depth"), [(0.35, 0.5), (0.9, 1.1), (1.25, 2.0), (1.7, 1.5)])
def test_any_width_depth_and_divisor_is_built_as_by_timm(width: float, depth: float, divisor: int) -> None:
    with torch.device("meta"):
        ours = ReXNet(width, depth, num_classes=3, divisor=divisor)
        theirs = timm.models.rexnet.RexNet(num_classes=3, width_mult=width, depth_mult=depth, ch_div=divisor)
    shapes = [{name: tensor.shape for name, tensor in model.state_dict().items()} for model in (ours, theirs)]
    assert shapes[0] == shapes[1]


def test_lite_channels_are_multiples_of_eight_without_squeeze() -> None:
    table = block_table(1.0, divisor=8, lite=True)
    linear = [16 + i * 164 / 15 for i in range(16)]
    assert all(abs(spec.out_channels - c) <= 8 for spec, c in zip(table, linear, strict=True))
    assert all(spec.out_channels % 8 == 0 and spec.squeeze == 0 for spec in table)
    assert not any(isinstance(module, nn.SiLU) for module in rexnet("rexnet_lite_100").modules())


@pytest.mark.parametrize("name", ["rexnet_100", "rexnetr_130", "rexnet_lite_100"])
def test_first_loss_is_near_log_two(name: str) -> None:
    torch.manual_seed(0)
    logits = rexnet(name)(images(16, 32))
    assert F.cross_entropy(logits, torch.arange(16) % 2).item() == pytest.approx(math.log(2), abs=0.1)


def test_features_then_head_is_the_network_and_grad_reaches_the_features() -> None:
    model = ReXNet().eval()
    features = model.forward_features(images(side=96))
    assert features.shape == (2, model.num_features, 3, 3)
    assert model.forward_head(features, pre_logits=True).shape == (2, 1280)
    torch.testing.assert_close(model.forward_head(features), model(images(side=96)))
    seen: list[Tensor] = []
    handle = model.features[-1].register_forward_hook(lambda module, inputs, output: seen.append(output))
    (gradient,) = torch.autograd.grad(model(images(side=96))[:, 1].sum(), seen)
    handle.remove()
    # Average pooling and a linear layer: the gradient is the layer's weight over the number of spatial positions.
    expected = model.head.fc.weight[1].detach()[None, :, None, None].expand_as(gradient) / 9
    torch.testing.assert_close(gradient, expected)


def test_reset_classifier_replaces_the_last_linear_layer_only() -> None:
    model = ReXNet().double()
    before = model.stem.conv.weight.clone()
    model.reset_classifier(7)
    assert model.get_classifier() is model.head.fc
    assert isinstance(model.head.fc, nn.Linear)
    assert model.num_classes == 7
    assert model(images(side=32).double()).shape == (2, 7)
    torch.testing.assert_close(model.stem.conv.weight, before)


def test_drop_path_takes_the_shortcut_alone_or_a_scaled_sum() -> None:
    spec = BlockSpec(in_channels=4, inner_channels=24, out_channels=6, stride=1, squeeze=2)
    block = LinearBottleneck(spec, drop_path=0.75).train()
    torch.manual_seed(0)
    x = torch.randn(64, 4, 8, 8)
    dropped = block(x)
    block.drop_path = 0.0
    shortcut = torch.cat([x, torch.zeros(64, 2, 8, 8)], dim=1)
    own_path = block(x) - shortcut
    alone = (dropped == shortcut).flatten(1).all(dim=1)
    assert 35 <= alone.sum() <= 60
    torch.testing.assert_close(dropped[~alone], (shortcut + 4 * own_path)[~alone])


def test_compiles_for_training_in_one_graph() -> None:
    model = ReXNet(depth=0.2, dropout=0.0)  # one block a stage: tracing 16 takes 8 s
    compiled = torch.compile(memory_efficient(model), backend="aot_eager", fullgraph=True)
    for run in (model, compiled):
        model.zero_grad()
        logits = run(images())
        logits.square().sum().backward()
        if run is model:
            expected, gradient = logits, model.stem.conv.weight.grad
    torch.testing.assert_close(logits, expected)
    torch.testing.assert_close(model.stem.conv.weight.grad, gradient)
    torch.compiler.reset()


def test_exports_with_any_number_of_images() -> None:
    model = memory_efficient(ReXNet()).eval()
    randomise(model)
    program = torch.export.export(model, (images(),), dynamic_shapes=({0: torch.export.Dim("images")},))
    torch.testing.assert_close(program.module()(images(5)), model(images(5)), rtol=0, atol=1e-5)


def test_channels_last_and_autocast_change_little() -> None:
    model = ReXNet().eval()
    randomise(model)
    expected = model.forward_features(images())
    model.to(memory_format=torch.channels_last)
    x = images().contiguous(memory_format=torch.channels_last)
    features = model.forward_features(x)
    assert features.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(features, expected, rtol=1e-4, atol=1e-5)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = model.forward_features(x)
    assert rounded.dtype == torch.bfloat16
    assert F.cosine_similarity(rounded.float().flatten(1), expected.flatten(1)).min() > 0.99


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: ReXNet(width=0), "width"),
        (lambda: ReXNet(depth=-1), "depth"),
        (lambda: ReXNet(width=float("nan")), "width"),
        (lambda: ReXNet(num_classes=0), "num_classes"),
        (lambda: ReXNet(dropout=1.0), "dropout"),
        (lambda: ReXNet(drop_path=-0.1), "drop_path"),
        (lambda: rexnet("rexnet_105"), "rexnet_100"),
        (lambda: build("mobilenetv3_larg_100", library="timm"), "mobilenetv3_large_100"),
        (lambda: build("vgg11", library="timm", drop_path=0.1), "model.drop_path"),
        (lambda: build("resnet18", library="timm", width=2.0), "model.width"),
        (lambda: build("rexnet_100", library="keras"), "model.library"),
    ],
)
def test_impossible_settings_are_named(make: Callable[[], nn.Module], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        make()


@pytest.mark.parametrize("name", ["rexnet_100", "tf_efficientnet_lite0"])
def test_a_timm_backbone_starts_near_the_loss_of_a_guess(name: str) -> None:
    torch.manual_seed(0)
    logits = build(name, library="timm").eval()(torch.randn(16, 3, 64, 64))

    loss = nn.functional.cross_entropy(logits, torch.arange(16) % 2)

    assert loss.item() == pytest.approx(math.log(2), abs=0.15)  # with timm's own layer: 1 to 4 on real images


def test_a_timm_backbone_stands_in() -> None:
    model = build("mobilenetv3_small_050", library="timm").eval()
    assert model(images()).shape == (2, 2)
