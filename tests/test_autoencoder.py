"""FLUX.2's tiny autoencoder: its layers by name, and what comes back of real photographs."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from rexnet_ai_real.models import autoencoder
from rexnet_ai_real.models.autoencoder import FILE, PARTS, TinyAutoencoder, load_autoencoder
from rexnet_ai_real.models.saved import MissingWeightsError, WeightsError


@pytest.fixture
def network() -> TinyAutoencoder:
    torch.manual_seed(0)
    return TinyAutoencoder().eval()


def save_parts(network: TinyAutoencoder, folder: Path) -> Path:
    for name, part in zip(PARTS, (network.encoder, network.decoder), strict=True):
        torch.save({key: tensor.half() for key, tensor in part.state_dict().items()}, folder / name)
    return folder


def test_layers_are_numbered_as_in_the_published_files(network: TinyAutoencoder) -> None:
    encoder, decoder = network.encoder.state_dict(), network.decoder.state_dict()
    assert {key.split(".")[0] for key in encoder} == {str(number) for number in range(15)}
    assert {key.split(".")[0] for key in decoder} == {*"134578", "9", "10", "12", "13", "14", "15", "17", "18", "19"}
    assert [int(key.split(".")[0]) for key in encoder if key.endswith("pool.1.bias")] == [11, 12, 13]
    assert [int(key.split(".")[0]) for key in decoder if key.endswith("pool.1.bias")] == [3, 4, 5]
    assert sum(tensor.numel() for tensor in encoder.values()) == 1_338_528
    assert sum(tensor.numel() for tensor in decoder.values()) == 1_338_499


def test_shapes_and_range(network: TinyAutoencoder) -> None:
    images = torch.rand(2, 3, 16, 24)
    with torch.inference_mode():
        assert network.encoder(images).shape == (2, 32, 2, 3)
        found = network(images)
    assert found.shape == images.shape
    assert found.min() >= 0
    assert found.max() <= 1


def test_both_forms_of_the_weights_are_read(network: TinyAutoencoder, tmp_path: Path) -> None:
    parts = tmp_path / "parts"
    parts.mkdir()
    save_parts(network, parts)
    renamed = {f"encoder.layers.{key}": tensor for key, tensor in network.encoder.state_dict().items()}
    for key, tensor in network.decoder.state_dict().items():
        number, _, rest = key.partition(".")
        renamed[f"decoder.layers.{int(number) - 1}.{rest}"] = tensor
    save_file(renamed, tmp_path / FILE)
    images = torch.rand(1, 3, 16, 16)
    with torch.inference_mode():
        expected = network(images)
        assert torch.equal(load_autoencoder(tmp_path)(images), expected)
        assert torch.equal(load_autoencoder(str(tmp_path / FILE))(images), expected)
        torch.testing.assert_close(load_autoencoder(parts)(images), expected, atol=2e-3, rtol=0)  # half precision


def test_what_cannot_be_used_is_one_sentence(
    network: TinyAutoencoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(MissingWeightsError, match=r"neither taef2\.safetensors nor taef2_encoder\.pth and taef2_dec"):
        load_autoencoder(tmp_path)
    with pytest.raises(MissingWeightsError, match=r"no autoencoder at .*data\.pairs\.weights=FOLDER"):
        load_autoencoder(tmp_path / "nothing")
    save_file({"weight": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(WeightsError, match="something else than FLUX"):
        load_autoencoder(tmp_path / "other.safetensors")

    def offline(*_: object) -> None:
        raise ConnectionError("no route\nto host")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", offline)
    with pytest.raises(WeightsError, match=r"cannot be fetched .*\(no route to host\): give data\.pairs\.weights"):
        load_autoencoder(None)
    monkeypatch.setattr("huggingface_hub.hf_hub_download", lambda *_: str(tmp_path / FILE))
    with pytest.raises(MissingWeightsError):
        autoencoder.load_autoencoder(None)


def test_a_photograph_comes_back(shared: Path) -> None:
    if not (shared / "weights" / PARTS[0]).is_file():
        pytest.skip("the autoencoder's weights are not there")
    network = load_autoencoder(shared / "weights")
    photographs = sorted((shared / "data" / "wild").glob("*/real/*.jpg"))[::160]
    found = []
    for path in photographs:
        image = Image.open(path).convert("RGB").crop((40, 40, 200, 200))
        pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None] / 255
        with torch.inference_mode():
            found.append(float(-10 * (network(pixels) - pixels).square().mean().log10()))
    assert min(found) > 27, found  # dB
