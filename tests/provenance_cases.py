"""What the files of the provenance tests say, and all of these files together, for two readers to be compared on."""

import json
import random
import struct
from collections.abc import Iterator

from rexnet_ai_real.provenance.block import MAX_BLOCK_BYTES
from tests.provenance_files import (
    COMFY,
    CONTAINERS,
    STORE,
    TRAINED,
    WEB_UI,
    bomb,
    chunk,
    encoded,
    exif_of,
    iptc_records,
    items_without_numbers,
    label_packet,
    loose_letters,
    many_fields,
    many_texts,
    packet,
    photoshop_resources,
    png,
    stores,
    user_comment,
    with_chunks,
    with_raw_profile,
    with_segment,
    with_xmp,
)

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


def samples() -> list[bytes]:
    """One file of each format, with several kinds of metadata."""
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


PARAMETERS = [
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
]
OTHER_TEXTS = [
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
]
SOFTWARE = [
    ("Midjourney", "ai", "Midjourney"),
    ("NovelAI", "ai", "NovelAI"),
    ("Adobe Firefly 3.0", "ai", "Adobe Firefly"),
    ("DALL-E 3", "ai", "OpenAI"),
    ("Adobe Photoshop 25.0 (Windows)", "edited", "Adobe Photoshop"),
    ("Adobe Photoshop Lightroom Classic 11.1", "edited", "Adobe Lightroom"),
    ("GIMP 2.10.34", "edited", "GIMP"),
    ("Ver.1.00", "unknown", None),
]
SOURCE_TYPES_SAID = [
    ("compositeWithTrainedAlgorithmicMedia", "ai"),
    ("digitalCapture", "real"),
    ("algorithmicMedia", "unknown"),
    ("minorHumanEdits", "edited"),
    ("notOnTheList", "unknown"),
]
LABELS = [
    ("1", "ai", "AI-generated"),
    (1, "ai", "AI-generated"),
    ("2", "unknown", "possibly AI-generated"),
    ("3", "unknown", "suspected to be AI-generated"),
    ("9", "unknown", "of no meaning in the standard"),
]
OTHER_LABELS = [
    '{"Label": "shoes", "Price": 1}',
    '{"AIGC": "studio"}',
    '{"AIGC": {"Price": 1}}',
    "Label: 1, ContentProducer: x",
]
RESEMBLING = [
    "Recipe. Steps: 20, Seed: sesame",
    "Steps: 20, Size: large",
    json.dumps({"prompt": "say cheese", "seed": 1}),
    json.dumps({"dream": "of flying"}),
    json.dumps({"nodes": [1, 2]}),
    json.dumps({"name": "class_type"}),
]
WRITTEN = [
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
]
DECLARATIONS = [
    '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;">]>',
    '<!DOCTYPE x [<!ENTITY c SYSTEM "file:///etc/hostname">]>',
    '<!DOCTYPE x SYSTEM "http://localhost:1/x.dtd">',
]
BROKEN_EXIF = [
    b"",
    b"II*\0",
    b"XX*\0\x08\0\0\0",
    b"II*\0\xff\xff\xff\xff",
    b"II*\0\x08\0\0\0\xff\xff",
    b"II*\0\x08\0\0\0\x01\0" + struct.pack("<HHII", 0x0131, 2, 0xFFFFFFFF, 8) + bytes(4),
    b"II*\0\x08\0\0\0\x01\0" + struct.pack("<HHII", 0x0131, 2, 50, 0xFFFFFFF0) + bytes(4),
    b"II*\0\x08\0\0\0\x01\0" + struct.pack("<HHII", 0x8769, 4, 1, 8) + bytes(4),  # its own EXIF directory
    b"MM\0+\0\x08\0\0" + b"\xff" * 8,
]


PROPERTIES = packet(
    "<dc:creator><r:Seq><r:li>Midjourney</r:li><r:li>A. Person</r:li></r:Seq></dc:creator>"
    "<xmpMM:History><r:Seq><r:li e:action='saved' e:softwareAgent='GIMP 2.10'/></r:Seq></xmpMM:History>"
    "<dc:description><r:Alt><r:li xml:lang='x-default'>Landscape, generative AI</r:li></r:Alt></dc:description>"
    "<i:AISystemUsed>Some Model</i:AISystemUsed>",
    "p:Credit='Made with Google AI' xmp:CreatorTool='Adobe Photoshop 25.0'",
)
DIGITAL_CAPTURE = packet("<i:DigitalSourceType>digitalCapture</i:DigitalSourceType>")
SOURCE_TYPE_PACKETS = [
    packet(f"<i:DigitalSourceType>{TRAINED}</i:DigitalSourceType>"),
    packet(f'<i:DigitalSourceType r:resource="{TRAINED}"/>'),
    packet("", f'i:DigitalSourceType="{TRAINED}"') + b" " * 2000,
    packet("<i:DigitalSourceType>digsrctype:trainedAlgorithmicMedia</i:DigitalSourceType>"),
]
WITH_XMP = ["JPEG", "PNG", "WEBP", "TIFF", "AVIF", "GIF"]


def cases() -> Iterator[bytes]:
    """Every file that the tests of provenance read, damaged ones and those made to do harm included."""
    yield from _in_texts()
    yield from _in_exif()
    yield from _in_xmp()
    yield from (make(text) for text, _ in FORMS.values() for make in CONTAINERS.values())
    yield from (make(text) for text in RESEMBLING for make in CONTAINERS.values())
    for label in ({"AIGC": AIGC}, AIGC, {"AIGC": json.dumps(AIGC)}):
        yield from (make(json.dumps(label)) for make in CONTAINERS.values())
    yield with_segment(0xED, b"Photoshop 3.0\0" + photoshop_resources(iptc_records()))
    yield with_raw_profile("exif", exif_of(Software="Midjourney").tobytes())
    yield with_raw_profile("iptc", photoshop_resources(iptc_records()))
    yield from stores().values()
    yield from (with_segment(0xEB, b"JP\0\1\0\0\0\1" + body) for body in loose_letters())
    yield from _harmful()
    yield from samples()
    yield from (b"", b"no image", b"P6 1 1 255 abc", bytes(4), encoded("BMP"), encoded("ICO"), encoded("PPM"))


def _in_texts() -> Iterator[bytes]:
    for key, text, *_ in PARAMETERS:
        for compressed in (False, True):
            yield from (png(compressed, international, **{key: text}) for international in (False, True))
    yield from (png(**{key: text}) for key, text in OTHER_TEXTS)
    yield from (png(Comment=text) for text in OTHER_LABELS)
    yield png(Software="Midjourney\x1b[2J\x07\n" + "x" * 10_000)
    yield png(Comment="xr:d:DAF", Author="Zoë of Midjourney's", Title='"AI-generated" \\ \u2028\U0001f600')
    yield from (encoded(kind, comment=WEB_UI) for kind in ("JPEG", "GIF"))


def _in_exif() -> Iterator[bytes]:
    for kind in ("JPEG", "PNG", "WEBP", "TIFF", "AVIF"):
        yield from (encoded(kind, exif=exif_of(Software=software)) for software, *_ in SOFTWARE)
    for code in (b"UNICODE\0", b"ASCII\0\0\0", bytes(8)):
        text = WEB_UI.encode("utf-16-be" if code.startswith(b"UNI") else "ascii")
        yield from (user_comment(kind, code + text) for kind in ("JPEG", "WEBP", "AVIF"))
    for encoding in ("utf-16-le", "utf-16-be", "utf-8"):
        yield user_comment(
            "JPEG", b"UNICODE\0" + ("山の上の城" * 20 + "\nSteps: 20, Sampler: Euler a").encode(encoding)
        )
    yield encoded("JPEG", exif=exif_of(Make="Canon", Model="EOS 5D", Software="Adobe Photoshop 25"))
    yield encoded("WEBP", exif=exif_of(Make=f"prompt:{COMFY}"))
    yield encoded("JPEG", exif=exif_of(Software="Some Software 1", Artist="Å. Ängström", Copyright="c" * 300))
    yield from (with_chunks(chunk(b"eXIf", tiff), chunk(b"tEXt", b"Software\0GIMP")) for tiff in BROKEN_EXIF)


def _in_xmp() -> Iterator[bytes]:
    yield from (with_xmp(kind, xmp) for kind in WITH_XMP for xmp in [*SOURCE_TYPE_PACKETS, PROPERTIES])
    for code, _ in SOURCE_TYPES_SAID:
        yield encoded("JPEG", xmp=packet(f"<i:DigitalSourceType>{code}</i:DigitalSourceType>"))
    for written, _ in WRITTEN:
        yield encoded("JPEG", xmp=packet("", f'i:DigitalSourcetype="{written}"'))
        yield png(DigitalSourceType=written)
    for label, *_ in LABELS:
        text = json.dumps({**AIGC, "Label": label})
        yield from (png(AIGC=text), encoded("JPEG", xmp=label_packet(text)))
    for encoding in ("utf-16-le", "utf-16-be"):
        yield encoded("JPEG", xmp=("\ufeff" + DIGITAL_CAPTURE.decode()).encode(encoding))
    yield encoded("JPEG", xmp=DIGITAL_CAPTURE[:-30])
    yield from (encoded("JPEG", xmp=declaration.encode() + DIGITAL_CAPTURE) for declaration in DECLARATIONS)
    for declaration in ("", " encoding='UTF-8'", ' encoding="iso-8859-1"', " encoding='utf-16'", " standalone='maybe'"):
        yield encoded("JPEG", xmp=f"<?xml version='1.0'{declaration}?>".encode() + PROPERTIES)


def _harmful() -> Iterator[bytes]:
    yield with_chunks(bomb(32 << 20), chunk(b"tEXt", b"Software\0Midjourney"))
    yield with_chunks(*[bomb(MAX_BLOCK_BYTES + 1)] * 22)
    yield from (many_texts(), many_fields(), items_without_numbers())
    yield encoded("WEBP", xmp=packet("<dc:title>" + "x" * MAX_BLOCK_BYTES + "</dc:title>"))
    yield encoded("WEBP", xmp=b"<a>" * 50_000)


def mutations(files: list[bytes], count: int) -> Iterator[bytes]:
    """Files with bytes changed, cut off or doubled, the same ones each time."""
    chance = random.Random(0)
    for _ in range(count):
        data = bytearray(chance.choice(files))
        for _ in range(chance.randint(1, 6)):
            place = chance.randrange(8, max(len(data), 9))
            change = chance.random()
            if change < 0.7:
                data[place : place + 1] = bytes([chance.choice((0, 1, 0x20, 0x22, 0x3C, 0x7F, 0x80, 0xFF))])
            elif change < 0.9:
                data[place:place] = data[place : place + chance.randrange(1, 40)]
            else:
                del data[place:]
        yield bytes(data)
