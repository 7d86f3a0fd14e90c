"""Evidence in metadata that Pillow wrote, signed histories that c2pa-python wrote, and files made to do harm."""

import datetime
import io
import json
import random
import struct
import sys
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import ExifTags, Image, PngImagePlugin

from rexnet_ai_real.provenance import CAVEAT, Evidence, Provenance, read_provenance
from rexnet_ai_real.provenance.block import MAX_BLOCK_BYTES
from rexnet_ai_real.provenance.containers import blocks
from rexnet_ai_real.provenance.exif import TEXTS, read_directory
from rexnet_ai_real.provenance.iptc import SOURCE_TYPES

WEB_UI = (
    "a cat on a roof\nNegative prompt: blurry\n"
    "Steps: 20, Sampler: DPM++ 2M, CFG scale: 7, Seed: 1, Size: 512x512, Model: sd15"
)
COMFY = json.dumps({"3": {"class_type": "KSampler", "inputs": {"seed": 1, "steps": 20}}})
TRAINED = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"


def encoded(kind: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.effect_noise((32, 24), 60).convert("RGB").save(buffer, kind, **options)
    return buffer.getvalue()


def png(compressed: bool = False, international: bool = False, /, **texts: str) -> bytes:
    info = PngImagePlugin.PngInfo()
    for key, text in texts.items():
        if international:
            info.add_itxt(key, text, zip=compressed)
        else:
            info.add_text(key, text, zip=compressed)
    return encoded(pnginfo=info)


def exif_of(**tags: str | bytes) -> Image.Exif:
    exif = Image.Exif()
    for name, value in tags.items():
        if name == "UserComment":
            exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.UserComment] = value
        else:
            exif[ExifTags.Base[name]] = value
    return exif


def packet(properties: str, attributes: str = "") -> bytes:
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
        '<r:RDF xmlns:r="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><r:Description r:about="" '
        'xmlns:i="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" xmlns:p="http://ns.adobe.com/photoshop/1.0/" '
        'xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:dc="http://purl.org/dc/elements/1.1/" '
        'xmlns:xmpMM="http://ns.adobe.com/xap/1.0/mm/" xmlns:e="http://ns.adobe.com/xap/1.0/sType/ResourceEvent#" '
        f'{attributes}>{properties}</r:Description></r:RDF></x:xmpmeta><?xpacket end="w"?>'
    ).encode()


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def with_chunks(*chunks: bytes) -> bytes:
    """A PNG with chunks put behind its header."""
    plain = encoded()
    return plain[:33] + b"".join(chunks) + plain[33:]


def with_segment(marker: int, body: bytes) -> bytes:
    plain = encoded("JPEG")
    return plain[:2] + bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body + plain[2:]


def only(found: Provenance) -> Evidence:
    assert found.problem is None
    assert len(found.evidence) == 1, found.evidence
    return found.evidence[0]


@pytest.mark.parametrize(
    ("key", "text", "program"),
    [
        ("parameters", WEB_UI, "Stable Diffusion web UI"),
        ("prompt", COMFY, "ComfyUI"),
        ("workflow", json.dumps({"last_node_id": 9, "nodes": [], "links": []}), "ComfyUI"),
        ("invokeai_metadata", json.dumps({"app_version": "4.2", "positive_prompt": "a cat"}), "InvokeAI"),
        ("sd-metadata", json.dumps({"model": "stable diffusion", "image": {"prompt": "a cat"}}), "InvokeAI"),
        ("Dream", '"a cat" -s 50 -S 1', "InvokeAI"),
        ("parameters", json.dumps({"sui_image_params": {"prompt": "a cat"}}), "SwarmUI"),
        ("parameters", json.dumps({"base_model": "juggernaut", "performance": "Speed", "prompt": "a cat"}), "Fooocus"),
        ("Comment", json.dumps({"prompt": "a cat", "steps": 28, "sampler": "k", "seed": 1, "uc": ""}), "NovelAI"),
        ("Title", "NovelAI generated image", "NovelAI"),
        ("Description", "a cat --ar 16:9 --v 6 Job ID: 8d1b4c2e-0a3f-4b5c-9d6e-7f8091a2b3c4", "Midjourney"),
        ("Description", "a cat --v 5.2 --stylize 100", "Midjourney"),
        ("generation_data", json.dumps({"baseModel": {}}), "Tensor.Art"),
    ],
)
@pytest.mark.parametrize("compressed", [False, True])
def test_parameters_in_png(key: str, text: str, program: str, compressed: bool) -> None:
    for international in (False, True):
        found = read_provenance(png(compressed, international, **{key: text}))
        item = only(found)
        assert (item.kind, item.field, item.says, item.program) == ("parameters", key, "ai", program)
        assert item.where == ("PNG iTXt" if international else "PNG zTXt" if compressed else "PNG tEXt")
        assert found.says == "ai"
        assert program in found.verdict


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("prompt", "say cheese"),
        ("parameters", "exposure and aperture"),
        ("workflow", '{"steps": ["scan", "crop"]}'),
        ("Description", "Steps: 20 to the lighthouse"),
        ("Description", "a firefly; una imagen 3"),
        ("Title", "ChatGPT's logo on a telephone, photographed"),
        ("Comment", "{" * 5000),
        ("Comment", "[" * 200_000),
        ("Author", "Ansel Adams"),
        ("unheard of", "stable diffusion"),
    ],
)
def test_other_texts_are_no_evidence(key: str, text: str) -> None:
    found = read_provenance(png(**{key: text}))
    assert found == Provenance()
    assert found.says is None
    assert found.verdict == "no provenance metadata (it may have been removed)"


@pytest.mark.parametrize(
    ("software", "says", "program"),
    [
        ("Midjourney", "ai", "Midjourney"),
        ("NovelAI", "ai", "NovelAI"),
        ("Adobe Firefly 3.0", "ai", "Adobe Firefly"),
        ("DALL-E 3", "ai", "OpenAI"),
        ("Adobe Photoshop 25.0 (Windows)", "edited", "Adobe Photoshop"),
        ("Adobe Photoshop Lightroom Classic 11.1", "edited", "Adobe Lightroom"),
        ("GIMP 2.10.34", "edited", "GIMP"),
        ("Ver.1.00", "unknown", None),
    ],
)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_software_in_exif(kind: str, software: str, says: str, program: str | None) -> None:
    item = only(read_provenance(encoded(kind, exif=exif_of(Software=software))))
    assert (item.kind, item.field, item.value, item.says) == ("software", "Software", software, says)
    assert (item.where, item.program) == ("EXIF", program)


@pytest.mark.parametrize("code", [b"UNICODE\0", b"ASCII\0\0\0", bytes(8)])
@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "AVIF"])
def test_parameters_in_a_user_comment(kind: str, code: bytes) -> None:
    text = WEB_UI.encode("utf-16-be" if code.startswith(b"UNI") else "ascii")
    item = only(read_provenance(encoded(kind, exif=exif_of(UserComment=code + text).tobytes())))
    assert (item.kind, item.field, item.says) == ("parameters", "UserComment", "ai")
    assert item.value.startswith("a cat on a roof Negative prompt: blurry Steps: 20")


def test_camera_and_what_only_looks_like_one() -> None:
    found = read_provenance(encoded("JPEG", exif=exif_of(Make="Canon", Model="EOS 5D", Software="Adobe Photoshop 25")))
    assert [(item.kind, item.says) for item in found.evidence if item.kind == "camera"] == [("camera", "real")] * 2
    assert found.says == "edited"
    assert "Canon" in found.verdict
    comfy = read_provenance(encoded("WEBP", exif=exif_of(Make=f"prompt:{COMFY}")))
    assert (only(comfy).says, only(comfy).program) == ("ai", "ComfyUI")


def test_directories_hold_what_pillow_wrote() -> None:
    for order in ("<", ">"):
        exif = exif_of(Make="A", Software="Some Software 1", Artist="Å. Ängström", Copyright="c" * 300)
        exif.endian = order
        texts = dict(read_directory(exif.tobytes().removeprefix(b"Exif\0\0")).texts())
        reread = Image.Exif()
        reread.load(exif.tobytes())
        assert texts == {TEXTS[tag]: value for tag, value in reread.items() if tag in TEXTS}
        assert len(texts) == 4


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF", "GIF"])
def test_source_type_in_xmp(kind: str) -> None:
    for xmp in (
        packet(f"<i:DigitalSourceType>{TRAINED}</i:DigitalSourceType>"),
        packet(f'<i:DigitalSourceType r:resource="{TRAINED}"/>'),
        packet("", f'i:DigitalSourceType="{TRAINED}"') + b" " * 2000,
        packet("<i:DigitalSourceType>digsrctype:trainedAlgorithmicMedia</i:DigitalSourceType>"),
    ):
        if kind == "PNG":
            data = png(False, True, **{"XML:com.adobe.xmp": xmp.decode()})
        elif kind == "TIFF":
            data = encoded("TIFF", tiffinfo={700: xmp})
        elif kind == "GIF":
            trailer = bytes([1, *range(255, -1, -1), 0])
            plain = encoded("GIF")
            data = plain[:-1] + b"!\xff\x0bXMP DataXMP" + xmp + trailer + plain[-1:]
        else:
            data = encoded(kind, xmp=xmp)
        item = only(read_provenance(data))
        assert (item.kind, item.field, item.value) == (
            "source type",
            "Iptc4xmpExt:DigitalSourceType",
            "trainedAlgorithmicMedia",
        )
        assert (item.says, item.where) == ("ai", "XMP")


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("compositeWithTrainedAlgorithmicMedia", "ai"),
        ("digitalCapture", "real"),
        ("algorithmicMedia", "unknown"),
        ("minorHumanEdits", "edited"),
        ("notOnTheList", "unknown"),
    ],
)
def test_source_types(code: str, says: str) -> None:
    value = TRAINED.replace("trainedAlgorithmicMedia", code)
    item = only(read_provenance(encoded("JPEG", xmp=packet(f"<i:DigitalSourceType>{value}</i:DigitalSourceType>"))))
    assert (item.value, item.says) == (code, says)
    assert (code in SOURCE_TYPES) == (code != "notOnTheList")


def test_other_xmp_properties() -> None:
    xmp = packet(
        "<dc:creator><r:Seq><r:li>Midjourney</r:li><r:li>A. Person</r:li></r:Seq></dc:creator>"
        "<xmpMM:History><r:Seq><r:li e:action='saved' e:softwareAgent='GIMP 2.10'/></r:Seq></xmpMM:History>"
        "<dc:description><r:Alt><r:li xml:lang='x-default'>Landscape, generative AI</r:li></r:Alt></dc:description>"
        "<i:AISystemUsed>Some Model</i:AISystemUsed>",
        "p:Credit='Made with Google AI' xmp:CreatorTool='Adobe Photoshop 25.0'",
    )
    found = read_provenance(encoded("JPEG", xmp=xmp)).evidence
    assert {(item.field, item.says, item.program) for item in found} == {
        ("photoshop:Credit", "ai", "Google"),
        ("xmp:CreatorTool", "edited", "Adobe Photoshop"),
        ("dc:creator", "ai", "Midjourney"),
        ("stEvt:softwareAgent", "edited", "GIMP"),
        ("dc:description", "unknown", None),
        ("Iptc4xmpExt:AISystemUsed", "ai", None),
    }


def test_packets_in_utf_16() -> None:
    xmp = packet("<i:DigitalSourceType>digitalCapture</i:DigitalSourceType>").decode()
    for encoding in ("utf-16-le", "utf-16-be"):
        item = only(read_provenance(encoded("JPEG", xmp=("\ufeff" + xmp).encode(encoding))))
        assert (item.value, item.says) == ("digitalCapture", "real")


def test_iptc_records() -> None:
    def dataset(record: int, number: int, value: bytes) -> bytes:
        return struct.pack(">BBBH", 0x1C, record, number, len(value)) + value

    iim = dataset(1, 90, b"\x1b%G") + dataset(2, 65, b"GIMP") + dataset(2, 110, "Midjourney, Zoë".encode())
    resource = b"8BIM\x04\x04\x03odd" + struct.pack(">I", len(iim)) + iim + b"\0" * (len(iim) % 2)
    other = b"8BIM\x04\x0c\x00\x00" + struct.pack(">I", 3) + b"abc\0"
    data = with_segment(0xED, b"Photoshop 3.0\0" + other + resource)
    assert {(item.field, item.value, item.says, item.where) for item in read_provenance(data).evidence} == {
        ("Originating Program", "GIMP", "edited", "IPTC"),
        ("Credit", "Midjourney, Zoë", "ai", "IPTC"),
    }
    with Image.open(io.BytesIO(data)) as image:
        assert iim in image.info["photoshop"].values()


def test_raw_profiles_of_imagemagick() -> None:
    profile = b"Exif\0\0" + exif_of(Software="Midjourney").tobytes().removeprefix(b"Exif\0\0")
    text = f"\nexif\n{len(profile):8}\n" + profile.hex("\n", 36) + "\n"
    item = only(read_provenance(png(True, **{"Raw profile type exif": text})))
    assert (item.field, item.says, item.where) == ("Software", "ai", "EXIF")


def test_comments_of_jpeg_and_gif() -> None:
    for kind, where in (("JPEG", "JPEG comment"), ("GIF", "GIF comment")):
        assert only(read_provenance(encoded(kind, comment=WEB_UI))).where == where


def test_text_behind_the_pixels_is_found_without_decoding_them() -> None:
    plain = encoded()
    damaged = bytearray(plain)
    damaged[60:80] = bytes(20)  # inside the compressed pixels
    data = bytes(damaged[:-12]) + chunk(b"tEXt", b"parameters\0" + WEB_UI.encode()) + plain[-12:]
    assert only(read_provenance(data)).says == "ai"


def test_names_play_no_part(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(png(parameters=WEB_UI))
    assert read_provenance(path) == read_provenance(path.read_bytes())
    assert only(read_provenance(path)).says == "ai"


def test_values_cannot_steer_a_terminal() -> None:
    item = only(read_provenance(png(Software="Midjourney\x1b[2J\x07\n" + "x" * 10_000)))
    assert item.value.isprintable()
    assert len(item.value) == 200


def test_caveat_is_stated() -> None:
    assert "forged or removed" in CAVEAT
    assert read_provenance(png(parameters=WEB_UI)).verdict.endswith("(metadata can be forged or removed)")


# One table of forms, in every container.

AIGC = {"Label": "1", "ContentProducer": "00119111010000000000000000000", "ProduceID": "abc", "PropagateID": ""}
ONE_LINE = (
    "a castle on a hill.Negative prompt: blurry.Steps: 20, Sampler: Euler a, CFG scale: 7, Seed: 1234, Size: 512x512"
)
PROMPT = {"prompt": "a cat", "seed": 1}
FORMS = {
    "lines": (WEB_UI, "Stable Diffusion web UI"),
    "one line, dots for breaks": (ONE_LINE, "Stable Diffusion web UI"),
    "one line, blanks for breaks": (ONE_LINE.replace(".", " "), "Stable Diffusion web UI"),
    "Forge": (
        "castle\nSteps: 8, Schedule type: Simple, Distilled CFG Scale: 3.5, Size: 1x1, Model: flux1-dev",
        "Stable Diffusion web UI",
    ),
    "lines in JSON": (json.dumps({"parameters": WEB_UI}), "Stable Diffusion web UI"),
    "graph": (COMFY, "ComfyUI"),
    "graph as a list": (json.dumps([{"class_type": "KSampler"}]), "ComfyUI"),
    "graph with a number that is none": (COMFY.replace("1,", "NaN,"), "ComfyUI"),
    "graph in JSON": (json.dumps({"prompt": json.loads(COMFY), "extra": {}}), "ComfyUI"),
    "graph as text in JSON": (json.dumps({"prompt": COMFY}), "ComfyUI"),
    "workflow in JSON": (json.dumps({"workflow": json.dumps({"nodes": []})}), "ComfyUI"),
    "workflow behind its name": ("Workflow: " + json.dumps({"nodes": []}), "ComfyUI"),
    "Easy Diffusion": (json.dumps({**PROMPT, "use_stable_diffusion_model": "sd-v1-4"}), "Easy Diffusion"),
    "InvokeAI": (json.dumps({"app_version": "4.2", "positive_prompt": "a cat"}), "InvokeAI"),
    "InvokeAI by name": (json.dumps({"invokeai_metadata": {"generation_mode": "txt2img"}}), "InvokeAI"),
    "SwarmUI": (json.dumps({"sui_image_params": PROMPT}), "SwarmUI"),
    "Fooocus": (json.dumps({**PROMPT, "base_model": "juggernaut", "performance": "Speed"}), "Fooocus"),
    "NovelAI": (json.dumps({**PROMPT, "steps": 28, "sampler": "k", "uc": ""}), "NovelAI"),
    "Draw Things": (json.dumps({"c": "castle", "model": "m", "sampler": "s", "seed": 1, "scale": 7}), "Draw Things"),
    "Midjourney": ("a cat --v 6 Job ID: 8d1b4c2e-0a3f-4b5c-9d6e-7f8091a2b3c4", "Midjourney"),
}


def xmp_comment(text: str) -> bytes:
    from xml.sax.saxutils import escape

    inner = f"<x:UserComment><r:Alt><r:li>{escape(text)}</r:li></r:Alt></x:UserComment>"
    return packet(inner, 'xmlns:x="http://ns.adobe.com/exif/1.0/"')


def records_of(text: str) -> bytes:
    caption = b"\x1c\x01\x5a\x00\x03\x1b%G" + b"\x1c\x02\x78" + struct.pack(">H", len(text.encode())) + text.encode()
    return (
        b"Photoshop 3.0\0"
        + b"8BIM\x04\x04\0\0"
        + struct.pack(">I", len(caption))
        + caption
        + b"\0" * (len(caption) % 2)
    )


CONTAINERS: dict[str, Callable[[str], bytes]] = {
    "PNG tEXt": lambda text: png(Comment=text),
    "PNG zTXt": lambda text: png(True, Comment=text),
    "PNG iTXt": lambda text: png(False, True, Comment=text),
    "JPEG UserComment, UTF-16": lambda text: user_comment("JPEG", b"UNICODE\0" + text.encode("utf-16-be")),
    "JPEG UserComment, little-endian": lambda text: user_comment("JPEG", b"UNICODE\0" + text.encode("utf-16-le")),
    "JPEG UserComment, UTF-8": lambda text: user_comment("JPEG", b"UNICODE\0" + text.encode()),
    "WebP UserComment": lambda text: user_comment("WEBP", b"ASCII\0\0\0" + text.encode()),
    "AVIF UserComment": lambda text: user_comment("AVIF", b"ASCII\0\0\0" + text.encode()),
    "TIFF description": lambda text: encoded("TIFF", exif=exif_of(ImageDescription=text)),
    "JPEG XMP": lambda text: encoded("JPEG", xmp=xmp_comment(text)),
    "WebP XMP": lambda text: encoded("WEBP", xmp=xmp_comment(text)),
    "JPEG IPTC": lambda text: with_segment(0xED, records_of(text)),
    "JPEG comment": lambda text: encoded("JPEG", comment=text.encode()),
    "GIF comment": lambda text: encoded("GIF", comment=text.encode()),
}


def user_comment(kind: str, value: bytes) -> bytes:
    return encoded(kind, exif=exif_of(UserComment=value).tobytes())


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("form", FORMS)
def test_every_generator_is_known_in_every_container(form: str, container: str) -> None:
    text, program = FORMS[form]
    item = only(read_provenance(CONTAINERS[container](text)))
    assert (item.kind, item.says, item.program) == ("parameters", "ai", program)


@pytest.mark.parametrize("container", CONTAINERS)
def test_the_mandatory_label_of_china_is_read_in_every_container(container: str) -> None:
    for label in ({"AIGC": AIGC}, AIGC, {"AIGC": json.dumps(AIGC)}):
        item = only(read_provenance(CONTAINERS[container](json.dumps(label))))
        assert (item.kind, item.says) == ("label", "ai")
        assert item.value == "Label 1 (AI-generated), ContentProducer 00119111010000000000000000000"


@pytest.mark.parametrize(
    ("label", "says", "words"),
    [
        ("1", "ai", "AI-generated"),
        (1, "ai", "AI-generated"),
        ("2", "unknown", "possibly AI-generated"),
        ("3", "unknown", "suspected to be AI-generated"),
        ("9", "unknown", "of no meaning in the standard"),
    ],
)
def test_degrees_of_chinas_label(label: str | int, says: str, words: str) -> None:
    """GB 45438-2025, annex E: a text or XMP property whose name holds AIGC, and JSON of seven entries."""
    text = json.dumps({**AIGC, "Label": label})
    quoted = text.replace('"', "&quot;")
    attribute = f'xmlns:TC260="http://www.tc260.org.cn/ns/AIGC/1.0/" TC260:AIGC="{quoted}"'
    for data in (
        png(AIGC=text),
        encoded("JPEG", xmp=packet("", attribute)),
        encoded("WEBP", xmp=packet("", attribute)),
    ):
        found = read_provenance(data)
        item = only(found)
        assert (item.kind, item.says) == ("label", says)
        assert f"Label {label} ({words})" in item.value
        assert "China's AIGC label" in found.verdict


@pytest.mark.parametrize(
    "text",
    ['{"Label": "shoes", "Price": 1}', '{"AIGC": "studio"}', '{"AIGC": {"Price": 1}}', "Label: 1, ContentProducer: x"],
)
def test_other_labels_are_none_of_chinas(text: str) -> None:
    assert read_provenance(png(Comment=text)) == Provenance()


@pytest.mark.parametrize(
    "text",
    [
        "Recipe. Steps: 20, Seed: sesame",
        "Steps: 20, Size: large",
        json.dumps({"prompt": "say cheese", "seed": 1}),
        json.dumps({"dream": "of flying"}),
        json.dumps({"nodes": [1, 2]}),
        json.dumps({"name": "class_type"}),
    ],
)
def test_texts_that_resemble_parameters_are_none(text: str) -> None:
    for make in CONTAINERS.values():
        assert read_provenance(make(text)) == Provenance()


def test_comments_in_other_scripts() -> None:
    chinese = "山の上の城" * 20
    for encoding in ("utf-16-le", "utf-16-be", "utf-8"):
        text = f"{chinese}\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 1"
        item = only(read_provenance(user_comment("JPEG", b"UNICODE\0" + text.encode(encoding))))
        assert item.value.startswith(chinese), encoding


@pytest.mark.parametrize(
    ("written", "code"),
    [
        (TRAINED + "?lang=en", "trainedAlgorithmicMedia"),
        (TRAINED + "#label", "trainedAlgorithmicMedia"),
        (TRAINED.replace("http:", "https:") + "/", "trainedAlgorithmicMedia"),
        (TRAINED.lower(), "trainedAlgorithmicMedia"),
        (TRAINED.upper(), "trainedAlgorithmicMedia"),
        ("Trained algorithmic media", "trainedAlgorithmicMedia"),
        ("Created using Generative AI", "trainedAlgorithmicMedia"),
        ("Edited using Generative AI", "compositeWithTrainedAlgorithmicMedia"),
        ("composite with trained algorithmic media", "compositeWithTrainedAlgorithmicMedia"),
        ("Digital capture sampled from real life", "digitalCapture"),
        ("Multi-frame computational capture sampled from real life", "computationalCapture"),
        ("Human-edited media", "humanEdits"),
    ],
)
@pytest.mark.parametrize("name", ["DigitalSourceType", "DigitalSourcetype", "digitalsourcetype"])
def test_source_types_however_they_are_written(written: str, code: str, name: str) -> None:
    item = only(read_provenance(encoded("JPEG", xmp=packet("", f'i:{name}="{written}"'))))
    assert (item.kind, item.value, item.says) == ("source type", code, SOURCE_TYPES[code])
    item = only(read_provenance(png(DigitalSourceType=written)))
    assert (item.value, item.says) == (code, SOURCE_TYPES[code])


def test_what_hides_in_the_pixels_is_named_as_a_limit(capsys: pytest.CaptureFixture[str]) -> None:
    from rexnet_ai_real.provenance.__main__ import main

    with pytest.raises(SystemExit):
        main(["--help"])
    assert "the lowest bit of alpha" in " ".join(capsys.readouterr().out.split())
    assert '"stealth" parameters in the lowest bit of alpha' in " ".join(str(read_provenance.__doc__).split())
    hidden = Image.new("RGBA", (64, 64), (90, 60, 30, 255))
    bits = [int(bit) for letter in b"stealth_pnginfo" + WEB_UI.encode() for bit in f"{letter:08b}"]
    hidden.putdata([(90, 60, 30, 254 | bit) for bit in bits])
    buffer = io.BytesIO()
    hidden.save(buffer, "PNG")
    assert read_provenance(buffer.getvalue()) == Provenance()


def test_a_problem_is_said_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from rexnet_ai_real.provenance.__main__ import main

    (tmp_path / "a.png").write_text("no image")
    (tmp_path / "b.png").write_bytes(with_chunks(chunk(b"tEXt", b"parameters\0" + WEB_UI.encode()))[:-30])
    assert main([str(tmp_path)]) == 1
    first, second = capsys.readouterr().out.splitlines()
    assert first == f"{tmp_path / 'a.png'}: could not be read: not an image"
    assert second.count("no PNG chunk") + second.count("reaches past the end") == 1
    assert "says AI-generated" in second


# Files made to do harm.


def test_text_bombs_are_not_unpacked() -> None:
    bomb = chunk(b"zTXt", b"parameters\0\0" + zlib.compress(bytes(32 << 20), 9))
    data = with_chunks(bomb, chunk(b"tEXt", b"Software\0Midjourney"))
    tracemalloc.start()
    found = read_provenance(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 6 * MAX_BLOCK_BYTES
    assert found.says == "ai"  # what stands behind the bomb is still read
    assert found.problem == f"PNG text 'parameters' holds more than {MAX_BLOCK_BYTES:,} bytes"


def test_many_bombs_end_the_reading() -> None:
    bomb = chunk(b"zTXt", b"parameters\0\0" + zlib.compress(bytes(MAX_BLOCK_BYTES + 1), 9))
    found = read_provenance(with_chunks(*[bomb] * 22))
    assert found.problem is not None
    assert "too many damaged PNG texts" in found.problem


def test_masses_of_metadata_end_the_reading() -> None:
    texts = [chunk(b"tEXt", b"Software\0Program %d" % number) for number in range(1100)]
    found = read_provenance(with_chunks(*texts))
    assert len(found.evidence) == 50
    assert found.problem is not None
    assert "more metadata than 1,000 blocks" in found.problem


def test_masses_of_fields_end_the_reading() -> None:
    names = "".join(f"<r:li>Person {number}</r:li>" for number in range(2500))
    xmp = packet(f"<dc:creator><r:Seq>{names}</r:Seq></dc:creator>")
    found = read_provenance(encoded("WEBP", xmp=xmp))
    assert found.problem == "more than 2,000 fields of metadata: the rest is not read"


@pytest.mark.parametrize(
    "declaration",
    [
        '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;">]>',
        '<!DOCTYPE x [<!ENTITY c SYSTEM "file:///etc/hostname">]>',
        '<!DOCTYPE x SYSTEM "http://localhost:1/x.dtd">',
    ],
)
def test_xmp_declares_nothing(declaration: str) -> None:
    body = packet("<i:DigitalSourceType>&c;</i:DigitalSourceType>")
    found = read_provenance(encoded("JPEG", xmp=declaration.encode() + body))
    assert found.evidence == ()
    assert found.problem == "XMP declares a document type, which no honest packet does"


def test_huge_and_deep_xmp() -> None:
    huge = packet("<dc:title>" + "x" * MAX_BLOCK_BYTES + "</dc:title>")
    found = read_provenance(encoded("WEBP", xmp=huge))
    assert found.problem is not None
    assert "more than the limit" in found.problem
    deep = read_provenance(encoded("WEBP", xmp=b"<a>" * 50_000))
    assert deep.problem is not None
    assert "no sound XML" in deep.problem


def test_properties_before_damage_are_kept() -> None:
    cut = packet("<i:DigitalSourceType>digitalCapture</i:DigitalSourceType>")[:-30]
    found = read_provenance(encoded("JPEG", xmp=cut))
    assert found.says == "real"
    assert found.problem is not None


@pytest.mark.parametrize(
    "tiff",
    [
        b"",
        b"II*\0",
        b"XX*\0\x08\0\0\0",
        b"II*\0\xff\xff\xff\xff",
        b"II*\0\x08\0\0\0\xff\xff",
        b"II*\0\x08\0\0\0\x01\0" + struct.pack("<HHII", 0x0131, 2, 0xFFFFFFFF, 8) + bytes(4),
        b"II*\0\x08\0\0\0\x01\0" + struct.pack("<HHII", 0x0131, 2, 50, 0xFFFFFFF0) + bytes(4),
        b"II*\0\x08\0\0\0\x01\0" + struct.pack("<HHII", 0x8769, 4, 1, 8) + bytes(4),  # its own EXIF directory
        b"MM\0+\0\x08\0\0" + b"\xff" * 8,
    ],
)
def test_broken_exif(tiff: bytes) -> None:
    found = read_provenance(with_chunks(chunk(b"eXIf", tiff), chunk(b"tEXt", b"parameters\0" + WEB_UI.encode())))
    assert found.says == "ai"
    assert found.problem is not None or tiff.startswith(b"II*\0\x08\0\0\0\x01\0\x69\x87")


def test_tables_of_items_without_numbers() -> None:
    """An `iloc` box whose numbers have no bytes can claim 65,535 extents with every six bytes."""
    iloc = struct.pack(">IBBH", 0, 0, 0, 0xFFFF) + struct.pack(">HHH", 1, 0, 0xFFFF) * 0xFFFF
    infe = b"\x02\0\0\0" + struct.pack(">HH", 1, 0) + b"Exif\0"
    iinf = b"\0\0\0\0\0\1" + box(b"infe", infe)
    meta = box(b"meta", bytes(4) + box(b"iinf", iinf) + box(b"iloc", iloc))
    found = read_provenance(box(b"ftyp", b"avif\0\0\0\0") + meta)
    assert found.problem is not None
    assert "extents" in found.problem


def box(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body) + 8) + name + body


def test_what_is_no_image(tmp_path: Path) -> None:
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "folder").mkdir()
    for name, problem in (("empty.png", "empty file"), ("folder", "a folder"), ("absent", "no such file")):
        found = read_provenance(tmp_path / name)
        assert found == Provenance(problem=problem)
        assert found.verdict == f"could not be read: {problem}"
    assert read_provenance(b"no image").problem == "not an image"


def samples() -> list[bytes]:
    exif, xmp = (
        exif_of(Software="GIMP", UserComment=b"ASCII\0\0\0" + WEB_UI.encode()),
        packet("", "p:Credit='Midjourney'"),
    )
    images = [encoded(kind, exif=exif, xmp=xmp) for kind in ("JPEG", "WEBP", "AVIF")]
    images += [with_segment(0xEB, b"JP\0\1\0\0\0\1" + STORE), encoded("GIF", comment="x" * 300)]
    images += [
        encoded("TIFF", exif=exif, tiffinfo={700: xmp}),
        png(True, True, prompt=COMFY),
    ]
    return images


def test_damage_never_raises() -> None:
    chance = random.Random(0)
    for sample in samples():
        for _ in range(150):
            damaged = bytearray(sample)
            for _ in range(chance.randint(1, 8)):
                damaged[chance.randrange(12, len(damaged))] = chance.choice((0, 1, 0x7F, 0x80, 0xFF))
            read_provenance(bytes(damaged[: chance.randint(12, len(damaged))]))


# C2PA. A manifest store is a JUMBF superbox whose description box carries the type "c2pa".
STORE = box(
    b"jumb", box(b"jumd", bytes.fromhex("6332706100110010800000AA00389B71") + b"\x03c2pa\0") + box(b"jumb", b"")
)
UUID = bytes.fromhex("D8FEC3D61B0E483C92975828877EC481")


def stores() -> dict[str, bytes]:
    webp = encoded("WEBP") + b"C2PA" + struct.pack("<I", len(STORE)) + STORE + b"\0" * (len(STORE) % 2)
    webp = webp[:4] + struct.pack("<I", len(webp) - 8) + webp[8:]
    tiff = encoded("TIFF", tiffinfo={0xCD41: STORE})
    return {
        "JPEG APP11": with_segment(0xEB, b"JP\0\1\0\0\0\1" + STORE),
        "PNG caBX": with_chunks(chunk(b"caBX", STORE)),
        "WebP C2PA": webp,
        "TIFF": tiff,
        "uuid box": encoded("AVIF") + box(b"uuid", UUID + bytes(4) + b"manifest\0" + bytes(8) + STORE),
    }


@pytest.mark.parametrize("where", ["JPEG APP11", "PNG caBX", "WebP C2PA", "TIFF", "uuid box"])
def test_presence_is_told_without_the_extra(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "c2pa", None)
    found = read_provenance(stores()[where])
    assert found.c2pa is not None
    assert (found.c2pa.state, found.c2pa.where) == ("not validated", where)
    assert (found.says, found.evidence) == ("unknown", ())
    assert "install rexnet-ai-real[c2pa] to validate it" in found.verdict


def test_the_letters_c2pa_are_no_manifest() -> None:
    loose = [b"jumb c2pa jumd", STORE[:4] + b"jump" + STORE[8:], STORE[:16] + bytes(16) + STORE[32:]]
    for body in loose:
        assert read_provenance(with_segment(0xEB, b"JP\0\1\0\0\0\1" + body)).c2pa is None
        assert read_provenance(with_chunks(chunk(b"caBX", body))).c2pa is None
    assert read_provenance(encoded("JPEG", comment=STORE)).c2pa is None


Sign = Callable[[bytes, str], bytes]


@pytest.fixture(scope="module")
def signer() -> tuple[Sign, str]:
    """Signs an image as AI-generated with a certificate made here; and that certificate's root, in PEM."""
    c2pa = pytest.importorskip("c2pa", reason="needs the extra c2pa")
    x509 = pytest.importorskip("cryptography.x509")
    hashes = pytest.importorskip("cryptography.hazmat.primitives.hashes")
    serialization = pytest.importorskip("cryptography.hazmat.primitives.serialization")
    ec = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.ec")

    now, oid = datetime.datetime.now(datetime.UTC), x509.oid.NameOID

    def certificate(name: str, own: Any, by: Any, authority: bool) -> Any:
        names = [
            x509.Name(
                [x509.NameAttribute(oid.ORGANIZATION_NAME, "Test Signers"), x509.NameAttribute(oid.COMMON_NAME, one)]
            )
            for one in (name, "Root")
        ]
        usage = x509.KeyUsage(not authority, False, False, False, False, authority, authority, False, False)
        builder = x509.CertificateBuilder(names[1], names[0], own.public_key(), 1 + authority)
        builder = builder.not_valid_before(now - datetime.timedelta(1)).not_valid_after(now + datetime.timedelta(9))
        builder = builder.add_extension(x509.BasicConstraints(authority, None), True).add_extension(usage, True)
        builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(own.public_key()), False)
        builder = builder.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(by.public_key()), False)
        purpose = x509.ExtendedKeyUsage([x509.oid.ExtendedKeyUsageOID.EMAIL_PROTECTION])
        return (builder if authority else builder.add_extension(purpose, False)).sign(by, hashes.SHA256())

    pem = serialization.Encoding.PEM
    root_key, own_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    root = certificate("Root", root_key, root_key, True).public_bytes(pem)
    chain = certificate("Signer", own_key, root_key, False).public_bytes(pem) + root
    private = own_key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    created = {"action": "c2pa.created", "softwareAgent": "Adobe_Firefly", "digitalSourceType": TRAINED}
    manifest = {
        "claim_generator_info": [{"name": "Test", "version": "1"}],
        "assertions": [{"label": "c2pa.actions", "data": {"actions": [created]}}],
    }

    def sign(data: bytes, media_type: str) -> bytes:
        context = c2pa.Context.from_dict({"builder": {"thumbnail": {"enabled": False}}})
        signer = c2pa.Signer.from_info(c2pa.C2paSignerInfo(b"es256", chain, private, None))
        signed = io.BytesIO()
        with c2pa.Builder(manifest, context=context) as builder:
            builder.sign(signer, media_type, io.BytesIO(data), signed)
        return signed.getvalue()

    return sign, root.decode()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "TIFF", "AVIF"])
def test_signed_images(kind: str, signer: tuple[Sign, str]) -> None:
    sign, root = signer
    data = sign(encoded(kind), f"image/{kind.lower()}")
    for anchors, state in ((None, "valid"), (root, "trusted")):
        found = read_provenance(data, trust_anchors=anchors)
        assert found.c2pa is not None
        assert (found.c2pa.state, found.c2pa.signer) == (state, "Test Signers, Signer")
        assert (found.c2pa.programs, found.c2pa.source_types) == (("Test 1", "Adobe_Firefly"), (TRAINED,))
        assert found.says == "ai"
        assert {(item.value, item.says) for item in found.evidence} == {
            ("trainedAlgorithmicMedia", "ai"),
            ("Test 1", "unknown"),
            ("Adobe_Firefly", "ai"),
        }
        assert ("on no trust list" in found.verdict) == (anchors is None)


def test_changed_images_lose_their_history(signer: tuple[Sign, str]) -> None:
    sign, root = signer
    data = bytearray(sign(encoded("JPEG"), "image/jpeg"))
    data[-100] ^= 1
    found = read_provenance(bytes(data), trust_anchors=root)
    assert found.c2pa is not None
    assert (found.c2pa.state, found.c2pa.failures) == ("invalid", ("assertion.dataHash.mismatch",))
    assert {item.says for item in found.evidence} == {"unknown"}
    assert "does not hold" in found.verdict


def test_stores_that_hold_nothing() -> None:
    pytest.importorskip("c2pa", reason="needs the extra c2pa")
    for data in stores().values():
        found = read_provenance(data)
        assert found.c2pa is not None
        assert found.c2pa.state == "not validated"
        assert "cannot be read" in found.c2pa.summary


def test_blocks_are_those_that_pillow_finds(shared_data: Path) -> None:
    """On real files, EXIF and XMP are found exactly where Pillow finds them."""
    paths = [path for path in sorted((shared_data / "kaggle-raw").rglob("*")) if path.is_file()]
    problems: list[str] = []
    seen = np.zeros(2, dtype=int)
    for path in paths:
        with Image.open(path) as image:
            kind = "JPEG" if image.format == "MPO" else str(image.format)
            if kind == "PNG":
                image.load()  # what stands behind the pixels
            info = image.info
        found = {block.kind: block.data for block in blocks(path.read_bytes(), kind, problems)}
        exif = info.get("exif", b"").removeprefix(b"Exif\0\0")
        xmp = info.get("xmp") or info.get("XML:com.adobe.xmp", "")
        assert found.get("exif", b"") == exif, path
        assert found.get("xmp", b"") == (xmp.encode() if isinstance(xmp, str) else xmp), path
        seen += bool(exif), bool(xmp)
    assert problems == []
    assert seen.min() > 10


def test_the_command_names_what_each_file_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from rexnet_ai_real.provenance.__main__ import main

    text = PngImagePlugin.PngInfo()
    text.add_text("parameters", "a lake at dawn\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 1, Size: 64x64")
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png", pnginfo=text)
    Image.new("RGB", (8, 8)).save(tmp_path / "b.png")
    assert main([str(tmp_path)]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert "a.png" in first
    assert "Steps: 20" in first or "parameters" in first
    assert "no provenance metadata" in second
    assert main([str(tmp_path / "absent.png")]) == 1
