"""Heat maps: they point at the evidence, agree with the exact map, and leave the network as it was."""

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest
import timm
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from rexnet_ai_real.images.preprocessing import Preprocessing
from rexnet_ai_real.labels import AI, REAL
from rexnet_ai_real.models import ReXNet, cam
from rexnet_ai_real.train.figures import cam_panel, shown_rows

ATOL = 1e-6


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def seeded_images(count: int = 3, size: int = 64) -> Tensor:
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(1))


def rexnet() -> ReXNet:
    """Running statistics that differ by channel, so that a forgotten evaluation mode shows."""
    torch.manual_seed(0)
    network = ReXNet(width=0.25, dropout=0.5)
    nn.init.normal_(network.head.fc.weight)
    nn.init.normal_(network.head.fc.bias)
    with torch.no_grad():
        network(seeded_images(8))
    return network.eval()


class RedSpeaksForAI(nn.Module):
    """Logit of AI: three times the mean of red; so heat for AI must be where red is, and heat for real nowhere."""

    num_features = 2

    def __init__(self) -> None:  # noqa: D107
        super().__init__()
        self.layer = nn.Conv2d(3, 2, 8, stride=8, bias=False)
        self.fc = nn.Linear(2, 2)
        with torch.no_grad():
            self.layer.weight.zero_()
            self.layer.weight[0, 0] = 1 / 64
            self.fc.weight.copy_(torch.tensor([[0.0, 0.0], [3.0, 0.0]]))
            self.fc.bias.copy_(torch.tensor([0.5, -0.5]))

    def forward_features(self, x: Tensor) -> Tensor:
        features: Tensor = self.layer(x)
        return features

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.fc(self.forward_features(x).mean((2, 3)))
        return logits


def test_heat_is_where_the_evidence_was_planted() -> None:
    images = torch.zeros(2, 3, 64, 96)
    images[0, 0, 16:32, 40:56] = 1.0
    images[1, 0, 48:64, 0:16] = 2.0
    heat = cam.heat_maps(RedSpeaksForAI(), images)
    assert heat.shape == (2, 64, 96)
    assert heat[0, 16:32, 40:56].sum() > 0.6 * heat[0].sum()  # the rest is the slope of the enlargement
    assert heat[1, 48:64, 0:16].sum() > 0.6 * heat[1].sum()
    assert heat[1].max() == pytest.approx(2 * heat[0].max())  # twice the evidence, twice the heat
    assert not cam.heat_maps(RedSpeaksForAI(), images, REAL).any()


@pytest.mark.parametrize(
    "make",
    [
        rexnet,
        lambda: timm.create_model("rexnetr_100", num_classes=2).eval(),
        lambda: timm.create_model("resnet10t", num_classes=2).eval(),
    ],
)
def test_the_exact_map_adds_up_to_the_log_odds(make: Callable[[], Any]) -> None:
    network, images = make(), seeded_images()
    with torch.no_grad():
        logits, biases = network(images), network.get_classifier().bias
        for target in (REAL, AI):
            exact = cam.class_activation_map(network, images, target)
            bias = biases[target] - biases[1 - target]
            torch.testing.assert_close(exact.mean((1, 2)) + bias, logits[:, target] - logits[:, 1 - target])


@pytest.mark.parametrize("target", [REAL, AI])
def test_gradcam_is_the_positive_part_of_the_exact_map(target: int) -> None:
    network, images = rexnet(), seeded_images(size=96)
    with torch.no_grad():
        exact = cam.class_activation_map(network, images, target)
    enlarged = F.interpolate(exact.relu()[:, None] / exact[0].numel(), size=(96, 96), mode="bilinear")[:, 0]
    assert enlarged.amax((1, 2)).min() > 0
    np.testing.assert_allclose(cam.heat_maps(network, images, target), enlarged.numpy(), atol=ATOL, rtol=1e-4)


def test_a_map_does_not_depend_on_the_other_images_of_the_batch() -> None:
    network, images, targets = rexnet(), seeded_images(), [AI, REAL, AI]
    together = cam.heat_maps(network, images, targets)
    for i, target in enumerate(targets):
        np.testing.assert_allclose(together[i], cam.heat_maps(network, images[i : i + 1], target)[0], atol=ATOL)


@pytest.mark.parametrize("method", cam.METHODS)
def test_every_method_gives_heat_of_the_images_size(method: str) -> None:
    heat = cam.heat_maps(rexnet(), seeded_images(), method=method)
    assert heat.shape == (3, 64, 64)
    assert heat.dtype == np.float32
    assert (heat >= 0).all()
    assert heat.any()


def state_of(network: nn.Module) -> list[Any]:
    modules = [(m.training, len(m._forward_hooks), len(m._backward_hooks)) for m in network.modules()]
    weights = [(w.requires_grad, None if w.grad is None else w.grad.clone()) for w in network.parameters()]
    return [modules, *weights, *(tensor.clone() for tensor in network.state_dict().values())]


def assert_same(before: list[Any], after: list[Any]) -> None:
    torch.testing.assert_close(before[0], after[0])
    for old, new in zip(before[1:], after[1:], strict=True):
        assert isinstance(old, Tensor) or old[0] == new[0]
        torch.testing.assert_close(
            old if isinstance(old, Tensor) else old[1], new if isinstance(new, Tensor) else new[1]
        )


def test_the_network_is_left_as_it_was_in_the_middle_of_training() -> None:
    network, images = rexnet().train(), seeded_images()
    network.stem.eval()
    network.stem.requires_grad_(False)
    network(images).sum().backward()
    before = state_of(network)
    first = cam.heat_maps(network, images)
    with pytest.raises(ValueError, match="target=2"):
        cam.heat_maps(network, images, 2)
    assert_same(before, state_of(network))
    np.testing.assert_array_equal(first, cam.heat_maps(network.eval(), images))


@pytest.mark.parametrize("around", [torch.no_grad, torch.inference_mode, nullcontext])
def test_callers_need_no_gradients_and_lose_none(around: Callable[[], Any]) -> None:
    network = rexnet()
    with around():
        images = seeded_images()
        enabled = torch.is_grad_enabled()
        heat = cam.heat_maps(network, images)
        assert torch.is_grad_enabled() == enabled
    np.testing.assert_array_equal(heat, cam.heat_maps(network, seeded_images()))
    assert not images.requires_grad


def correlation(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    return float(np.corrcoef(a.ravel(), b.ravel())[0, 1])


def test_bfloat16_channels_last_and_autocast_show_the_same_heat() -> None:
    images, expected = seeded_images(), cam.heat_maps(rexnet(), seeded_images())
    half = rexnet().to(torch.bfloat16, memory_format=torch.channels_last)  # type: ignore[call-overload]
    assert correlation(cam.heat_maps(half, images), expected) > 0.95
    with torch.autocast("cpu", torch.bfloat16):
        assert correlation(cam.heat_maps(rexnet(), images), expected) > 0.95


def test_compiled_networks_are_seen_through() -> None:
    images, expected = seeded_images(), cam.heat_maps(rexnet(), seeded_images())
    within = rexnet()
    within.compile(backend="eager")
    for network in (within, cast(nn.Module, torch.compile(rexnet(), backend="eager"))):
        with torch.no_grad():
            network(images)
        np.testing.assert_allclose(cam.heat_maps(network, images), expected, atol=ATOL)


@pytest.mark.parametrize("name", ["mobilenetv3_small_050", "resnet10t", "convnext_atto", "densenet121", "rexnet_100"])
def test_timm_backbones_are_explained_at_their_final_feature_map(name: str) -> None:
    network: Any = timm.create_model(name, num_classes=2).eval()
    images = seeded_images(2)
    seen: list[Tensor] = []
    hook = cam.final_layer(network, images).register_forward_hook(lambda _, __, output: seen.append(output))
    with torch.no_grad():
        network(images)
    hook.remove()
    with torch.no_grad():
        torch.testing.assert_close(seen[0], network.forward_features(images))
    assert cam.heat_maps(network, images).shape == (2, 64, 64)


def transformer(name: str) -> Any:
    torch.manual_seed(0)
    sizes = {"embed_dim": 24, "depths": (1, 1)} if "swin" in name else {"depth": 2}
    return timm.create_model(name, num_classes=2, img_size=64, **sizes).eval()


@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "swin_tiny_patch4_window7_224", "deit3_small_patch16_224"])
@pytest.mark.parametrize("method", cam.METHODS)
def test_transformers_are_explained_by_their_tokens(name: str, method: str) -> None:
    heat = cam.heat_maps(transformer(name), seeded_images(2), method=method)
    assert heat.shape == (2, 64, 64)
    assert (heat >= 0).all()
    assert heat.any()


def test_tokens_lie_where_their_patches_are() -> None:
    """A change of one patch of 16 px changes the token there most: the class token is not taken for a patch."""
    network, images = transformer("vit_tiny_patch16_224"), torch.zeros(2, 3, 64, 64)
    images[1, :, 16:32, 32:48] = 3.0
    layer, as_map = cam._last_map(network, images)
    seen: list[Tensor] = []
    hook = layer.register_forward_hook(lambda _, __, output: seen.append(as_map(output)))
    with torch.no_grad():
        network(images)
    hook.remove()
    change = (seen[0][1] - seen[0][0]).norm(dim=0)
    assert change.shape == (4, 4)
    assert divmod(int(change.argmax()), 4) == (1, 2)


def test_the_exact_map_of_swin_adds_up_and_a_class_token_has_none() -> None:
    network, images = transformer("swin_tiny_patch4_window7_224"), seeded_images()
    with torch.no_grad():
        exact, logits, bias = cam.class_activation_map(network, images), network(images), network.get_classifier().bias
    torch.testing.assert_close(exact.mean((1, 2)) + bias[AI] - bias[REAL], logits[:, AI] - logits[:, REAL])
    with pytest.raises(ValueError, match="no exact map"):
        cam.class_activation_map(transformer("vit_tiny_patch16_224"), images)


def test_a_network_without_map_and_tokens_is_one_clear_error() -> None:
    class Flat(RedSpeaksForAI):
        def forward_features(self, x: Tensor) -> Tensor:
            return super().forward_features(x).mean((2, 3))

    with pytest.raises(cam.NoFeatureMap, match="neither a map nor tokens in a grid"):
        cam.heat_maps(Flat(), seeded_images(1))


def test_a_named_layer_is_explained_instead() -> None:
    network, images = rexnet(), seeded_images()
    heat = cam.heat_maps(network, images, layer=network.features[4])
    assert heat.shape == (3, 64, 64)
    assert correlation(heat, cam.heat_maps(network, images)) < 0.99
    with pytest.raises(ValueError, match="no forward_features"):
        cam.heat_maps(nn.Sequential(nn.Conv2d(3, 2, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()), images)


def test_a_later_change_in_place_does_not_reach_the_explained_layer() -> None:
    maps = []
    for in_place in (False, True):
        torch.manual_seed(0)
        layer = nn.Conv2d(3, 4, 3)
        network = nn.Sequential(layer, nn.ReLU(in_place), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
        maps.append(cam.heat_maps(network.eval(), seeded_images(), layer=layer))
    assert maps[0].any()
    np.testing.assert_allclose(maps[1], maps[0], atol=ATOL)


@pytest.mark.parametrize("targets", [2, -1, [AI, REAL, 2]])
def test_a_target_out_of_range_is_an_error(targets: Any) -> None:
    with pytest.raises(ValueError, match=r"the network has 2 classes, expected 0 to 1"):
        cam.heat_maps(rexnet(), seeded_images(), targets)


def test_other_impossible_requests_are_errors() -> None:
    network, images = rexnet(), seeded_images()
    with pytest.raises(ValueError, match="2 targets for 3 images"):
        cam.heat_maps(network, images, [AI, REAL])
    with pytest.raises(ValueError, match="expected one of gradcam, "):
        cam.heat_maps(network, images, method="grad-cam")
    with pytest.raises(ValueError, match=r"target=2: expected 0 \(real\) or 1 \(AI\)"):
        cam.class_activation_map(network, images, 2)
    with pytest.raises(ValueError, match="no exact map"):
        cam.class_activation_map(ReXNet(width=0.25, num_classes=3), images)
    with pytest.raises(ValueError, match="no exact map"):
        cam.class_activation_map(ReXNet(width=0.5, lite=True), images)
    with pytest.raises(ValueError, match="no exact map"):
        cam.class_activation_map(RedSpeaksForAI(), images)  # has no get_classifier


def test_scaling_is_by_each_image_or_shared_and_keeps_empty_maps_empty() -> None:
    maps = np.zeros((3, 4, 4), dtype=np.float32)
    maps[0, 0, 0], maps[0, 1, 1], maps[1, 2, 2] = 2.0, 1.0, 8.0
    own, shared = cam.scaled(maps), cam.scaled(maps, shared=True)
    np.testing.assert_array_equal(own.max((1, 2)), [1, 1, 0])
    np.testing.assert_array_equal(shared.max((1, 2)), [0.25, 1, 0])
    assert own[0, 1, 1] == 0.5
    assert maps.max() == 8


def predictions(count: int = 40) -> pd.DataFrame:
    generator = np.random.default_rng(3)
    logit = generator.normal(0, 2, count).round(1)  # rounded, so that some are equal
    label = (logit + generator.normal(0, 2, count) > 0).astype(int)
    paths = [f"{i:02}.png" for i in range(count)]
    probability = 1 / (1 + np.exp(-logit))
    return pd.DataFrame({"path": paths, "label": label, "split": "test", "logit": logit, "probability": probability})


def test_the_panel_shows_the_most_confident_right_and_wrong_ones_in_any_order_of_rows() -> None:
    rows = predictions()
    chosen = shown_rows(rows)
    pd.testing.assert_frame_equal(chosen, shown_rows(rows.sample(frac=1, random_state=1)))
    correct = (chosen["logit"] > 0) == (chosen["label"] == 1)
    assert correct.tolist() == [True] * 4 + [False] * 4
    assert chosen["label"].tolist()[:4] == [REAL, REAL, AI, AI]
    everyone_wrong = rows[(rows["logit"] > 0) != (rows["label"] == 1)]
    assert chosen["logit"].abs()[4:].tolist() == sorted(everyone_wrong["logit"].abs(), reverse=True)[:4]
    assert shown_rows(rows[:0]).empty


def test_a_panel_is_drawn_from_files_as_the_network_sees_them(tmp_path: Path) -> None:
    rows = predictions(12)
    generator = np.random.default_rng(0)
    for name in rows["path"]:
        Image.fromarray(generator.integers(0, 255, (40, 60, 3), dtype=np.uint8)).save(tmp_path / name)
    preprocessing = Preprocessing(64, "squash", "bilinear", (0.5, 0.4, 0.3), (0.2, 0.2, 0.3))
    figure = cam_panel(rexnet(), tmp_path, rows, preprocessing)
    chosen = shown_rows(rows)
    titles = [axes.get_title() for axes in figure.axes if axes.get_title()]
    assert len(titles) == len(chosen)
    with Image.open(tmp_path / chosen["path"].iloc[0]) as image:
        seen = np.asarray(image.resize((64, 64), Image.Resampling.BILINEAR), dtype=np.float32) / 255
    np.testing.assert_allclose(np.asarray(figure.axes[0].images[0].get_array()), seen, atol=0.01)
