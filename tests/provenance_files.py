"""Image files with metadata, as Pillow or these builders write them, for every reader of provenance."""

import io
import json
import struct
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import ExifTags, Image, PngImagePlugin

WEB_UI = (
    "a cat on a roof\nNegative prompt: blurry\n"
    "Steps: 20, Sampler: DPM++ 2M, CFG scale: 7, Seed: 1, Size: 512x512, Model: sd15"
)


COMFY = json.dumps({"3": {"class_type": "KSampler", "inputs": {"seed": 1, "steps": 20}}})


TRAINED = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"


def encoded(kind: str = "PNG", **options: Any) -> bytes:
    """An image of noise, always the same."""
    buffer = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)
    Image.fromarray(noise).save(buffer, kind, **options)
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


def with_xmp(kind: str, xmp: bytes) -> bytes:
    """An image with an XMP packet, where its format has one."""
    if kind == "PNG":
        return png(False, True, **{"XML:com.adobe.xmp": xmp.decode()})
    if kind == "TIFF":
        return encoded("TIFF", tiffinfo={700: xmp})
    if kind == "GIF":
        trailer = bytes([1, *range(255, -1, -1), 0])
        plain = encoded("GIF")
        return plain[:-1] + b"!\xff\x0bXMP DataXMP" + xmp + trailer + plain[-1:]
    return encoded(kind, xmp=xmp)


def with_raw_profile(name: str, profile: bytes) -> bytes:
    """A PNG with a profile as ImageMagick writes it."""
    text = f"\n{name}\n{len(profile):8}\n" + profile.hex("\n", 36) + "\n"
    return png(True, **{f"Raw profile type {name}": text})


def box(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body) + 8) + name + body


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


def user_comment(kind: str, value: bytes) -> bytes:
    return encoded(kind, exif=exif_of(UserComment=value).tobytes())


# A manifest store is a JUMBF superbox whose description box carries the type "c2pa".
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


def iptc_records() -> bytes:
    """A program and a credit, declared as UTF-8."""

    def dataset(record: int, number: int, value: bytes) -> bytes:
        return struct.pack(">BBBH", 0x1C, record, number, len(value)) + value

    return dataset(1, 90, b"\x1b%G") + dataset(2, 65, b"GIMP") + dataset(2, 110, "Midjourney, Zoë".encode())


def photoshop_resources(iim: bytes) -> bytes:
    """IPTC records behind another resource, under a name of odd length."""
    resource = b"8BIM\x04\x04\x03odd" + struct.pack(">I", len(iim)) + iim + b"\0" * (len(iim) % 2)
    return b"8BIM\x04\x0c\x00\x00" + struct.pack(">I", 3) + b"abc\0" + resource


def label_packet(text: str) -> bytes:
    """China's label as an attribute."""
    quoted = text.replace('"', "&quot;")
    return packet("", f'xmlns:TC260="http://www.tc260.org.cn/ns/AIGC/1.0/" TC260:AIGC="{quoted}"')


def items_without_numbers() -> bytes:
    """An `iloc` box whose numbers have no bytes can claim 65,535 extents with every six bytes."""
    iloc = struct.pack(">IBBH", 0, 0, 0, 0xFFFF) + struct.pack(">HHH", 1, 0, 0xFFFF) * 0xFFFF
    infe = b"\x02\0\0\0" + struct.pack(">HH", 1, 0) + b"Exif\0"
    iinf = b"\0\0\0\0\0\1" + box(b"infe", infe)
    meta = box(b"meta", bytes(4) + box(b"iinf", iinf) + box(b"iloc", iloc))
    return box(b"ftyp", b"avif\0\0\0\0") + meta


def bomb(size: int) -> bytes:
    """A text of zero bytes, packed."""
    return chunk(b"zTXt", b"parameters\0\0" + zlib.compress(bytes(size), 9))


def many_texts() -> bytes:
    """More texts than are read."""
    return with_chunks(*[chunk(b"tEXt", b"Software\0Program %d" % number) for number in range(1100)])


def many_fields() -> bytes:
    """More names in one packet than are read."""
    names = "".join(f"<r:li>Person {number}</r:li>" for number in range(2500))
    return encoded("WEBP", xmp=packet(f"<dc:creator><r:Seq>{names}</r:Seq></dc:creator>"))


def loose_letters() -> list[bytes]:
    """What resembles a manifest store."""
    return [b"jumb c2pa jumd", STORE[:4] + b"jump" + STORE[8:], STORE[:16] + bytes(16) + STORE[32:]]
