"""Weights from files in every layout, and what is refused with which message."""

import os
import pickle
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from rexnet_ai_real.detector.storage import StoredDetector, write_detector
from rexnet_ai_real.images.preprocessing import Preprocessing
from rexnet_ai_real.models import (
    ReXNet,
    build,
    load_imagenet,
    load_pretrained,
    load_weights,
    pretrained,
    to_timm_layout,
)

PREPROCESSING = Preprocessing(32, "squash", "bilinear", (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Images this small take 40 times as long where two threads wait for each other on a busy processor."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


class AuthorsBlock(nn.Module):
    """A block with its layers numbered as in the authors' published files, for a network of the given shape."""

    def __init__(self, inputs: int, outputs: int, expand: int, stride: int, squeeze: bool, lite: bool) -> None:
        """`expand`: the factor of the 1x1 convolution in front, which a factor of 1 leaves out."""
        super().__init__()
        inner = inputs * expand
        layers: list[nn.Module] = []
        if expand > 1:
            layers += [*_conv(inputs, inner), nn.ReLU6() if lite else nn.SiLU()]
        layers += _conv(inner, inner, 3, stride, inner)
        if squeeze:
            layers.append(AuthorsSqueeze(inner))
        self.out = nn.Sequential(*layers, nn.ReLU6(), *_conv(inner, outputs))
        self.shortcut = inputs if stride == 1 and inputs <= outputs else 0

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.out(x)
        return torch.cat([y[:, : self.shortcut] + x, y[:, self.shortcut :]], 1) if self.shortcut else y


class AuthorsSqueeze(nn.Module):
    """The gate within a block."""

    def __init__(self, channels: int) -> None:
        """A twelfth of the channels, rounded down, in the hidden layer."""
        super().__init__()
        hidden = channels // 12
        self.fc = nn.Sequential(
            nn.Conv2d(channels, hidden, 1),
            nn.BatchNorm2d(hidden),
            nn.ReLU(),
            nn.Conv2d(hidden, channels, 1),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        gate: Tensor = self.fc(x.mean((2, 3), keepdim=True))
        return x * gate


class AuthorsNetwork(nn.Module):
    """Width 1.0, its channels written out."""

    def __init__(self, lite: bool) -> None:
        """Five classes."""
        super().__init__()
        full = [32, 16, 27, 38, 50, 61, 72, 84, 95, 106, 117, 128, 140, 151, 162, 174, 185]
        small = [32, 16, 32, 40, 48, 64, 72, 80, 96, 104, 112, 128, 136, 144, 160, 168, 184]
        widths = small if lite else full
        layers: list[nn.Module] = [*_conv(3, 32, 3, 2), nn.ReLU6() if lite else nn.SiLU()]
        for i, (inputs, outputs) in enumerate(pairwise(widths)):
            stride = 2 if i in (1, 3, 5, 11) else 1
            layers.append(AuthorsBlock(inputs, outputs, 6 if i else 1, stride, i >= 3 and not lite, lite))
        layers += [*_conv(widths[-1], 1280), nn.ReLU6() if lite else nn.SiLU(), nn.AdaptiveAvgPool2d(1)]
        self.features = nn.Sequential(*layers)
        last: list[nn.Module] = [nn.Dropout(0.2), nn.Conv2d(1280, 5, 1)]
        if lite:
            last = [nn.Conv2d(1280, 1024, 1), nn.BatchNorm2d(1024), nn.ReLU6(), nn.Dropout(0.2), nn.Conv2d(1024, 5, 1)]
        self.output = nn.Sequential(*last)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.output(self.features(x))
        return logits.flatten(1)


def _conv(inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
    return [conv, nn.BatchNorm2d(outputs)]


def warmed(model: nn.Module) -> nn.Module:
    """One pass in training mode, so that the batch norms' statistics are no longer the initial ones."""
    torch.manual_seed(0)
    model.train()(torch.randn(4, 3, 32, 32))
    return model.eval()


@pytest.mark.parametrize("lite", [False, True])
def test_reads_the_authors_layout(tmp_path: Path, lite: bool) -> None:
    theirs = warmed(AuthorsNetwork(lite))
    torch.save(theirs.state_dict(), tmp_path / "rexnetv1.pth")
    ours = ReXNet(num_classes=5, lite=lite).eval()
    loaded = load_weights(ours, tmp_path / "rexnetv1.pth")
    assert (loaded.layout, loaded.head, loaded.tensors) == ("clovaai", True, len(theirs.state_dict()))
    x = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(ours(x), theirs(x), rtol=0, atol=1e-5)
    for mine, original in zip(ours.state_dict().values(), theirs.state_dict().values(), strict=True):
        torch.testing.assert_close(mine.reshape(original.shape), original)  # their last layer is a 1x1 convolution


@pytest.fixture(scope="module")
def donor() -> nn.Module:
    return warmed(timm.create_model("rexnet_100", num_classes=5))


def _prefixed(state: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {prefix + key: tensor for key, tensor in state.items()}


@pytest.mark.parametrize(
    "write",
    [
        lambda state, path: save_file(state, path),
        lambda state, path: torch.save(state, path),
        lambda state, path: torch.save(state, path, _use_new_zipfile_serialization=False),
        lambda state, path: torch.save({"epoch": 3, "state_dict": state}, path),
        lambda state, path: torch.save({"model": _prefixed(state, "module.")}, path),
        lambda state, path: torch.save(
            {"state_dict": _prefixed(state, "network._orig_mod.") | {"train_metrics.total": torch.ones(1)}}, path
        ),
    ],
    ids=["safetensors", "zip", "legacy", "nested", "DataParallel", "Lightning, compiled"],
)
def test_every_container_gives_timms_weights(
    tmp_path: Path, donor: nn.Module, write: Callable[[dict[str, Tensor], Path], None]
) -> None:
    write(dict(donor.state_dict()), tmp_path / "weights.bin")
    model = ReXNet(num_classes=5)
    loaded = load_pretrained(model, "rexnet_100", str(tmp_path / "weights.bin"))
    assert (loaded.tensors, loaded.head, loaded.layout) == (413, True, "timm")
    for key, tensor in to_timm_layout(model).items():
        torch.testing.assert_close(tensor, donor.state_dict()[key])


@pytest.fixture
def ensemble(tmp_path: Path) -> Path:
    """A saved detector of two networks, the second with other weights."""
    folder = tmp_path / "exported"
    architecture: dict[str, Any] = {"name": "rexnet_100", "width": 0.25}
    states = [build(**architecture).state_dict() for _ in range(2)]
    write_detector(folder, StoredDetector.of(states, architecture, PREPROCESSING, {}))
    return folder


def first_layer(model: nn.Module) -> Tensor:
    weight: Tensor = model.state_dict()["stem.conv.weight"]
    return weight


@pytest.mark.parametrize("name", ["exported", "exported/model.safetensors"])
def test_a_saved_detector_starts_a_training(ensemble: Path, name: str) -> None:
    tensors = load_file(ensemble / "model.safetensors")
    one = {key: tensor for key, tensor in tensors.items() if key.startswith("0.")}
    save_file(one, ensemble / "model.safetensors")
    model = ReXNet(width=0.25)
    loaded = load_pretrained(model, "rexnet_100", str(ensemble.parent / name))
    assert (loaded.tensors, loaded.head) == (len(one), True)
    assert torch.equal(first_layer(model), tensors["0.stem.conv.weight"])


@pytest.mark.parametrize("name", ["exported", "exported/model.safetensors"])
def test_of_an_ensemble_one_network_is_chosen(ensemble: Path, name: str) -> None:
    tensors = load_file(ensemble / "model.safetensors")
    model, path = ReXNet(width=0.25), f"{ensemble.parent / name}"
    with pytest.raises(
        ValueError, match=r"holds 2 networks of an ensemble, @0 to @1: choose one, such as model\.weights=.*@0"
    ):
        load_weights(model, path)
    for number in (0, 1):
        load_weights(model, f"{path}@{number}")
        assert torch.equal(first_layer(model), tensors[f"{number}.stem.conv.weight"])
    with pytest.raises(ValueError, match=r"@2: its networks are @0 to @1"):
        load_weights(model, f"{path}@2")


def test_a_run_and_its_checkpoint_start_a_training(tmp_path: Path, donor: nn.Module) -> None:
    best = tmp_path / "runs" / "0" / "checkpoints" / "best.ckpt"
    best.parent.mkdir(parents=True)
    torch.save({"state_dict": _prefixed(dict(donor.state_dict()), "network.")}, best)
    for path in (best, tmp_path / "runs" / "0"):
        model = ReXNet(num_classes=5)
        assert load_weights(model, path).head
        assert torch.equal(first_layer(model), first_layer(donor))
    with pytest.raises(ValueError, match=r"holds 1 runs: choose one with model\.weights=.*runs/0"):
        load_weights(ReXNet(), tmp_path / "runs")
    with pytest.raises(ValueError, match=r"only a saved detector has networks with numbers; leave @0 out"):
        load_weights(ReXNet(), f"{best}@0")


def test_folders_without_weights_say_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"holds neither model\.safetensors nor checkpoints/best\.ckpt"):
        load_weights(ReXNet(), tmp_path)
    (tmp_path / "detector.json").touch()
    with pytest.raises(
        FileNotFoundError, match=r"without model\.safetensors: export it again with --formats safetensors"
    ):
        load_weights(ReXNet(), tmp_path)
    with pytest.raises(FileNotFoundError, match=r"no weights at .*nowhere"):
        load_weights(ReXNet(), f"{tmp_path / 'nowhere'}@1")


def test_keeps_its_own_head_where_class_counts_differ_or_the_file_has_none(tmp_path: Path, donor: nn.Module) -> None:
    headless = {key: tensor for key, tensor in donor.state_dict().items() if not key.startswith("head")}
    for state in (dict(donor.state_dict()), headless):
        save_file(state, tmp_path / "weights.safetensors")
        model = ReXNet(num_classes=2)
        before = model.head.fc.weight.clone()
        loaded = load_weights(model, tmp_path / "weights.safetensors")
        assert (loaded.tensors, loaded.head) == (411, False)
        torch.testing.assert_close(model.head.fc.weight, before)
        torch.testing.assert_close(model.stem.conv.weight, donor.state_dict()["stem.conv.weight"])


def test_a_timm_backbone_takes_its_own_weights_without_the_head(tmp_path: Path) -> None:
    theirs = timm.create_model("mobilenetv3_small_050", num_classes=5)
    torch.save(theirs.state_dict(), tmp_path / "weights.pth")
    model = timm.create_model("mobilenetv3_small_050", num_classes=2)
    assert not load_weights(model, tmp_path / "weights.pth").head
    torch.testing.assert_close(model.state_dict()["conv_stem.weight"], theirs.state_dict()["conv_stem.weight"])


def test_a_wrong_file_says_what_does_not_fit_and_leaves_the_model_alone(tmp_path: Path, donor: nn.Module) -> None:
    save_file(donor.state_dict(), tmp_path / "weights.safetensors")
    model = ReXNet(width=0.5)
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    with pytest.raises(
        ValueError, match=r"of another shape: .*\(file 27x96x1x1, model 22x96x1x1\).*set model.name=rexnet_100"
    ):
        load_weights(model, tmp_path / "weights.safetensors")
    save_file({"stem.conv.weight": torch.ones(32, 3, 3, 3), "extra": torch.ones(1)}, tmp_path / "weights.safetensors")
    with pytest.raises(ValueError, match=r"\d+ tensors missing: stem\.bn\.weight.*; 1 tensors unknown: extra"):
        load_weights(model, tmp_path / "weights.safetensors")
    for key, tensor in model.state_dict().items():
        torch.testing.assert_close(tensor, before[key])


def test_weights_of_a_failed_training_are_refused(tmp_path: Path, donor: nn.Module) -> None:
    state = {key: tensor.clone() for key, tensor in donor.state_dict().items()}
    state["stem.bn.running_var"][3] = float("nan")
    save_file(state, tmp_path / "weights.safetensors")
    with pytest.raises(ValueError, match=r"NaN or infinity in stem\.bn\.running_var"):
        load_weights(ReXNet(), tmp_path / "weights.safetensors")


class Trap:
    """Runs a command when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        """`mark`: the file whose presence shows that the command ran."""
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch '{self.mark}'",)


@pytest.mark.parametrize("how", ["torch", "pickle", "beside the weights"])
def test_code_in_a_file_is_named_and_never_run(tmp_path: Path, how: str) -> None:
    trap, path = Trap(tmp_path / "mark"), tmp_path / "weights.pth"
    if how == "pickle":
        path.write_bytes(pickle.dumps(trap, protocol=2))
    else:
        torch.save(trap if how == "torch" else {"state_dict": {"a": torch.ones(1)}, "extra": trap}, path)
    with pytest.raises(ValueError, match=r"was not opened: it asks to run .*system"):
        load_weights(ReXNet(), path)
    assert not trap.mark.exists()


@pytest.mark.parametrize(
    "content", [b"", b"PK\x03\x04", b"hello, no weights here", b"\x05\0\0\0\0\0\0\0{oops", b"\x80\x02}."]
)
def test_damaged_files_are_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "weights.pth").write_bytes(content)
    with pytest.raises(ValueError, match=r"weights\.pth"):
        load_weights(ReXNet(), tmp_path / "weights.pth")


def test_a_list_and_an_absent_file_are_named(tmp_path: Path) -> None:
    torch.save([torch.ones(1)], tmp_path / "list.pth")
    with pytest.raises(ValueError, match="holds no state dict"):
        load_weights(ReXNet(), tmp_path / "list.pth")
    with pytest.raises(FileNotFoundError, match=r"no weights at .*none\.pth.*model\.weights=null"):
        load_weights(ReXNet(), tmp_path / "none.pth")


@pytest.mark.parametrize("name", ["rexnet_100", "mobilenetv3_small_050"])
def test_imagenet_weights_come_through_timm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    published = timm.create_model(name)
    save_file(published.state_dict(), tmp_path / "model.safetensors")
    monkeypatch.setattr(pretrained, "_fetch", lambda page: tmp_path / "model.safetensors")
    model = ReXNet() if name == "rexnet_100" else timm.create_model(name, num_classes=2)
    loaded = load_pretrained(model, name, "imagenet")
    assert not loaded.head
    assert loaded.source.startswith(f"timm/{name}")
    first = next(iter(published.state_dict()))
    torch.testing.assert_close(model.state_dict()[first], published.state_dict()[first])


def test_without_a_network_the_page_to_fetch_by_hand_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *_: None)
    with pytest.raises(ConnectionError, match=r"/timm/rexnet_150\.nav_in1k .*by hand.*model\.weights=PATH"):
        load_imagenet(ReXNet(width=1.5), "rexnet_150")


@pytest.mark.parametrize("name", ["rexnetr_100", "rexnet_lite_100", "nothing"])
def test_names_without_published_weights_are_listed(name: str) -> None:
    with pytest.raises(ValueError, match=f"none are published for {name}, but for rexnet_100"):
        load_imagenet(ReXNet(), name)


def test_a_lite_model_has_no_timm_layout() -> None:
    with pytest.raises(ValueError, match="lite"):
        to_timm_layout(ReXNet(lite=True))


def test_the_real_weights_give_timms_logits(shared_weights: Path) -> None:
    ours, theirs = ReXNet(num_classes=41).eval(), timm.create_model("rexnet_100", num_classes=41).eval()
    assert load_weights(ours, shared_weights).head
    timm.models.load_checkpoint(theirs, str(shared_weights))
    x = torch.randn(2, 3, 96, 96, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        torch.testing.assert_close(ours(x), theirs(x), rtol=0, atol=1e-5)
