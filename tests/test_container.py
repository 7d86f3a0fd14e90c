"""File facts against what Pillow was told to write, and on files that are no images."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageCms, PngImagePlugin

from rexnet_ai_real.evaluate.audits.container import ContainerFacts, container_facts, read_containers


def drawn(width: int = 48, height: int = 32) -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def saved(folder: Path, name: str, image: Image.Image | None = None, **options: object) -> ContainerFacts:
    path = folder / name
    (image or drawn()).save(path, **options)  # type: ignore[arg-type]
    return container_facts(path)


@pytest.mark.parametrize("quality", [1, 10, 30, 49, 50, 51, 75, 90, 92, 95, 99, 100])
def test_quality_is_the_one_pillow_was_given(tmp_path: Path, quality: int) -> None:
    facts = saved(tmp_path, "a.jpg", quality=quality)
    assert (facts.jpeg_quality, facts.standard_tables) == (quality, True)


def test_tables_of_another_encoder_are_told_from_libjpegs(tmp_path: Path) -> None:
    facts = saved(tmp_path, "a.jpg", qtables=[[7] * 64, [9] * 64])
    assert facts.standard_tables is False
    assert (facts.luma_step, facts.chroma_step) == (7, 9)
    assert facts.tables != saved(tmp_path, "b.jpg", quality=90).tables


@pytest.mark.parametrize("sampling", ["4:4:4", "4:2:2", "4:2:0"])
@pytest.mark.parametrize("progressive", [False, True])
def test_coding_of_a_jpeg(tmp_path: Path, sampling: str, progressive: bool) -> None:
    facts = saved(tmp_path, "a.jpg", subsampling=sampling, progressive=progressive)
    assert (facts.subsampling, facts.progressive) == (sampling, progressive)
    assert (facts.width, facts.height, facts.mode, facts.bit_depth) == (48, 32, "RGB", 8)


def test_grey_jpeg_has_no_chroma(tmp_path: Path) -> None:
    facts = saved(tmp_path, "a.jpg", drawn().convert("L"))
    assert (facts.subsampling, facts.chroma_step, facts.mode) == ("grey", None, "L")


def test_size_is_as_shown_and_ratios_follow(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    facts = saved(tmp_path, "a.jpg", exif=exif)
    assert (facts.width, facts.height, facts.exif, facts.software) == (32, 48, True, False)
    size = (tmp_path / "a.jpg").stat().st_size
    assert facts.bytes == size
    assert facts.bytes_per_pixel == pytest.approx(size / 48 / 32)
    assert facts.aspect == pytest.approx(32 / 48)
    assert facts.megapixels == pytest.approx(48 * 32 / 1e6)


def test_metadata_is_seen(tmp_path: Path) -> None:
    plain = saved(tmp_path, "plain.jpg")
    assert (plain.exif, plain.icc, plain.software) == (False, False, False)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert saved(tmp_path, "icc.jpg", icc_profile=profile).icc is True
    assert saved(tmp_path, "comment.jpg", comment="made by a machine").software is True
    exif = Image.Exif()
    exif[ExifTags.Base.Software] = "Camera 1.0"
    assert saved(tmp_path, "exif.jpg", exif=exif).software is True
    text = PngImagePlugin.PngInfo()
    text.add_text("parameters", "a cat, steps: 20")
    assert saved(tmp_path, "text.png", pnginfo=text).software is True
    assert saved(tmp_path, "plain.png").software is False


def test_container_is_told_by_content(tmp_path: Path) -> None:
    lying = saved(tmp_path, "a.jpg", format="PNG")
    assert (lying.container, lying.extension, lying.lying_extension) == ("PNG", ".jpg", True)
    honest = saved(tmp_path, "b.JPEG", format="JPEG")
    assert (honest.container, honest.extension, honest.lying_extension) == ("JPEG", ".jpeg", False)
    without = saved(tmp_path, "c", format="WEBP")
    assert (without.container, without.extension, without.lying_extension) == ("WEBP", "", False)


def test_several_images_in_one_jpeg_are_a_jpeg(tmp_path: Path) -> None:
    facts = saved(tmp_path, "a.jpg", format="MPO", save_all=True, append_images=[drawn()], quality=80)
    assert (facts.container, facts.lying_extension, facts.jpeg_quality) == ("JPEG", False, 80)


def test_bit_depth_of_png(tmp_path: Path) -> None:
    assert saved(tmp_path, "a.png", Image.fromarray(np.zeros((4, 4), dtype=np.uint16))).bit_depth == 16
    assert saved(tmp_path, "b.png", drawn().quantize(4)).bit_depth == 2
    assert saved(tmp_path, "c.png").bit_depth == 8


def test_odd_files_are_reported(tmp_path: Path) -> None:
    odd = {"empty.jpg": b"", "text.png": b"hello", "head.jpg": b"\xff\xd8\xff\xe0\x00", "sig.png": b"\x89PNG\r\n\x1a\n"}
    # A PNG header that claims 100,000 x 100,000 pixels.
    (tmp_path / "whole.png").write_bytes(b"")
    drawn().save(tmp_path / "whole.png")
    whole = bytearray((tmp_path / "whole.png").read_bytes())
    whole[16:24] = (100_000).to_bytes(4, "big") * 2
    odd["bomb.png"] = bytes(whole)
    for name, content in odd.items():
        (tmp_path / name).write_bytes(content)
        facts = container_facts(tmp_path / name)
        assert facts.problem, name
        assert facts.container is None
        assert facts.bytes == len(content)


def test_what_is_no_file_is_reported(tmp_path: Path) -> None:
    (tmp_path / "folder.jpg").mkdir()
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "loop.jpg").symlink_to(tmp_path / "loop.jpg")
    names = ["folder.jpg", "pipe.jpg", "loop.jpg", "absent.jpg"]
    found = read_containers([tmp_path / name for name in names], progress=False)
    assert all(facts.problem for facts in found)


def test_pixels_are_not_needed(tmp_path: Path) -> None:
    """A file cut off in the middle of its pixels has all its facts."""
    whole = saved(tmp_path, "a.png")
    content = (tmp_path / "a.png").read_bytes()
    (tmp_path / "b.png").write_bytes(content[: len(content) // 2])
    cut = container_facts(tmp_path / "b.png")
    assert (cut.width, cut.height, cut.mode, cut.problem) == (whole.width, whole.height, whole.mode, None)


def test_real_files(shared_data: Path) -> None:
    paths = sorted(path for path in (shared_data / "kaggle-raw").rglob("*") if path.is_file())
    found = read_containers(paths, progress=False)
    assert len(found) == 112
    assert not [facts for facts in found if facts.problem]
    assert sum(facts.container == "PNG" for facts in found) == 18
    # By the file command's signatures: 12 names end in one format while the bytes begin with another's.
    signatures = {
        ".jpg": b"\xff\xd8\xff",
        ".jpeg": b"\xff\xd8\xff",
        ".png": b"\x89PNG",
        ".webp": b"RIFF",
        ".gif": b"GIF8",
    }
    lies = [path.suffix != "" and not path.read_bytes().startswith(signatures[path.suffix.lower()]) for path in paths]
    assert [facts.lying_extension for facts in found] == lies
    assert sum(lies) == 12
